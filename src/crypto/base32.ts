const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/**
 * Base32 of RFC 4648 6 as people write it: any case, with or without padding, with blanks or hyphens between
 * groups. Undefined for other letters, for a length that no bytes have, and for bits left over that are not zero.
 */
export function tryDecodeBase32(text: string): Uint8Array | undefined {
  const letters = text.replaceAll(/[\s-]/g, "").replace(/=+$/, "").toUpperCase();
  const bytes = new Uint8Array(Math.floor((letters.length * 5) / 8));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const letter of letters) {
    const value = LETTERS.indexOf(letter);
    if (value < 0) return undefined;
    bits = ((bits << 5) | value) & 0xfff;
    held += 5;
    if (held < 8) continue;
    held -= 8;
    bytes[at++] = bits >> held;
  }
  const isWhole = held < 5 && (bits & ((1 << held) - 1)) === 0;
  return isWhole && bytes.length > 0 ? bytes : undefined;
}
