import { describe, expect, test } from "bun:test";
import type { Ipv4 } from "../../src/base/ip.ts";
import {
  finishChecksum,
  internetChecksum,
  pseudoHeaderSum,
  sumWords,
} from "../../src/wire/checksum.ts";
import { fromHex } from "../support/hex.ts";
import { seededRandom } from "../support/seeded-random.ts";

describe("internetChecksum()", () => {
  test("gives the sum of the example in RFC 1071 3", () => {
    expect(internetChecksum(fromHex("0001 f203 f4f5 f6f7"), 0, 8)).toBe(0xffff ^ 0xddf2);
  });
  test("gives the checksum of a known IPv4 header, and 0 with it in place", () => {
    const header = fromHex("4500 0073 0000 4000 4011 0000 c0a8 0001 c0a8 00c7");
    expect(internetChecksum(header, 0, 20)).toBe(0xb861);
    new DataView(header.buffer).setUint16(10, 0xb861);
    expect(internetChecksum(header, 0, 20)).toBe(0);
  });
  test("takes an odd last byte for the high half of a word", () => {
    expect(internetChecksum(fromHex("0102 03"), 0, 3)).toBe(0xffff ^ (0x0102 + 0x0300));
    expect(internetChecksum(fromHex("ff 0102 03 ff"), 1, 4)).toBe(0xffff ^ (0x0102 + 0x0300));
  });
  test("of nothing is 0xffff", () => expect(internetChecksum(new Uint8Array(), 0, 0)).toBe(0xffff));
});

test("sumWords() over pieces of even length agrees with one sum, carries and all", () => {
  const random = seededRandom(1071);
  for (let round = 0; round < 200; round++) {
    const bytes = random.bytes(random.below(3000)).map((byte) => byte | 0xc0);
    const cut = random.below(bytes.length / 2 + 1) & ~1;
    const pieces = sumWords(bytes, cut, bytes.length, sumWords(bytes, 0, cut));
    expect(finishChecksum(pieces)).toBe(internetChecksum(bytes, 0, bytes.length));
  }
  const largest = new Uint8Array(65_535).fill(0xff);
  expect(internetChecksum(largest, 0, 65_534)).toBe(0);
});

test("pseudoHeaderSum() is the sum of the bytes it stands for", () => {
  const bytes = fromHex("c0a8 1e01 ffff ffff 0011 0134");
  expect(finishChecksum(pseudoHeaderSum(0xc0a81e01 as Ipv4, 0xffffffff as Ipv4, 17, 0x134))).toBe(
    internetChecksum(bytes, 0, 12),
  );
});
