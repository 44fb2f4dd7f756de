import { MAX_CAPTURE_BYTES } from "../../base/limits.ts";

const FIRST_BYTES = 1 << 16;

/** Memory for blocks that wait to be written; it grows up to what it is allowed. */
export class CaptureRoom {
  bytes = new Uint8Array(0);
  view = new DataView(this.bytes.buffer);
  /** Where the next block goes. */
  used = 0;
  /** Blocks of frames in it. */
  frames = 0;
  /** Where files end. */
  readonly cuts: number[] = [];

  /** Sees to it that so many bytes fit behind what is there; false if that would be more than `most` in all. */
  reserve(count: number, most: number): boolean {
    const needed = this.used + count;
    if (needed > most) return false;
    if (needed > this.bytes.length)
      this.#grow(Math.max(needed, Math.min(2 * this.bytes.length, MAX_CAPTURE_BYTES), FIRST_BYTES));
    return true;
  }

  /** Adds a block whatever the room: of those there are few. */
  append(block: Uint8Array): void {
    this.reserve(block.length, Infinity);
    this.bytes.set(block, this.used);
    this.used += block.length;
  }

  /** The file ends here. */
  cut(): void {
    this.cuts.push(this.used);
  }

  empty(): void {
    this.used = 0;
    this.frames = 0;
    this.cuts.length = 0;
  }

  #grow(length: number): void {
    const bytes = new Uint8Array(length);
    bytes.set(this.bytes.subarray(0, this.used));
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
  }
}
