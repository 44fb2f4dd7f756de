import { describe, expect, test } from "bun:test";
import { findCodeStep, trySplitCode, UsedCodes } from "../../src/auth/totp.ts";

const text = (value: string) => new TextEncoder().encode(value);
/** RFC 6238 appendix B, SHA-1; its codes of eight digits end in ours of six. */
const SECRET = text("12345678901234567890");

describe("findCodeStep()", () => {
  test.each([
    [59, "287082"],
    [1_111_111_109, "081804"],
    [1_234_567_890, "005924"],
    [20_000_000_000, "353130"],
  ])("knows the code of second %d (RFC 6238 B)", async (second, code) => {
    expect(await findCodeStep(SECRET, code, second * 1000)).toBe(Math.floor(second / 30));
  });

  test("AU-06 takes a clock that is off 29 s, and no code of 2 minutes ago", async () => {
    const at = 1_111_111_109_000;
    const step = Math.floor(at / 30_000);
    expect(await findCodeStep(SECRET, "081804", at + 29_000)).toBe(step);
    expect(await findCodeStep(SECRET, "081804", at - 29_000)).toBe(step);
    expect(await findCodeStep(SECRET, "081804", at + 120_000)).toBeUndefined();
    expect(await findCodeStep(SECRET, "081805", at)).toBeUndefined();
  });

  test("takes the bytes of a view alone", async () => {
    const inside = new Uint8Array(40).fill(7);
    inside.set(SECRET, 11);
    expect(await findCodeStep(inside.subarray(11, 31), "287082", 59_000)).toBe(1);
  });
});

test.each([
  ["pw123456", "pw", "123456"],
  ["123456", "", "123456"],
  ["pw1234567", "pw1", "234567"],
])("trySplitCode() cuts the last six digits from %j", (typed, password, code) => {
  expect(trySplitCode(text(typed))).toEqual({ password: text(password), code });
});

test.each(["", "12345", "pw12345", "pw12345x", "pw１２３４５６"])(
  "trySplitCode() finds no code in %j",
  (typed) => {
    expect(trySplitCode(text(typed))).toBeUndefined();
  },
);

describe("UsedCodes", () => {
  test("AU-06 takes each code once, and none before it", () => {
    const used = new UsedCodes(0);
    expect(used.tryUse("a", 10)).toBe(true);
    expect(used.tryUse("a", 10)).toBe(false);
    expect(used.tryUse("a", 9)).toBe(false);
    expect(used.tryUse("b", 10)).toBe(true);
    expect(used.tryUse("a", 11)).toBe(true);
  });

  test("takes none from before the start, where it may have been used", () => {
    const used = new UsedCodes(30_000 * 100 + 29_999);
    expect(used.tryUse("a", 99)).toBe(false);
    expect(used.tryUse("a", 100)).toBe(true);
  });
});
