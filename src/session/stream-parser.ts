import { ProtocolError } from "../base/errors.ts";
import { MAX_BLOCK_BYTES, MAX_KEEPALIVE_BYTES } from "../base/limits.ts";
import { emptyRun, type FrameRun, type FrameSink } from "../hub/port.ts";

// The data stream of one connection in one direction (protocol.md 13):
//
//   unit      = u32 n, n * (u32 size, size bytes)
//   keepalive = u32 0xFFFFFFFF, u32 size, size bytes
//
// Stages: finish the item that the last chunk cut off, walk whole blocks where they lie, keep the cut tail. Small units that
// follow each other are moved together and go on as one run: what a hub does for a run it does once for them all.

const KEEPALIVE_MARK = 0xffff_ffff;

/** What the next four bytes are. */
const AT_COUNT = 0;
const AT_BLOCK = 1;
const AT_KEEPALIVE_SIZE = 2;
/** The body of a keep-alive: its beginning is kept, the rest passed over by count. */
const IN_KEEPALIVE = 3;
/** A body may begin with a word to the peer (protocol.md 17.6, hub.md 5.7); the longest one is shorter than this. */
const NOTE_BYTES = 64;

/** Blocks of a unit that are worth the move, and the run that they may make together. */
const MAX_MOVED_BYTES = 2_048;
const MAX_GATHERED_BYTES = 32_768;

const NO_BYTES = new Uint8Array(0);

/** Frames and their bytes that came, over all connections of a session. */
export interface ReceivedCounts {
  inFrames: number;
  inBytes: number;
}

/**
 * Turns the bytes of one connection into runs that lie in the chunk itself. Sizes of frames are left to the
 * sink to judge; only what ends a connection is an error here.
 */
export class StreamParser {
  /** Whole items seen, keep-alives among them: a connection on which this stands still is silent. */
  items = 0;
  #state = AT_COUNT;
  #blocksLeft = 0;
  #skip = 0;
  /** The item that a chunk cut off: taken when first needed, at most one size and one block. */
  #tail = NO_BYTES;
  #tailUsed = 0;
  readonly #run: FrameRun = emptyRun(NO_BYTES);
  /** Blocks of the present chunk that have not been handed over: where they lie, and how many. */
  #gatheredFrom = 0;
  #gatheredTo = 0;
  #gathered = 0;
  #tailView: DataView | undefined;
  #note = NO_BYTES;
  #noteUsed = 0;
  readonly #counts: ReceivedCounts;
  readonly #onKeepalive: (note: Uint8Array) => void;

  /** @param onKeepalive gets the first bytes of each body, which are gone after the call */
  constructor(counts: ReceivedCounts, onKeepalive: (note: Uint8Array) => void) {
    this.#counts = counts;
    this.#onKeepalive = onKeepalive;
  }

  /**
   * Delivers every whole frame of the chunk to the sink, without flushing it. The chunk is the parser's: its bytes may be
   * moved.
   * @throws ProtocolError `stream_block` or `stream_keepalive`: the connection must end.
   */
  feed(chunk: Uint8Array, sink: FrameSink): void {
    let at = this.#tailUsed > 0 ? this.#finishTail(chunk, sink) : 0;
    if (at === chunk.length && this.#state !== IN_KEEPALIVE) return;
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    try {
      at = this.#walk(chunk, view, at, sink);
    } finally {
      // Also before an error: what stood before it is not lost.
      this.#handOver(chunk, view, sink);
    }
    if (at < chunk.length) this.#keepTail(chunk, at);
  }

  /** Goes through the chunk from `at`; answers where it could not go on. */
  #walk(chunk: Uint8Array, view: DataView, from: number, sink: FrameSink): number {
    const end = chunk.length;
    let at = from;
    for (;;) {
      if (this.#state === IN_KEEPALIVE) {
        const passed = Math.min(this.#skip, end - at);
        if (passed > 0) this.#keepNote(chunk, at, passed);
        at += passed;
        this.#skip -= passed;
        if (this.#skip > 0) return at;
        this.#state = AT_COUNT;
        this.items++;
        this.#handOver(chunk, view, sink);
        this.#onKeepalive(this.#note.subarray(0, this.#noteUsed));
        this.#noteUsed = 0;
      }
      if (this.#state === AT_BLOCK) {
        at = this.#walkBlocks(chunk, view, at, sink);
        if (this.#state === AT_BLOCK) return at;
      }
      if (end - at < 4) return at;
      this.#header(view.getUint32(at));
      at += 4;
    }
  }

  /** Walks blocks from `at` as long as they are whole, gathers them, and returns where it stopped. */
  #walkBlocks(chunk: Uint8Array, view: DataView, at: number, sink: FrameSink): number {
    const start = at;
    const end = chunk.length;
    let left = this.#blocksLeft;
    while (left > 0 && end - at >= 4) {
      const size = view.getUint32(at);
      if (size > MAX_BLOCK_BYTES || end - at - 4 < size) break;
      at += 4 + size;
      left--;
    }
    const count = this.#blocksLeft - left;
    this.#blocksLeft = left;
    if (left === 0) this.#state = AT_COUNT;
    if (count > 0) this.#gather(chunk, view, start, at, count, sink);
    // Only now, so that what stood before it is not lost.
    if (left > 0 && end - at >= 4) checkBlockSize(view.getUint32(at));
    return at;
  }

  #gather(
    chunk: Uint8Array,
    view: DataView,
    start: number,
    end: number,
    count: number,
    sink: FrameSink,
  ): void {
    const bytes = end - start;
    const isSmall = bytes <= MAX_MOVED_BYTES;
    if (
      this.#gathered > 0 &&
      isSmall &&
      this.#gatheredTo - this.#gatheredFrom + bytes <= MAX_GATHERED_BYTES
    ) {
      chunk.copyWithin(this.#gatheredTo, start, end);
      this.#gatheredTo += bytes;
      this.#gathered += count;
      return;
    }
    this.#handOver(chunk, view, sink);
    if (isSmall) {
      this.#gatheredFrom = start;
      this.#gatheredTo = end;
      this.#gathered = count;
    } else {
      this.#deliver(chunk, view, start, end, count, sink);
    }
  }

  /** Delivers what was gathered. */
  #handOver(chunk: Uint8Array, view: DataView, sink: FrameSink): void {
    const count = this.#gathered;
    if (count === 0) return;
    this.#gathered = 0;
    this.#deliver(chunk, view, this.#gatheredFrom, this.#gatheredTo, count, sink);
  }

  #header(word: number): void {
    if (this.#state === AT_KEEPALIVE_SIZE) {
      if (word > MAX_KEEPALIVE_BYTES) {
        throw new ProtocolError("stream_keepalive", `a keep-alive of ${word} bytes`);
      }
      this.#skip = word;
      this.#state = IN_KEEPALIVE;
    } else if (word === KEEPALIVE_MARK) {
      this.#state = AT_KEEPALIVE_SIZE;
    } else if (word > 0) {
      // Only counted down, so its size costs nothing: 4,294,967,294 is as good as 1.
      this.#blocksLeft = word;
      this.#state = AT_BLOCK;
    }
  }

  /** Completes the cut item from the new chunk; returns how many bytes of it were used. */
  #finishTail(chunk: Uint8Array, sink: FrameSink): number {
    const tail = this.#tail;
    const view = this.#tailView!;
    let at = 0;
    for (;;) {
      const known = this.#state === AT_BLOCK && this.#tailUsed >= 4;
      const size = known ? view.getUint32(0) : 0;
      checkBlockSize(size);
      const wanted = Math.min(4 + size - this.#tailUsed, chunk.length - at);
      if (wanted > 0) {
        tail.set(chunk.subarray(at, at + wanted), this.#tailUsed);
        this.#tailUsed += wanted;
        at += wanted;
      }
      if (this.#tailUsed < 4 + size) return at;
      if (this.#state !== AT_BLOCK) {
        this.#tailUsed = 0;
        this.#header(view.getUint32(0));
        return at;
      }
      if (known || view.getUint32(0) === 0) break;
    }
    const end = this.#tailUsed;
    this.#tailUsed = 0;
    if (--this.#blocksLeft === 0) this.#state = AT_COUNT;
    this.#deliver(tail, view, 0, end, 1, sink);
    return at;
  }

  #keepNote(chunk: Uint8Array, at: number, bytes: number): void {
    const kept = Math.min(bytes, NOTE_BYTES - this.#noteUsed);
    if (kept === 0) return;
    if (this.#note.length === 0) this.#note = new Uint8Array(NOTE_BYTES);
    this.#note.set(chunk.subarray(at, at + kept), this.#noteUsed);
    this.#noteUsed += kept;
  }

  #keepTail(chunk: Uint8Array, at: number): void {
    if (this.#tailView === undefined) {
      this.#tail = new Uint8Array(4 + MAX_BLOCK_BYTES);
      this.#tailView = new DataView(this.#tail.buffer);
    }
    this.#tail.set(chunk.subarray(at));
    this.#tailUsed = chunk.length - at;
  }

  #deliver(
    bytes: Uint8Array,
    view: DataView,
    start: number,
    end: number,
    count: number,
    sink: FrameSink,
  ): void {
    this.items += count;
    this.#counts.inFrames += count;
    this.#counts.inBytes += end - start - 4 * count;
    const run = this.#run;
    run.bytes = bytes;
    run.view = view;
    run.start = start;
    run.end = end;
    run.count = count;
    sink.deliver(run);
    // The chunk's memory is released right after this event; nothing may lead back to it.
    run.bytes = NO_BYTES;
  }
}

function checkBlockSize(size: number): void {
  if (size > MAX_BLOCK_BYTES) throw new ProtocolError("stream_block", `a block of ${size} bytes`);
}
