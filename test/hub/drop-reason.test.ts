import { expect, test } from "bun:test";
import { MAX_FDB_ENTRIES } from "../../src/base/limits.ts";
import { DROP, DROP_REASONS, dropRecord, PASS } from "../../src/hub/drop-reason.ts";
import { BROADCAST, frame, mac } from "./frames.ts";
import { World } from "./world.ts";

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

test("fdb_full: a hub whose database is full goes on for those whom it knows", () => {
  const world = new World();
  const bridge = world.attach("local-bridge");
  const RUN = 1024;
  for (let n = 0; n < MAX_FDB_ENTRIES; n += RUN)
    bridge.send(
      ...Array.from({ length: RUN }, (_, i) =>
        frame({ to: BROADCAST, from: mac(n + i), size: 60 }),
      ),
    );
  const late = world.attach("bridge");
  late.send(frame({ to: mac(1), from: mac(MAX_FDB_ENTRIES), size: 60 }));
  expect(world.drops(late)).toEqual({ fdb_full: 1 });
  expect(bridge.take()).toEqual([]);
  bridge.send(frame({ to: BROADCAST, from: mac(2), size: 60 }));
  expect(late.take()).toHaveLength(1);
});
