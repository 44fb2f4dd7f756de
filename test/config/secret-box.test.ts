import { expect, test } from "bun:test";
import { systemRandom } from "../../src/base/random.ts";
import { seal, tryUnseal } from "../../src/config/secret-box.ts";

const KEY = new Uint8Array(32).fill(7);
const PLAIN = new TextEncoder().encode("secret");

test("tryUnseal() gives back what seal() was given", () => {
  const box = seal(KEY, "label", PLAIN, systemRandom);
  expect(tryUnseal(KEY, "label", box)).toEqual(PLAIN);
  expect(box.length).toBe(12 + 16 + PLAIN.length);
});

test("seal() never makes the same box twice", () => {
  expect(seal(KEY, "label", PLAIN, systemRandom)).not.toEqual(
    seal(KEY, "label", PLAIN, systemRandom),
  );
});

test("tryUnseal() refuses another key, another label, each changed bit and each shorter box", () => {
  const box = seal(KEY, "label", PLAIN, systemRandom);
  expect(tryUnseal(new Uint8Array(32), "label", box)).toBeUndefined();
  expect(tryUnseal(KEY, "other", box)).toBeUndefined();
  for (let i = 0; i < box.length; i++) {
    const changed = box.slice();
    changed[i]! ^= 1;
    expect(tryUnseal(KEY, "label", changed)).toBeUndefined();
    expect(tryUnseal(KEY, "label", box.subarray(0, i))).toBeUndefined();
  }
});
