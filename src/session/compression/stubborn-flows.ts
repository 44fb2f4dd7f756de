/** Failures in a row after which a flow is taken to be encrypted or compressed already. */
const MAX_FAILURES = 3;
/** So many of its frames then go as they are before one is tried again. */
const FRAMES_PASSED = 60;
const TABLE_BITS = 10;
/** Addresses and ports of untagged IPv4 lie at 26..37; of anything else these bytes tell flows apart well enough. */
const KEY_OFFSET = 26;
const KEY_BYTES = 12;

/**
 * Remembers which flows do not shrink, so that trying is not paid for with each of their frames. It only guesses: two
 * flows may share an entry, and then one of them is tried too seldom.
 */
export class StubbornFlows {
  /** Up to MAX_FAILURES: failures so far; above: so many more frames are passed before the next try. */
  readonly #table = new Uint8Array(1 << TABLE_BITS);

  /** The flow of the frame at `at`, for the two others. */
  flowOf(view: DataView, at: number, size: number): number {
    if (size < KEY_OFFSET + KEY_BYTES) return 0;
    const key = at + KEY_OFFSET;
    const mixed =
      Math.imul(view.getUint32(key), 0x9e3779b1) ^
      Math.imul(view.getUint32(key + 4), 0x85ebca6b) ^
      Math.imul(view.getUint32(key + 8), 0xc2b2ae35);
    return Math.imul(mixed ^ (mixed >>> 15), 0x27d4eb2f) >>> (32 - TABLE_BITS);
  }

  /** True if a frame of the flow is worth a try. */
  mayShrink(flow: number): boolean {
    const entry = this.#table[flow]!;
    if (entry <= MAX_FAILURES) return true;
    this.#table[flow] = entry - 1;
    return false;
  }

  /** Tells how the try went. */
  note(flow: number, hasShrunk: boolean): void {
    const entry = this.#table[flow]!;
    if (hasShrunk) this.#table[flow] = 0;
    else this.#table[flow] = entry < MAX_FAILURES ? entry + 1 : MAX_FAILURES + FRAMES_PASSED;
  }
}
