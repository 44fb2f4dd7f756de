import { MAX_BLOCK_BYTES, NO_PROGRESS_MS, WRITE_BATCH_BYTES } from "../base/limits.ts";
import { emptyRun, type FrameRun } from "../hub/port.ts";
import { eachUrgency } from "../hub/urgent.ts";
import { PACKET_BYTES, PACKET_VIEW, SlotPool } from "../platform/packet-memory.ts";

// The way out of one connection. Stages of a frame:
//
//   1. deliver: the run is written as it lies if it is worth a write, else copied into the open unit
//   2. seal: the unit gets its block count and goes to the socket, or behind what waits
//   3. drained: what the socket did not take goes on, oldest first
//
// While the socket is full, frames that must not wait (urgent.ts) gather in a lane of their own, which goes first
// as soon as the unit under way is through: then a ping does not wait behind a megabyte of bulk.
//
// Memory is taken when traffic comes and given back when it has gone: an idle connection holds none.

/** A unit under way, with room behind the write size for the run that fills it. */
const SLOT_BYTES = 65_536;
/** A run of at least this size is written straight away instead of being copied first. */
const DIRECT_BYTES = 12_288;
/** All slots of the process, three quarters of packet memory: 48 sessions at the full queue bound. */
export const batchSlots = new SlotPool(SLOT_BYTES, 768);
const allQueues = { bytes: 0 };

/** Bytes that wait in all sessions of the process because their sockets are full. */
export function queuedBytes(): number {
  return allQueues.bytes;
}

/** Where a batch writes to: the socket side of a link. */
export interface ByteSink {
  /** Takes bytes at once, and answers how many. */
  write(bytes: Uint8Array): number;
}

/** Bytes of one slot that the socket has not taken. */
interface Waiting {
  slot: number;
  from: number;
  to: number;
  /** A unit begins at `from`: before it the stream could go on in another way. */
  isUnitStart: boolean;
  /** The lane may not go before it: it holds urgent frames itself, which came first. */
  isUrgent: boolean;
}

/** Gathers runs into units and keeps what the socket does not take. Bounds are the session's to hold. */
export class Batch {
  /** Bytes that wait because the socket was full, the open unit not counted. */
  waitingBytes = 0;
  /** Frames lost because packet memory was exhausted. */
  lostFrames = 0;
  /** Packet memory ran out in the middle of a unit: the connection can only be ended. */
  isBroken = false;
  #slot = -1;
  #used = 0;
  #count = 0;
  /** The lane: one unit of urgent frames. */
  #laneSlot = -1;
  #laneUsed = 0;
  #laneCount = 0;
  readonly #piece: FrameRun = emptyRun(PACKET_BYTES);
  readonly #part: FrameRun = emptyRun(PACKET_BYTES);
  /** True from a short write until the socket has taken all: nothing may overtake. */
  #blocked = false;
  #standsSince = 0;
  readonly #waiting: Waiting[] = [];
  readonly #out: ByteSink;
  /** Frames cannot be told apart: they are compressed, and the giver sorts them. */
  readonly #isOpaque: boolean;

  constructor(out: ByteSink, options: { isOpaque?: boolean } = {}) {
    this.#out = out;
    this.#isOpaque = options.isOpaque ?? false;
  }

  get isBlocked(): boolean {
    return this.#blocked;
  }

  /** Bytes that are not with the socket, the open unit included. */
  get heldBytes(): number {
    return this.waitingBytes + this.#used;
  }

  /**
   * Takes all frames of the run.
   * @param mayPatch false for a part of a run: the bytes before it are frames that others may still read
   */
  deliver(run: FrameRun, mayPatch = true): void {
    if (this.isBroken) {
      this.lostFrames += run.count;
      return;
    }
    const size = run.end - run.start;
    const isDirect = size >= DIRECT_BYTES && mayPatch && run.start >= 4;
    if (isDirect && this.#count === 0 && !this.#blocked) {
      run.view.setUint32(run.start - 4, run.count);
      this.#write(run.bytes, run.start - 4, run.end);
      return;
    }
    if (this.#blocked && !this.#isOpaque) this.#sort(run);
    else if (4 + size > SLOT_BYTES) this.#gatherInPieces(run, run.start, run.end);
    else this.#gather(run);
  }

  /** Takes one urgent frame, for when bulk has no room left; false when the lane is full as well. */
  deliverUrgent(run: FrameRun): boolean {
    if (this.isBroken) return false;
    if (!this.#blocked) {
      // Another connection of the session is the full one: here nothing would ever drain the lane.
      this.deliver(run);
      this.flush();
      return true;
    }
    return this.#joinLane(run, run.start, run.end - run.start - 4);
  }

  /** Urgent frames into the lane, or lost where that is full, so that a flow keeps its order; bulk to the rest. */
  #sort(run: FrameRun): void {
    eachUrgency(run, this.#part, (part, urgent) => {
      if (!urgent) this.#gatherInPieces(part, part.start, part.end);
      else if (!this.#joinLane(part, part.start, part.end - part.start - 4)) this.lostFrames++;
    });
  }

  #joinLane(run: FrameRun, at: number, size: number): boolean {
    if (this.#laneSlot < 0) {
      this.#laneSlot = batchSlots.take() ?? -1;
      this.#laneUsed = 4;
      if (this.#laneSlot < 0) return false;
    }
    if (this.#laneUsed + 4 + size > SLOT_BYTES) return false;
    PACKET_BYTES.set(run.bytes.subarray(at, at + 4 + size), this.#laneSlot + this.#laneUsed);
    this.#laneUsed += 4 + size;
    this.#laneCount++;
    return true;
  }

  /** Puts the lane's unit before what waits, where a unit begins. */
  #mergeLane(): void {
    const first = this.#waiting[0];
    if (first?.isUnitStart === false || first?.isUrgent === true) return;
    const lane = this.#sealLane();
    if (lane === undefined) return;
    this.#waiting.unshift(lane);
    this.#queue(lane.to - lane.from);
  }

  /** The lane's unit, if there is one; the next urgent frame opens another lane. */
  #sealLane(): Waiting | undefined {
    const slot = this.#laneSlot;
    if (slot < 0) return undefined;
    PACKET_VIEW.setUint32(slot, this.#laneCount);
    const to = slot + this.#laneUsed;
    this.#laneSlot = -1;
    this.#laneUsed = 0;
    this.#laneCount = 0;
    return { slot, from: slot, to, isUnitStart: true, isUrgent: true };
  }

  #gather(run: FrameRun): void {
    const size = run.end - run.start;
    if (this.#used + size > SLOT_BYTES) this.#seal();
    if (this.#slot < 0 && !this.#openSlot()) {
      this.lostFrames += run.count;
      return;
    }
    PACKET_BYTES.set(run.bytes.subarray(run.start, run.end), this.#slot + this.#used);
    this.#used += size;
    this.#count += run.count;
    if (this.#used >= WRITE_BATCH_BYTES && !this.#blocked) this.#seal();
  }

  /** Sends the open unit. While the socket is full it stays open and fills up instead. */
  flush(): void {
    if (this.#count > 0 && !this.#blocked) this.#seal();
  }

  /** Sends bytes that are no frames, in order behind all before them: an HTTP reply, a keep-alive. */
  send(bytes: Uint8Array): void {
    if (this.#count > 0) this.#seal();
    if (this.#blocked) this.#keep(bytes, 0, bytes.length, { isUnitStart: true, isUrgent: false });
    else this.#write(bytes, 0, bytes.length);
  }

  /** The socket takes bytes again. */
  drained(): void {
    for (;;) {
      this.#mergeLane();
      const first = this.#waiting[0];
      if (first === undefined) break;
      const taken = this.#out.write(PACKET_BYTES.subarray(first.from, first.to));
      this.#queue(-taken);
      if (taken > 0) {
        first.from += taken;
        first.isUnitStart = false;
        this.#standsSince = 0;
      }
      if (first.from < first.to) return;
      batchSlots.give(first.slot);
      this.#waiting.shift();
    }
    this.#blocked = false;
    this.flush();
  }

  /** True when bytes have waited for NO_PROGRESS_MS without the socket taking one. */
  isStalled(now: number): boolean {
    if (!this.#blocked) return false;
    if (this.#standsSince === 0) this.#standsSince = now;
    return now - this.#standsSince > NO_PROGRESS_MS;
  }

  /**
   * Moves what waits and has not been begun to another way out, which sends it in its turn: only what the socket
   * had taken, or begun to take, is lost with a connection.
   */
  moveTo(other: Batch): void {
    this.#blocked = true;
    if (this.#count > 0) this.#seal();
    const whole = this.#waiting.findIndex((one) => one.isUnitStart);
    const moving = whole < 0 ? [] : this.#waiting.splice(whole);
    const lane = this.#sealLane();
    for (const one of moving) this.#queue(one.from - one.to);
    if (lane !== undefined) moving.unshift(lane);
    // What is left is the rest of a unit that the socket has begun.
    this.#blocked = this.#waiting.length > 0;
    if (moving.length === 0) return;
    for (const one of moving) other.#queue(one.to - one.from);
    other.#waiting.push(...moving);
    if (other.#blocked) return;
    other.#block();
    other.drained();
  }

  /** Drops all that waits and gives its memory back; returns the frames of the open unit. */
  close(): number {
    const frames = this.#count + this.#laneCount;
    this.#laneCount = 0;
    for (const { slot } of this.#waiting) batchSlots.give(slot);
    if (this.#laneSlot >= 0) batchSlots.give(this.#laneSlot);
    this.#laneSlot = -1;
    this.#waiting.length = 0;
    this.#queue(-this.waitingBytes);
    this.#giveSlot();
    return frames;
  }

  #seal(): void {
    const slot = this.#slot;
    const end = slot + this.#used;
    PACKET_VIEW.setUint32(slot, this.#count);
    if (this.#blocked) {
      this.#slot = -1;
      this.#used = 0;
      this.#count = 0;
      this.#waiting.push({ slot, from: slot, to: end, isUnitStart: true, isUrgent: false });
      this.#queue(end - slot);
      return;
    }
    const taken = this.#out.write(PACKET_BYTES.subarray(slot, end));
    if (taken === end - slot) return this.#giveSlot();
    this.#block();
    this.#seal();
    const last = this.#waiting[this.#waiting.length - 1]!;
    last.from += taken;
    last.isUnitStart = taken === 0;
    // It may hold urgent frames from before the socket was full.
    last.isUrgent = true;
    this.#queue(-taken);
  }

  #write(bytes: Uint8Array, from: number, to: number): void {
    const taken = this.#out.write(bytes.subarray(from, to));
    if (taken === to - from) return;
    this.#block();
    this.#keep(bytes, from + taken, to, { isUnitStart: taken === 0, isUrgent: true });
  }

  #queue(bytes: number): void {
    this.waitingBytes += bytes;
    allQueues.bytes += bytes;
  }

  #block(): void {
    this.#blocked = true;
    this.#standsSince = 0;
  }

  /** Keeps a copy of borrowed bytes: a unit or the rest of one, without which the stream could not go on. */
  #keep(
    bytes: Uint8Array,
    from: number,
    to: number,
    kind: Pick<Waiting, "isUnitStart" | "isUrgent">,
  ): void {
    let { isUnitStart } = kind;
    while (from < to) {
      const slot = batchSlots.take();
      if (slot === undefined) {
        this.isBroken = true;
        return;
      }
      const size = Math.min(SLOT_BYTES, to - from);
      PACKET_BYTES.set(bytes.subarray(from, from + size), slot);
      this.#waiting.push({ ...kind, slot, from: slot, to: slot + size, isUnitStart });
      this.#queue(size);
      from += size;
      isUnitStart = false;
    }
  }

  /**
   * Gathers the frames at from..to of a run, which may be none. Always copied: the four bytes before a later piece
   * are the piece before it, which others may still read.
   */
  #gatherInPieces(run: FrameRun, from: number, to: number): void {
    const piece = this.#piece;
    piece.bytes = run.bytes;
    piece.start = piece.end = from;
    piece.count = 0;
    while (piece.end < to) {
      const next = piece.end + 4 + run.view.getUint32(piece.end);
      if (next - piece.start > SLOT_BYTES - MAX_BLOCK_BYTES) {
        this.#gather(piece);
        piece.start = piece.end;
        piece.count = 0;
      }
      piece.end = next;
      piece.count++;
    }
    if (piece.count > 0) this.#gather(piece);
    // The chunk's memory is released right after this event.
    piece.bytes = PACKET_BYTES;
  }

  #openSlot(): boolean {
    this.#slot = batchSlots.take() ?? -1;
    this.#used = 4;
    return this.#slot >= 0;
  }

  #giveSlot(): void {
    if (this.#slot >= 0) batchSlots.give(this.#slot);
    this.#slot = -1;
    this.#used = 0;
    this.#count = 0;
  }
}
