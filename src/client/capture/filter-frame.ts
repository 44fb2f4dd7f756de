const NO_BYTES = new DataView(new ArrayBuffer(0));

/** A test of a capture filter. */
export type FrameTest = (frame: FilterFrame) => boolean;

/**
 * The frame that a filter looks at; one object for all frames. What lies beyond its end makes the whole filter say
 * no, whatever it asked for, as the filters of libpcap do.
 */
export class FilterFrame {
  size = 0;
  /** Something beyond the end was read. */
  isCut = false;
  #view: DataView = NO_BYTES;
  #start = 0;

  aim(view: DataView, start: number, size: number): void {
    this.#view = view;
    this.#start = start;
    this.size = size;
    this.isCut = false;
  }

  /** Lets go of the bytes. */
  release(): void {
    this.aim(NO_BYTES, 0, 0);
  }

  u8(at: number): number {
    return this.#has(at, 1) ? this.#view.getUint8(this.#start + at) : 0;
  }

  u16(at: number): number {
    return this.#has(at, 2) ? this.#view.getUint16(this.#start + at) : 0;
  }

  /** As a signed number, which is what comparing by masks gives. */
  i32(at: number): number {
    return this.#has(at, 4) ? this.#view.getInt32(this.#start + at) : 0;
  }

  #has(at: number, bytes: number): boolean {
    if (at + bytes <= this.size) return true;
    this.isCut = true;
    return false;
  }
}
