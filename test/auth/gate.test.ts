import { expect, test } from "bun:test";
import { Gate } from "../../src/auth/gate.ts";

test("Gate.tryRun() runs two at once, lets two wait in their order, and refuses the fifth at once", async () => {
  const gate = new Gate({ atOnce: 2, waiting: 2 });
  const started: number[] = [];
  const ends: (() => void)[] = [];
  const work = (name: number) =>
    gate.tryRun(async () => {
      started.push(name);
      await new Promise<void>((end) => ends.push(end));
      return { name };
    });
  const all = [1, 2, 3, 4].map(work);
  expect(await work(5)).toBeUndefined();
  expect(started).toEqual([1, 2]);
  ends[0]!();
  expect(await all[0]).toEqual({ name: 1 });
  await Promise.resolve();
  expect(started).toEqual([1, 2, 3]);
  ends[1]!();
  await all[1];
  await Promise.resolve();
  expect(started).toEqual([1, 2, 3, 4]);
  ends[2]!();
  ends[3]!();
  expect(await Promise.all(all)).toHaveLength(4);
});

test("Gate.tryRun() gives its place back when the work fails", async () => {
  const gate = new Gate({ atOnce: 1, waiting: 0 });
  const fails = gate.tryRun(() => Promise.reject(new Error("no")));
  await expect(fails).rejects.toThrow("no");
  expect(await gate.tryRun(async () => ({ ok: true }))).toEqual({ ok: true });
});
