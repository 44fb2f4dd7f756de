// The probe of a tail whose loss nothing behind it would tell of (RFC 8985 7).
import type { RttEstimator } from "./rtt.ts";

/** 7.2: a tail of one segment may be answered late, by a delayed acknowledgment. */
const LONE_TAIL_MS = 200;
const LEAST_PROBE_MS = 5;

export class TailProbe {
  readonly #mss: number;
  readonly #hasSack: boolean;
  /** End of the tail that was probed, negative without; and whether it had been sent before. */
  #end = -1;
  #isRepeat = false;

  constructor(path: { readonly mss: number; readonly hasSack: boolean }) {
    this.#mss = path.mss;
    this.#hasSack = path.hasSack;
  }

  /** Milliseconds of silence after which `flight` bytes are probed; Infinity where none is to be sent (7.2). */
  waitMs(flight: number, rtt: RttEstimator): number {
    if (!this.#hasSack || this.#end >= 0 || rtt.smoothed === 0) return Infinity;
    const lone = flight <= this.#mss ? LONE_TAIL_MS : 0;
    return Math.max(2 * rtt.smoothed, LEAST_PROBE_MS) + lone;
  }

  /** All up to `end` was sent; the probe was new, or the last of it once more. */
  sent(end: number, isRepeat: boolean): void {
    this.#end = end;
    this.#isRepeat = isRepeat;
  }

  forget(): void {
    this.#end = -1;
  }

  /**
   * True if only the probe has brought the tail (7.4.2), which is clear when the peer goes on without a word of two copies.
   * @param isRepeat the peer tells that something came twice
   * @param isBare it says nothing that the acknowledgment before did not
   */
  isLostBy(acknowledged: number, isRepeat: boolean, isBare: boolean): boolean {
    if (this.#end < 0 || acknowledged < this.#end) return false;
    const isNoLoss = !this.#isRepeat || isRepeat || isBare;
    if (!isNoLoss && acknowledged === this.#end) return false;
    this.#end = -1;
    return !isNoLoss;
  }
}
