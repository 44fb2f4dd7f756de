import { describe, expect, test } from "bun:test";
import { formatBytes, formatDuration, formatRate } from "../../src/cli/figure.ts";

describe("formatBytes()", () => {
  test.each([
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.00 kB"],
    [9_994, "9.99 kB"],
    [9_996, "10.0 kB"],
    [123_456, "123 kB"],
    [999_499, "999 kB"],
    [999_500, "1.00 MB"],
    [1.5e9, "1.50 GB"],
    [9e18, "9000 PB"],
  ])("%d is %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

test("formatRate() scales by thousands", () => {
  expect([0, 2_410_000_000].map(formatRate)).toEqual(["0 bit/s", "2.41 Gbit/s"]);
});

describe("formatDuration()", () => {
  test.each([
    [-5, "00:00:00"],
    [999, "00:00:00"],
    [61_000, "00:01:01"],
    [86_399_999, "23:59:59"],
    [3 * 86_400_000 + 3_723_000, "3d 01:02:03"],
  ])("%d ms is %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});
