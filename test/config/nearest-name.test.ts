import { expect, test } from "bun:test";
import { nearestName } from "../../src/config/nearest-name.ts";

const KNOWN = ["listen", "state_dir", "max_sessions", "name", "watch"];

test.each([
  ["lisen", "listen"],
  ["litsen", "listen"],
  ["Listen", "listen"],
  ["state-dir", "state_dir"],
  ["maxsessions", "max_sessions"],
  ["nmae", "name"],
  ["securenat", undefined],
  ["x", undefined],
  ["", undefined],
  ["listen".repeat(20), undefined],
])("nearestName() of %j is %j", (name, expected) => {
  expect(nearestName(name, KNOWN)).toBe(expected as string);
});
