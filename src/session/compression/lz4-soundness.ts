/** Shortest match of the LZ4 block format, which its length counts from. */
const MIN_MATCH_BYTES = 4;
/** A length of 15 in a token goes on in further bytes, up to one that is not 255. */
const LENGTH_GOES_ON = 15;

/**
 * True if the LZ4 block at `at`..`end` expands to exactly `size` bytes and copies nothing but what it has made before.
 *
 * lz4_flex up to 0.11.5, from which lz4-wasm is built, does not look at offsets closely enough: a match with offset 0
 * gives whatever its memory held, here frames of other sessions (CVE-2026-32829). It gets no block that was not looked at.
 */
export function isSoundLz4(bytes: Uint8Array, at: number, end: number, size: number): boolean {
  let made = 0;
  while (at < end) {
    const token = bytes[at++]!;
    let literals = token >> 4;
    if (literals === LENGTH_GOES_ON) {
      for (let more = 255; more === 255; literals += more) {
        if (at >= end) return false;
        more = bytes[at++]!;
      }
    }
    at += literals;
    made += literals;
    // Only literals come last.
    if (at === end) return made === size;
    if (at + 2 > end) return false;
    const offset = bytes[at]! | (bytes[at + 1]! << 8);
    if (offset === 0 || offset > made) return false;
    at += 2;
    let match = token & 15;
    if (match === LENGTH_GOES_ON) {
      for (let more = 255; more === 255; match += more) {
        if (at >= end) return false;
        more = bytes[at++]!;
      }
    }
    made += match + MIN_MATCH_BYTES;
    if (made > size) return false;
  }
  return false;
}
