import { expect, test } from "bun:test";
import { DROP, DROP_REASONS, dropRecord, PASS } from "../../src/hub/drop-reason.ts";

test("DROP gives each reason its place in the counters, apart from PASS", () => {
  expect(DROP_REASONS.map((reason) => DROP[reason])).toEqual(DROP_REASONS.map((_, i) => i));
  expect(Object.values(DROP)).not.toContain(PASS);
  expect(new Set(DROP_REASONS).size).toBe(DROP_REASONS.length);
});

test("dropRecord() names the counters that are not zero", () => {
  const counters = new Float64Array(DROP_REASONS.length);
  expect(dropRecord(counters)).toEqual({});
  counters[DROP.queue_full] = 3;
  counters[DROP.mac_flap] = 2 ** 40;
  expect(dropRecord(counters)).toEqual({ queue_full: 3, mac_flap: 2 ** 40 });
});
