// From the inside host to the socket. Stages of a payload:
//
//   1. trim: what is old, and what is behind the window, goes
//   2. deliver: what is next goes to the socket as it lies, or is stored if that is full
//   3. keep: what is ahead of a gap is stored at its place
//   4. acknowledge: now, with the event, or within 40 ms
import { MAX_TCP_BUFFER_BYTES } from "../../base/limits.ts";
import { PACKET_VIEW } from "../../platform/packet-memory.ts";
import { GapList, type StreamRange } from "./gap-list.ts";
import { ReceiveBuffer, type Payload, trim } from "./receive-buffer.ts";
import type { ChunkSource, TcpIo } from "./tcp-io.ts";
import type { TcpStats } from "./tcp-stats.ts";

/** RFC 9293 3.8.6.3 allows 500; hub.md 11.6 has 40. */
export const DELAYED_ACK_MS = 40;
/** Acknowledgments that are not delayed, at the start and after a gap: the sender feels its way by them. */
const QUICK_ACKS = 16;
const FIRST_WINDOW_BYTES = 65_536;
/** Below this a path is as fast as the machine: the window need only bridge pauses of the socket. */
const LEAST_TUNE_MS = 40;
const MAX_SACK_EDGES = 4;

/** How soon an acknowledgment is due. */
export type AckNeed = "none" | "delayed" | "event" | "now";

export class TcpReceiver {
  readonly #io: TcpIo;
  readonly #buffer: ReceiveBuffer;
  readonly #stats: TcpStats;
  readonly gaps = new GapList();
  /** Sequence number of position 0. */
  readonly #initialSequence: number;
  /** Positions: up to which all has come; up to which the socket has taken; the right edge that was ever advertised. */
  next = 1;
  #taken = 1;
  edge = 1;
  /** Position of the FIN; negative while none came. */
  finAt = -1;
  /** Bytes that are received ahead of the socket at most. */
  limit = FIRST_WINDOW_BYTES;
  /** The socket has not taken all that it was offered. */
  isBlocked = false;
  /** When the socket last left something, and when what is ahead of a gap began to come, by the clock. */
  #blockedAt = 0;
  #gapSince = 0;
  /** Largest payload of one segment seen. */
  segmentBytes = 536;
  /** Bytes received and not acknowledged. */
  #unacknowledged = 0;
  #quickAcks = QUICK_ACKS;
  #tuneFrom = 1;
  #tuneStarted = 0;
  /** What came twice, for the next acknowledgment to tell (RFC 2883); empty where both are equal. */
  readonly repeat = { start: 0, end: 0 };
  readonly #payload: Payload = { at: 0, count: 0, bytes: 0 };
  readonly #latest: StreamRange[] = [];
  /** Milliseconds of a round trip, as far as is known, for the window's tuning. */
  roundTripMs = 0;

  constructor(io: TcpIo, chunks: ChunkSource, initialSequence: number, stats: TcpStats) {
    this.#io = io;
    this.#buffer = new ReceiveBuffer(chunks);
    this.#initialSequence = initialSequence;
    this.#stats = stats;
  }

  /** Position that a sequence number near the window stands for. */
  positionOf(sequence: number): number {
    return this.next + ((sequence - (this.#initialSequence + this.next)) | 0);
  }

  sequenceOf(position: number): number {
    return (this.#initialSequence + position) >>> 0;
  }

  /** Bytes in order that the socket has not taken. */
  get keptBytes(): number {
    return this.next - this.#taken - (this.hasEnded ? 1 : 0);
  }

  /** Since when nothing of what is held went on, by the clock; Infinity if nothing is held. */
  get stuckSince(): number {
    const blocked = this.keptBytes > 0 ? this.#blockedAt : Infinity;
    return Math.min(blocked, this.gaps.first === undefined ? Infinity : this.#gapSince);
  }

  /** FIN and all before it have come. */
  get hasEnded(): boolean {
    return this.finAt >= 0 && this.next > this.finAt;
  }

  /** The whole stream was taken, its end included. */
  get isFinished(): boolean {
    return this.hasEnded && this.#taken === this.finAt;
  }

  /** Takes the payload of a segment that begins at `position`. */
  take(position: number, vectorAt: number, vectors: number, bytes: number, now: number): AckNeed {
    if (vectors > 0) {
      const first = PACKET_VIEW.getUint32(vectorAt + 8, true);
      if (first > this.segmentBytes) this.segmentBytes = first;
    }
    this.#payload.at = vectorAt;
    this.#payload.count = vectors;
    this.#payload.bytes = bytes;
    /* 1. Trim */
    const end = Math.min(position + bytes, this.edge, this.finAt < 0 ? Infinity : this.finAt);
    if (position < this.next) {
      this.noteRepeat(position, Math.min(position + bytes, this.next));
      if (end <= this.next) return "now";
    } else if (position > this.next) {
      return position < end ? this.#keep(position, end, now) : "now";
    }
    if (end <= this.next) return "now";
    return this.#takeNext(position, end, now);
  }

  /** A FIN stands at `position`. True if it is next, and with that the stream has ended. */
  takeFin(position: number): boolean {
    if (this.finAt < 0 && position >= this.next && this.gaps.end <= position) this.finAt = position;
    return this.#reachFin();
  }

  /* 2. Deliver */

  #takeNext(position: number, end: number, now: number): AckNeed {
    const hadGaps = this.gaps.first !== undefined;
    const from = this.next;
    // Bytes that came earlier stay (robustness.md IP-14).
    const until = Math.min(end, this.gaps.first?.start ?? end);
    if (!this.isBlocked && this.keptBytes === 0) {
      const bytes = until - from;
      const part = trim(this.#payload, from - position, until - position);
      const taken = this.#io.deliver(part.at, part.count, bytes);
      this.#taken += taken;
      this.next += taken;
      if (taken < bytes) this.#block(now);
    }
    if (this.next < until) {
      this.next += this.#buffer.store(
        this.next,
        this.#payload,
        this.next - position,
        until - position,
      );
    }
    const isAll = this.next === until;
    if (isAll && hadGaps) {
      if (end > until) this.#keep(until, end, now, position);
      this.#closeGaps(now);
    }
    this.#unacknowledged += this.next - from;
    this.#tune(now);
    this.#reachFin();
    if (!isAll || hadGaps) return "now";
    if (this.#quickAcks > 0) {
      this.#quickAcks -= 1;
      return "event";
    }
    return this.#unacknowledged >= 2 * this.segmentBytes ? "event" : "delayed";
  }

  #block(now: number): void {
    this.isBlocked = true;
    this.#blockedAt = now;
  }

  #closeGaps(now: number): void {
    for (let range = this.gaps.first; range !== undefined; range = this.gaps.first) {
      if (range.start > this.next) break;
      this.next = Math.max(this.next, range.end);
      this.gaps.shift();
    }
    this.#gapSince = now;
    this.offer(now);
  }

  /** Offers the socket what is kept for it. */
  offer(now: number): void {
    const end = this.next - (this.hasEnded ? 1 : 0);
    while (!this.isBlocked && this.#taken < end) {
      const shown = this.#buffer.show(this.#taken, end);
      const taken = this.#io.deliver(shown.at, shown.count, shown.bytes);
      this.#taken += taken;
      if (taken < shown.bytes) this.#block(now);
    }
    this.#buffer.release(this.#taken, this.#taken === end && this.gaps.first === undefined);
  }

  #reachFin(): boolean {
    if (this.finAt < 0 || this.next !== this.finAt) return false;
    this.next = this.finAt + 1;
    this.gaps.clear();
    return true;
  }

  /* 3. Keep */

  #keep(start: number, end: number, now: number, position = start): AckNeed {
    if (this.gaps.first === undefined) this.#gapSince = now;
    this.#stats.outOfOrder += 1;
    this.#quickAcks = QUICK_ACKS;
    const isNew = this.gaps.add(start, end, (from, to) =>
      this.#buffer.store(from, this.#payload, from - position, to - position),
    );
    // What found no place is not to be told of as received.
    if (!isNew && this.gaps.holds(start, end)) this.noteRepeat(start, end);
    return "now";
  }

  /** These bytes had come before. */
  noteRepeat(start: number, end: number): void {
    this.#stats.duplicates += 1;
    this.repeat.start = start;
    this.repeat.end = end;
  }

  /* 4. Acknowledge */

  /** What the window has grown by is worth telling. */
  get isWindowWorthTelling(): boolean {
    const grown = this.next + this.#room - this.edge;
    const told = this.edge - this.next;
    return (
      grown > 0 && (told < this.limit / 2 || told < this.segmentBytes) && grown >= this.#leastGrowth
    );
  }

  /** Bytes that may come, of which the acknowledgment under way tells. The right edge never goes back (RFC 9293 3.8.6). */
  advertise(): number {
    const edge = this.next + this.#room;
    // Silly window avoidance, RFC 9293 3.8.6.2.2.
    if (edge - this.edge >= this.#leastGrowth || this.keptBytes === 0) {
      this.edge = Math.max(this.edge, edge);
    }
    return this.edge - this.next;
  }

  /** An acknowledgment has gone out. */
  acknowledged(): void {
    this.#unacknowledged = 0;
  }

  /** It has told of what came twice. */
  forgetRepeat(): void {
    this.repeat.start = 0;
    this.repeat.end = 0;
  }

  /** Data went back together with the acknowledgment: that is a dialogue, in which waiting for it pays. */
  noteDialogue(): void {
    this.#quickAcks = 0;
  }

  /** Fills in edges of what has come twice, and ahead of gaps, the latest first; gives how many blocks. */
  blocks(most: number, edges: Float64Array): number {
    let count = 0;
    if (this.repeat.end > this.repeat.start) {
      edges[0] = this.repeat.start;
      edges[1] = this.repeat.end;
      count = 1;
    }
    const ranges = this.gaps.latest(Math.min(most, MAX_SACK_EDGES) - count, this.#latest);
    for (let n = 0; n < ranges; n += 1, count += 1) {
      edges[2 * count] = this.#latest[n]!.start;
      edges[2 * count + 1] = this.#latest[n]!.end;
    }
    this.#latest.length = 0;
    return count;
  }

  close(): void {
    this.gaps.clear();
    this.#buffer.close();
  }

  get #room(): number {
    return Math.max(0, this.limit - this.keptBytes);
  }

  get #leastGrowth(): number {
    return Math.min(this.limit / 2, 2 * this.segmentBytes);
  }

  /** The window doubles when a whole one has come, and was taken, within a few round trips: it is what holds the flow. */
  #tune(now: number): void {
    if (this.isBlocked) {
      this.#tuneFrom = this.next;
      this.#tuneStarted = now;
      return;
    }
    if (this.next - this.#tuneFrom < this.limit) return;
    const span = Math.max(4 * this.roundTripMs, LEAST_TUNE_MS);
    if (now - this.#tuneStarted <= span) {
      this.limit = Math.min(2 * this.limit, MAX_TCP_BUFFER_BYTES);
    }
    this.#tuneFrom = this.next;
    this.#tuneStarted = now;
  }
}
