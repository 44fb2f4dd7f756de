import type { FrameRun } from "../../hub/port.ts";
import { PACKET_BYTES } from "../../platform/packet-memory.ts";
import type { BlockCoder } from "./block-coder.ts";

/** Frames that are remembered at once. */
export const MAX_FORWARDED = 512;

/**
 * The blocks that the frames now on their way were in. A hub hands frames on where they lie, so one that goes to
 * another session with the same compression can leave in the block that it came in: half a server's work.
 */
export class ForwardedBlocks {
  #coder: BlockCoder | undefined;
  #count = 0;
  /** Of each frame, in the order of their offsets in packet memory: its size field, its block and that one's length. */
  readonly #frames = new Int32Array(MAX_FORWARDED);
  readonly #blocks = new Int32Array(MAX_FORWARDED);
  readonly #sizes = new Int32Array(MAX_FORWARDED);

  /** Remembers a block that lies at `block` in the coder's memory, whose frame will lie in packet memory. */
  add(frame: number, block: number, size: number): void {
    const index = this.#count++;
    this.#frames[index] = frame;
    this.#blocks[index] = block;
    this.#sizes[index] = size;
  }

  /** From here on, until `clear`, frame and block both lie where they were said to. */
  open(coder: BlockCoder): void {
    this.#coder = coder;
  }

  clear(): void {
    this.#coder = undefined;
    this.#count = 0;
  }

  /** True if frames of the run may be remembered, with blocks of this coder. */
  isOpenFor(coder: BlockCoder, run: FrameRun): boolean {
    return this.#coder === coder && run.bytes === PACKET_BYTES;
  }

  /** Copies the block of the frame whose size field is at `frame` to `to` in the coder's memory; 0 if there is none. */
  copy(frame: number, to: number): number {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#frames[middle]! < frame) low = middle + 1;
      else high = middle;
    }
    if (low === this.#count || this.#frames[low] !== frame) return 0;
    const block = this.#blocks[low]!;
    const size = this.#sizes[low]!;
    this.#coder?.bytes.copyWithin(to, block, block + size);
    return size;
  }
}
