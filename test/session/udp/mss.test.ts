import { describe, expect, test } from "bun:test";
import { carriedMss } from "../../../src/session/udp/mss.ts";

describe("carriedMss()", () => {
  test("is what protocol.md 17.4 computes", () => {
    expect(carriedMss(4, true)).toBe(1_309);
    expect(carriedMss(6, true)).toBe(1_289);
    expect(carriedMss(4, false)).toBe(1_349);
  });
});
