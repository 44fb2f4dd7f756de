import { expect, test } from "bun:test";
import {
  folderNameOf,
  isLogFileName,
  logFileName,
  rotationSuffix,
} from "../../src/observe/log-name.ts";

const MOMENT = new Date(2026, 10, 2, 3, 4, 5).getTime();

test.each([
  ["none", ""],
  ["month", "_202611"],
  ["day", "_20261102"],
  ["hour", "_20261102_03"],
  ["minute", "_20261102_0304"],
  ["second", "_20261102_030405"],
] as const)("rotationSuffix() of %s", (rotation, suffix) => {
  expect(rotationSuffix(rotation, MOMENT)).toBe(suffix);
  expect(isLogFileName(logFileName("vpn", suffix, 0), "vpn")).toBe(true);
  expect(isLogFileName(logFileName("vpn", suffix, 7), "vpn")).toBe(true);
});

test("logFileName() numbers the parts of a full log", () => {
  expect(logFileName("sec", "_20261102", 0)).toBe("sec_20261102.log");
  expect(logFileName("sec", "_20261102", 1)).toBe("sec_20261102~01.log");
  expect(logFileName("sec", "", 123)).toBe("sec~123.log");
});

test.each([
  "vpn_2026.log",
  "vpn_20261102.log.gz",
  "vpn_20261102_3.log",
  "vpn-notes.log",
  "sec_20261102.log",
  "vpn_20261102~1.log",
  "vpn_20261102.txt",
  "vpn",
])("isLogFileName() refuses %s", (name) => {
  expect(isLogFileName(name, "vpn")).toBe(false);
});

test("HS-04 folderNameOf() keeps hub names inside the folder of logs", () => {
  expect(folderNameOf("Home (1st) #2_a-b.c&d")).toBe("Home (1st) #2_a-b.c&d");
  expect(folderNameOf("..")).toBe("%2e.");
  expect(folderNameOf(".")).toBe("%2e");
  expect(folderNameOf("../../etc")).toBe("%2e.%2f..%2fetc");
  expect(folderNameOf("a%2f")).toBe("a%252f");
  expect(folderNameOf("gr\u00fcn")).toBe("gr%c3%bcn");
  const [long, other] = [folderNameOf("%".repeat(255)), folderNameOf(`${"%".repeat(254)}x`)];
  expect(long.length).toBeLessThanOrEqual(200);
  expect(long).not.toBe(other);
});
