import { MAX_FRAME_BYTES } from "../base/limits.ts";
import { emptyRun, type FrameRun } from "../hub/port.ts";
import { PACKET_BYTES } from "../platform/packet-memory.ts";
import {
  AREA_BYTES,
  type BlockCoder,
  type CoderAreas,
  DECODING,
  ENCODING,
} from "./compression/block-coder.ts";
import { DeflateCoder } from "./compression/deflate-coder.ts";
import { ForwardedBlocks, MAX_FORWARDED } from "./compression/forwarded-blocks.ts";
import { Lz4Coder } from "./compression/lz4-coder.ts";
import { StubbornFlows } from "./compression/stubborn-flows.ts";

/** Turns runs of frames into runs of blocks for the wire, and back (protocol.md 13). One per session, both directions. */
export interface BlockCodec {
  readonly name: "deflate" | "lz4";
  /**
   * Hands over the same frames, compressed, as one run or several in packet memory, each with room before `start` for
   * a unit's count. What does not shrink is stored as it is.
   */
  encode(run: FrameRun, each: (blocks: FrameRun) => void): void;
  /** Hands over the frames of received blocks in packet memory; broken blocks are left out and counted. */
  decode(run: FrameRun, each: (frames: FrameRun) => void): void;
  /** Blocks that are no whole compressed frame of at most 1600 bytes. */
  readonly badBlocks: number;
}

/** For the count of a unit, which a batch may write before a run. */
const HEADROOM_BYTES = 4;
/** What is encoded at once: stored as it is and with all overhead it still fits into an area. */
const MAX_PIECE_BYTES = 32_768;
const MAX_PIECE_FRAMES = 512;
/** Acknowledgements and the like: what compressing spares is less than what it costs. */
const MIN_TRY_BYTES = 128;
/** A frame counts as shrunk from one part in 16 on: less is not worth the other side's work. */
const LEAST_GAIN_SHIFT = 4;

const forwarded = new ForwardedBlocks();
let deflate: DeflateCoder | undefined;
let lz4: Lz4Coder | undefined;

/** @throws VpnError `compression` if the runtime or the library is not as expected */
export function createBlockCodec(name: BlockCodec["name"]): BlockCodec {
  return new RunCodec(name === "lz4" ? (lz4 ??= new Lz4Coder()) : (deflate ??= new DeflateCoder()));
}

class RunCodec implements BlockCodec {
  badBlocks = 0;
  readonly #coder: BlockCoder;
  readonly #flows = new StubbornFlows();
  readonly #encoded: FrameRun = emptyRun(PACKET_BYTES);
  readonly #decoded: FrameRun = emptyRun(PACKET_BYTES);

  constructor(coder: BlockCoder) {
    this.#coder = coder;
  }

  get name(): BlockCodec["name"] {
    return this.#coder.name;
  }

  /* Out: frames to blocks. */

  encode(run: FrameRun, each: (blocks: FrameRun) => void): void {
    for (let at = run.start; at < run.end;) {
      let end = at;
      let count = 0;
      while (end < run.end && count < MAX_PIECE_FRAMES) {
        const next = end + 4 + run.view.getUint32(end);
        if (next - at > MAX_PIECE_BYTES) break;
        end = next;
        count++;
      }
      // A frame that alone is too much breaks the run's contract; nothing sensible can follow it.
      if (count === 0) return;
      this.#encodePiece(run, at, end);
      this.#encoded.count = count;
      each(this.#encoded);
      at = end;
    }
  }

  #encodePiece(run: FrameRun, from: number, end: number): void {
    const coder = this.#coder;
    const shift = stage(coder, run, from, end, coder.encoding);
    const start = coder.encoding.output + HEADROOM_BYTES;
    let to = start;
    const isForwarding = forwarded.isOpenFor(coder, run);
    for (let at = from; at < end;) {
      const size = run.view.getUint32(at);
      let blockBytes = isForwarding ? forwarded.copy(at, to + 4) : 0;
      if (blockBytes === 0) blockBytes = this.#block(at + 4 + shift, size, to + 4);
      coder.view.setUint32(to, blockBytes);
      to += 4 + blockBytes;
      at += 4 + size;
    }
    publish(coder, start, to, ENCODING.output, this.#encoded);
  }

  #block(at: number, size: number, to: number): number {
    const coder = this.#coder;
    if (size < MIN_TRY_BYTES) return coder.store(at, size, to);
    const flow = this.#flows.flowOf(coder.view, at, size);
    if (!this.#flows.mayShrink(flow)) return coder.store(at, size, to);
    const blockBytes = coder.compress(at, size, to, size - (size >> LEAST_GAIN_SHIFT));
    this.#flows.note(flow, blockBytes > 0);
    return blockBytes > 0 ? blockBytes : coder.store(at, size, to);
  }

  /* In: blocks to frames. */

  decode(run: FrameRun, each: (frames: FrameRun) => void): void {
    for (let at = run.start; at < run.end;) {
      let end = at;
      while (end < run.end) {
        const next = end + 4 + run.view.getUint32(end);
        if (next - at > AREA_BYTES) break;
        end = next;
      }
      if (end === at) return;
      this.#decodePiece(run, at, end, each);
      at = end;
    }
  }

  #decodePiece(run: FrameRun, from: number, end: number, each: (frames: FrameRun) => void): void {
    const coder = this.#coder;
    const shift = stage(coder, run, from, end, coder.decoding);
    const start = coder.decoding.output + HEADROOM_BYTES;
    const toPacket = DECODING.output - coder.decoding.output;
    const full = coder.decoding.output + AREA_BYTES - 4 - MAX_FRAME_BYTES;
    let to = start;
    let count = 0;
    for (let at = from; at < end;) {
      const blockBytes = run.view.getUint32(at);
      const block = at + 4 + shift;
      at += 4 + blockBytes;
      // Skipped without a word (protocol.md 13).
      if (blockBytes === 0) continue;
      const size = coder.expand(block, blockBytes, to + 4);
      if (size < 0) {
        this.badBlocks++;
        continue;
      }
      coder.view.setUint32(to, size);
      // What a sender swelled is not passed on as it is.
      if (blockBytes <= size + coder.storedOverhead)
        forwarded.add(to + toPacket, block, blockBytes);
      to += 4 + size;
      if (++count < MAX_FORWARDED && to <= full) continue;
      this.#handOver(start, to, count, each);
      to = start;
      count = 0;
    }
    this.#handOver(start, to, count, each);
  }

  #handOver(start: number, end: number, count: number, each: (frames: FrameRun) => void): void {
    if (count === 0) return;
    const coder = this.#coder;
    publish(coder, start, end, DECODING.output, this.#decoded);
    this.#decoded.count = count;
    forwarded.open(coder);
    try {
      each(this.#decoded);
    } finally {
      forwarded.clear();
    }
  }
}

/** Brings from..end of the run into the coder's memory; gives what to add to an offset in the run for the same byte there. */
function stage(
  coder: BlockCoder,
  run: FrameRun,
  from: number,
  end: number,
  areas: CoderAreas,
): number {
  if (run.bytes === coder.bytes) return 0;
  coder.bytes.set(run.bytes.subarray(from, end), areas.input);
  return areas.input - from;
}

/** Brings what a coder wrote at start..end of its output area to the same place in the area in packet memory. */
function publish(coder: BlockCoder, start: number, end: number, area: number, run: FrameRun): void {
  run.start = area + HEADROOM_BYTES;
  run.end = run.start + end - start;
  if (coder.bytes !== run.bytes) run.bytes.set(coder.bytes.subarray(start, end), run.start);
}
