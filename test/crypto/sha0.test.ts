import { expect, test } from "bun:test";
import { sha0 } from "../../src/crypto/sha0.ts";
import vectors from "../vectors/password.json" with { type: "json" };
import { seededRandom } from "../support/seeded-random.ts";
import { toHex } from "../support/hex.ts";

for (const { input_ascii, digest } of vectors.sha0) {
  test(`sha0() gives the check value of ${input_ascii.length} bytes`, () => {
    expect(toHex(sha0(new TextEncoder().encode(input_ascii)))).toBe(digest);
  });
}

/** The text of FIPS 180 word by word, with whole numbers in place of 32-bit tricks. */
function sha0Plain(message: Uint8Array): string {
  const MOD = 2n ** 32n;
  const rotate = (x: bigint, by: bigint) => ((x << by) | (x >> (32n - by))) % MOD;
  const bytes = [...message, 0x80];
  while (bytes.length % 64 !== 56) bytes.push(0);
  const bits = BigInt(message.length) * 8n;
  for (let shift = 56n; shift >= 0n; shift -= 8n) bytes.push(Number((bits >> shift) & 255n));
  const h = [0x67452301n, 0xefcdab89n, 0x98badcfen, 0x10325476n, 0xc3d2e1f0n];
  for (let at = 0; at < bytes.length; at += 64) {
    const w: bigint[] = [];
    for (let t = 0; t < 80; t++) {
      w[t] =
        t < 16
          ? bytes
              .slice(at + 4 * t, at + 4 * t + 4)
              .reduce((sum, byte) => sum * 256n + BigInt(byte), 0n)
          : w[t - 3]! ^ w[t - 8]! ^ w[t - 14]! ^ w[t - 16]!;
    }
    let [a, b, c, d, e] = h as [bigint, bigint, bigint, bigint, bigint];
    for (let t = 0; t < 80; t++) {
      const [f, k] =
        t < 20
          ? [(b & c) | ((b ^ (MOD - 1n)) & d), 0x5a827999n]
          : t < 40
            ? [b ^ c ^ d, 0x6ed9eba1n]
            : t < 60
              ? [(b & c) | (b & d) | (c & d), 0x8f1bbcdcn]
              : [b ^ c ^ d, 0xca62c1d6n];
      const next = (rotate(a, 5n) + f + e + w[t]! + k) % MOD;
      [a, b, c, d, e] = [next, a, rotate(b, 30n), c, d];
    }
    [a, b, c, d, e].forEach((value, i) => (h[i] = (h[i]! + value) % MOD));
  }
  return h.map((word) => word.toString(16).padStart(8, "0")).join("");
}

test("sha0() agrees with the plain form at every length around the block's end", () => {
  const random = seededRandom(180);
  for (let length = 0; length <= 130; length++) {
    const message = random.bytes(length);
    expect(toHex(sha0(message))).toBe(sha0Plain(message));
  }
});
