const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

export function encodeText(text: string): Uint8Array {
  return encoder.encode(text);
}

/**
 * The text of bytes that should be UTF-8. Bytes that are not are shown as `\xNN` rather than replaced, so
 * that two names that differ never look alike (robustness.md PK-09).
 */
export function decodeText(bytes: Uint8Array): string {
  let text = "";
  let good = 0;
  let at = 0;
  while (at < bytes.length) {
    const length = bytes[at]! < 0x80 ? 1 : sequenceLength(bytes, at);
    if (length > 0) {
      at += length;
      continue;
    }
    if (at > good) text += decoder.decode(bytes.subarray(good, at));
    text += `\\x${bytes[at]!.toString(16).padStart(2, "0")}`;
    good = ++at;
  }
  return text + decoder.decode(bytes.subarray(good));
}

/** Length of the well-formed sequence of several bytes at `at`, 0 if there is none (Unicode, table 3-7). */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at]!;
  const length = lead >= 0xc2 && lead <= 0xdf ? 2 : (lead & 0xf0) === 0xe0 ? 3 : 4;
  if (lead < 0xc2 || lead > 0xf4 || at + length > bytes.length) return 0;
  const second = bytes[at + 1]!;
  // Overlong forms, surrogates and what lies past U+10FFFF are told apart by the second byte.
  const least = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const most = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < least || second > most) return 0;
  for (let i = at + 2; i < at + length; i++) if ((bytes[i]! & 0xc0) !== 0x80) return 0;
  return length;
}
