import { expect, test } from "bun:test";
import { decodeText, encodeText } from "../../src/wire/text.ts";
import { fromHex } from "../support/hex.ts";
import { seededRandom } from "../support/seeded-random.ts";

for (const text of ["", "plain", "Zoë 漢", "\u{1f980}x", "\ufeffbom", "\u{10ffff}\u07ff\uffff"]) {
  test(`decodeText() gives back ${JSON.stringify(text)}`, () => {
    expect(decodeText(encodeText(text))).toBe(text);
  });
}

const MALFORMED: readonly [why: string, hex: string, shown: string][] = [
  ["a lone continuation byte", "61 80 62", "a\\x80b"],
  ["a sequence cut by the end", "61 e6 bc", "a\\xe6\\xbc"],
  ["a sequence cut by a letter", "c3 41", "\\xc3A"],
  ["an overlong form of two bytes", "c0 af", "\\xc0\\xaf"],
  ["an overlong form of three bytes", "e0 9f bf", "\\xe0\\x9f\\xbf"],
  ["an overlong form of four bytes", "f0 8f bf bf", "\\xf0\\x8f\\xbf\\xbf"],
  ["a surrogate", "ed a0 80", "\\xed\\xa0\\x80"],
  ["a code point past the last", "f4 90 80 80", "\\xf4\\x90\\x80\\x80"],
  ["a lead byte that does not exist", "f5 80 80 80", "\\xf5\\x80\\x80\\x80"],
  ["good text after a bad byte", "ff c3 a9", "\\xffé"],
];
for (const [why, hex, shown] of MALFORMED) {
  test(`decodeText() escapes ${why}`, () => expect(decodeText(fromHex(hex))).toBe(shown));
}

test("decodeText() agrees with the platform on which bytes are UTF-8", () => {
  const random = seededRandom(8);
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const leads = [0x41, 0x5a, 0xc3, 0xe0, 0xe6, 0xed, 0xf0, 0xf4, 0x80, 0x9f, 0xa0, 0xbf];
  let good = 0;
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from({ length: random.below(6) }, () => leads[random.below(12)]!);
    let expected: string | undefined;
    try {
      expected = strict.decode(bytes);
      good++;
    } catch {
      expected = undefined;
    }
    const shown = decodeText(bytes);
    expect(shown.includes("\\x")).toBe(expected === undefined);
    if (expected !== undefined) expect(shown).toBe(expected);
  }
  expect(good).toBeGreaterThan(1000);
});
