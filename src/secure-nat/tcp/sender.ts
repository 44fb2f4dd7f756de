// From the outside to the inside host. Stages of a byte:
//
//   1. write: chunks that the socket has filled wait in order
//   2. output: what was lost goes first, then what is new, as far as both windows reach, in super-frames
//   3. acknowledge: chunks are given back, losses found, the windows moved
//   4. timers: retransmission, probe of the tail, reordering, closed window
import { MAX_TCP_BUFFER_BYTES } from "../../base/limits.ts";
import { TCP_FLAG, type TcpOptions } from "../../wire/tcp.ts";
import type { ChunkPool } from "./chunk-pool.ts";
import { Congestion } from "./congestion.ts";
import { LossRecovery } from "./loss-recovery.ts";
import { RttEstimator } from "./rtt.ts";
import { Scoreboard } from "./scoreboard.ts";
import { positionNear, selectBlocks } from "./select-blocks.ts";
import { MAX_SUPER_BYTES } from "./segment-writer.ts";
import { SendBuffer } from "./send-buffer.ts";
import { MAX_CLOSED_MS, SendWindow } from "./send-window.ts";
import { TailProbe } from "./tail-probe.ts";
import { CHUNK_BYTES, type SendChunk } from "./tcp-io.ts";
import type { TcpStats } from "./tcp-stats.ts";

/** What a connection may have waiting however small its window is: the socket is not read for each segment. */
const LEAST_BUFFER_BYTES = 262_144;
/** What goes out while much waits is sent at once: it is still in the processor's cache. */
const WRITE_THROUGH_BYTES = 32_768;
const WRITE_QUANTUM_BYTES = 262_144;
/** While the window is at least so many segments, small super-frames wait for more room in it. */
const DEFER_SEGMENTS = 16;
const DEFER_SHARE = 8;
const DEFER_BYTES = 32_768;
/** A peer from which nothing came for so long while it should have answered is gone (RFC 1122 4.2.3.5 R2). */
const GIVE_UP_MS = 120_000;
/** One that answers, but acknowledges nothing of what is sent again and again, as long as one with a closed window. */
const NO_PROGRESS_MS = MAX_CLOSED_MS;

/** Sends the range of the stream from `start` to `end`, FIN included where it goes past the data; false: no room now. */
export type Transmit = (start: number, bytes: number, flags: number) => boolean;

export interface SenderPath {
  /** Payload of a segment, options taken off. */
  readonly mss: number;
  readonly hasSack: boolean;
}

export class TcpSender {
  readonly rtt: RttEstimator;
  readonly board: Scoreboard;
  readonly buffer: SendBuffer;
  readonly congestion: Congestion;
  readonly recovery: LossRecovery;
  readonly window = new SendWindow();
  readonly mss: number;
  readonly #pool: ChunkPool;
  readonly #stats: TcpStats;
  readonly #transmit: Transmit;
  readonly #timestamp: () => number;
  #isFinQueued = false;
  #isLimiting = false;
  #lastSent = 0;
  #lastRoom = 0;
  /* Deadlines by the clock; Infinity while not set. */
  #retransmitAt = Infinity;
  #probeAt = Infinity;
  /** When the peer last said something; what was sent before is answered. */
  #heardAt = 0;
  /** When something new was acknowledged, or what waits began to. */
  #progressAt = 0;
  readonly #tail: TailProbe;

  /** @param position of the first byte: that behind the SYN */
  constructor(
    position: number,
    path: SenderPath,
    rtt: RttEstimator,
    pool: ChunkPool,
    stats: TcpStats,
    out: { readonly transmit: Transmit; readonly timestamp: () => number },
  ) {
    this.mss = path.mss;
    this.#tail = new TailProbe(path);
    this.rtt = rtt;
    this.#pool = pool;
    this.#stats = stats;
    this.#transmit = out.transmit;
    this.#timestamp = out.timestamp;
    this.board = new Scoreboard(position);
    this.buffer = new SendBuffer(pool, position);
    this.congestion = new Congestion(rtt, path.mss, MAX_TCP_BUFFER_BYTES);
    this.recovery = new LossRecovery(this.board, rtt, this.congestion, stats, path);
  }

  /* 1. Write */

  get room(): number {
    if (this.#isFinQueued) return 0;
    const wanted = Math.min(
      Math.max(2 * this.congestion.window, LEAST_BUFFER_BYTES),
      MAX_TCP_BUFFER_BYTES,
    );
    // Many at once share what there is.
    const share = Math.max((this.#pool.left * CHUNK_BYTES) / 4, CHUNK_BYTES);
    const held = this.buffer.end - this.board.acknowledged;
    return Math.max(0, Math.floor(Math.min(wanted, share)) - held);
  }

  /** Gives the room, if it has grown by enough since this was asked last for its owner to be told. */
  takeGrowth(): boolean {
    const { room } = this;
    const isWorth = room > 0 && (this.#lastRoom === 0 || room >= this.#lastRoom + CHUNK_BYTES);
    if (isWorth || room < this.#lastRoom) this.#lastRoom = room;
    return isWorth;
  }

  /** Since when nothing of what is held was acknowledged, by the clock; Infinity if nothing is held. */
  get stuckSince(): number {
    return this.buffer.end > this.board.acknowledged ? this.#progressAt : Infinity;
  }

  /** Bytes that wait and were not sent yet. */
  get unsent(): number {
    return Math.max(0, this.buffer.end - this.board.next);
  }

  write(chunk: SendChunk, now: number): void {
    if (this.board.next === this.board.acknowledged && now - this.#lastSent > this.rtt.rto) {
      this.congestion.rest(now - this.#lastSent);
    }
    if (this.buffer.end === this.board.acknowledged) this.#progressAt = now;
    this.buffer.push(chunk);
    if (this.unsent >= WRITE_THROUGH_BYTES) this.output(now, WRITE_QUANTUM_BYTES);
    this.#lastRoom = this.room;
  }

  finish(): void {
    this.#isFinQueued = true;
  }

  /** FIN was sent, and has been acknowledged. */
  get isFinAcknowledged(): boolean {
    return this.#isFinQueued && this.board.acknowledged > this.buffer.end;
  }

  /* 2. Output */

  /** Sends what may go, `quantum` bytes at most. True if more could go: there was no room for it, or the quantum ended. */
  output(now: number, quantum: number): boolean {
    let left = quantum;
    for (let lost = this.board.firstLost(); lost !== undefined; lost = this.board.firstLost()) {
      const { flight } = this.board;
      const room = Math.max(this.congestion.window - flight, flight === 0 ? this.mss : 0);
      if (room < Math.min(this.mss, lost.end - lost.start)) break;
      if (left <= 0) return true;
      const most = Math.min(room, MAX_SUPER_BYTES);
      const whole = lost.end - lost.start;
      const bytes = whole <= most ? whole : Math.max(most - (most % this.mss), this.mss);
      const end = lost.start + Math.min(bytes, whole);
      if (!this.#send(lost.start, end)) return true;
      this.#stats.retransmits += Math.ceil((end - lost.start) / this.mss);
      this.#stats.retransmittedBytes += end - lost.start;
      this.recovery.sent(end - lost.start, true, this.#timestamp());
      this.board.repeated(lost, end, now);
      this.#sentAt(now);
      left -= end - lost.start;
    }
    return this.#outputNew(now, left);
  }

  #outputNew(now: number, quantum: number): boolean {
    let left = quantum;
    this.#isLimiting = false;
    for (;;) {
      const start = this.board.next;
      const pending = Math.max(this.buffer.end - start, 0);
      const isFinDue = this.#isFinQueued && start <= this.buffer.end;
      if (pending === 0 && !isFinDue) break;
      const bytes = pending === 0 ? 0 : this.#sendable(start, pending);
      // The FIN takes a number as a byte does, and has to fit the window.
      const isFin = isFinDue && bytes === pending && start + bytes < this.window.edge;
      if (bytes === 0 && !isFin) break;
      if (left <= 0) return true;
      const end = start + bytes + (isFin ? 1 : 0);
      if (!this.#send(start, end)) return true;
      this.recovery.sent(end - start, false, 0);
      this.board.sent(end, now);
      this.#sentAt(now);
      this.#setProbe(now);
      this.window.isMoving();
      left -= bytes;
    }
    this.#watchWindow(now);
    return false;
  }

  /** Of `pending` bytes those that both windows let go, silly windows avoided (RFC 9293 3.8.6.2.1). */
  #sendable(start: number, pending: number): number {
    const { flight } = this.board;
    const { window } = this.congestion;
    const byCongestion = Math.max(window - flight, flight === 0 ? this.mss : 0);
    const byPeer = this.window.edge - start;
    const most = Math.min(
      pending,
      byCongestion,
      byPeer,
      MAX_SUPER_BYTES - (MAX_SUPER_BYTES % this.mss),
    );
    if (most === pending) return most;
    if (byCongestion <= byPeer) {
      this.#isLimiting = true;
      const isLarge = window >= DEFER_SEGMENTS * this.mss;
      if (isLarge && flight > 0 && most < Math.min(window / DEFER_SHARE, DEFER_BYTES)) return 0;
    }
    const whole = Math.max(most - (most % this.mss), 0);
    if (whole > 0) return whole;
    // A peer whose whole window is less than a segment.
    const isHalf = most > 0 && byPeer <= byCongestion && most >= this.window.largest / 2;
    return isHalf && flight === 0 ? most : 0;
  }

  #send(start: number, end: number): boolean {
    const dataEnd = Math.min(end, this.buffer.end);
    const isFin = end > this.buffer.end;
    const isLast = dataEnd === this.buffer.end && dataEnd > start;
    const flags = TCP_FLAG.ACK | (isFin ? TCP_FLAG.FIN : 0) | (isLast ? TCP_FLAG.PSH : 0);
    return this.#transmit(start, Math.max(dataEnd - start, 0), flags);
  }

  #sentAt(now: number): void {
    this.#lastSent = now;
    if (this.#retransmitAt === Infinity) {
      this.#retransmitAt = now + this.rtt.rto;
      this.#heardAt = now;
      this.#progressAt = now;
    }
  }

  /* 3. Acknowledge */

  /** Position that a sequence number near what was sent stands for. */
  positionOf(sequence: number, initialSequence: number): number {
    return positionNear(this.board.acknowledged, sequence, initialSequence);
  }

  /**
   * @param position acknowledged in order, between what was before and what was sent
   * @param isPure the segment has no payload and tells no new window: it may be a duplicate
   */
  acknowledge(
    position: number,
    initialSequence: number,
    options: TcpOptions,
    isPure: boolean,
    now: number,
  ): void {
    const { board } = this;
    const flightBefore = board.flight;
    const advanced = position - board.acknowledged;
    this.#heardAt = now;
    board.begin();
    board.leastRoundTrip = this.rtt.least === Infinity ? 0 : this.rtt.least;
    if (advanced > 0) {
      board.acknowledge(position, now);
      this.buffer.release(Math.min(position, this.buffer.end));
      this.#progressAt = now;
    }
    const hasBlocks = options.sackBlocks > 0;
    const isRepeat = hasBlocks && selectBlocks(board, position, initialSequence, options, now);
    if (isRepeat) this.recovery.noteDuplicate();
    this.#sampleRoundTrip(advanced, options, now);
    const isBare = isPure && advanced === 0 && !hasBlocks;
    if (this.#tail.isLostBy(position, isRepeat, isBare)) this.recovery.tailWasLost();
    const isLimiting =
      this.#isLimiting ||
      (this.congestion.isSlowStart && 2 * flightBefore >= this.congestion.window);
    const isDuplicate = isPure && advanced === 0 && board.next > board.acknowledged;
    this.recovery.acknowledged(advanced, isDuplicate, flightBefore, isLimiting, options, now);
    if (board.next === board.acknowledged) {
      this.#retransmitAt = Infinity;
      this.#probeAt = Infinity;
    } else if (advanced > 0 || board.delivered > 0) {
      this.#retransmitAt = now + this.rtt.rto;
      this.#setProbe(now);
    }
  }

  #sampleRoundTrip(advanced: number, options: TcpOptions, now: number): void {
    let { roundTrip } = this.board;
    if (roundTrip < 0 && advanced > 0 && options.hasTimestamps) {
      // Of what was sent twice only the echo tells which copy was answered (RFC 7323 4), to its tick of a millisecond.
      const ticks = (this.#timestamp() - options.timestampEcho) | 0;
      if (ticks >= 0 && ticks < GIVE_UP_MS) roundTrip = ticks + 1;
    }
    if (roundTrip >= 0) this.rtt.sample(roundTrip, now);
  }

  /* 4. Timers */

  get deadline(): number {
    return Math.min(this.#retransmitAt, this.#probeAt, this.window.askAt, this.recovery.reorderAt);
  }

  /** Does what is due. False if the peer is to be given up. */
  tick(now: number): boolean {
    if (now >= this.recovery.reorderAt) this.recovery.detect(now);
    if (now >= this.#retransmitAt) {
      if (now - this.#heardAt >= GIVE_UP_MS) return false;
      if (now - this.#progressAt >= NO_PROGRESS_MS) return false;
      this.rtt.backOff();
      this.recovery.timedOut();
      this.#tail.forget();
      this.#probeAt = Infinity;
      this.#retransmitAt = now + this.rtt.rto;
    } else if (now >= this.#probeAt) this.#probeTail(now);
    if (now >= this.window.askAt) {
      if (now - this.#heardAt >= GIVE_UP_MS || !this.window.asked(now, this.rtt.rto)) return false;
      this.#stats.windowProbes += 1;
      this.#probeWindow(now);
    }
    return true;
  }

  #probeWindow(now: number): void {
    const start = this.board.next;
    // A peer may never have more to offer than its silly window (RFC 9293 3.8.6.2.1: the override time-out).
    const bytes = Math.min(this.unsent, this.mss, this.window.edge - start);
    if (bytes > 0) {
      if (!this.#send(start, start + bytes)) return;
      this.board.sent(start + bytes, now);
      this.#sentAt(now);
      this.window.isMoving();
      return;
    }
    // A byte that was acknowledged already: whoever gets it must answer with its window (RFC 9293 3.10.7.4).
    this.#transmit(this.board.acknowledged - 1, 0, TCP_FLAG.ACK);
  }

  #setProbe(now: number): void {
    const { board, recovery } = this;
    const isQuiet = recovery.state === "open" && board.selectedBytes === 0;
    const isUnderWay = board.next !== board.acknowledged;
    const at = isQuiet && isUnderWay ? now + this.#tail.waitMs(board.flight, this.rtt) : Infinity;
    this.#probeAt = at < this.#retransmitAt ? at : Infinity;
  }

  /** RFC 8985 7.3: a new segment if there is one, else the last once more, so that its loss is told of by SACK. */
  #probeTail(now: number): void {
    this.#probeAt = Infinity;
    const { board } = this;
    const start = board.next;
    const fresh = Math.min(this.unsent, this.mss, this.window.edge - start);
    if (fresh > 0) {
      if (!this.#send(start, start + fresh)) return;
      board.sent(start + fresh, now);
    } else {
      const last = board.cutLast(this.mss);
      if (last === undefined || last.isAcknowledged || !this.#send(last.start, last.end)) return;
      this.#stats.retransmits += 1;
      this.#stats.retransmittedBytes += last.end - last.start;
      board.repeated(last, last.end, now);
    }
    this.#stats.tailProbes += 1;
    this.#tail.sent(board.next, fresh <= 0);
    this.#retransmitAt = now + this.rtt.rto;
  }

  /** With bytes or a FIN that wait, none under way and no window for them the peer must be asked now and then. */
  #watchWindow(now: number): void {
    const { acknowledged, next } = this.board;
    const waits = this.unsent > 0 || (this.#isFinQueued && next <= this.buffer.end);
    const isStuck = waits && next === acknowledged;
    if (!isStuck) return this.window.isMoving();
    if (this.window.askAt === Infinity) this.#heardAt = now;
    this.window.isStuck(now, this.rtt.rto);
  }

  close(): void {
    this.board.close();
    this.buffer.close();
    this.#retransmitAt = Infinity;
    this.#probeAt = Infinity;
    this.window.isMoving();
    this.recovery.reorderAt = Infinity;
  }
}
