import { expect, test } from "bun:test";
import { afterLong } from "../../src/base/long-timer.ts";
import { ManualClock } from "../support/manual-clock.ts";

test("afterLong() runs once, at its time, beyond what a timer of the runtime can wait", () => {
  for (const ms of [0, 1, 2 ** 31 - 1, 2 ** 31, 1e11]) {
    const clock = new ManualClock();
    let runs = 0;
    afterLong(clock, ms, () => runs++);
    if (ms > 0) clock.advance(ms - 1);
    expect(runs).toBe(0);
    clock.advance(1);
    expect(runs).toBe(1);
    expect(clock.pending).toBe(0);
  }
});

test("afterLong() takes what is past for due at once, and Infinity for never", () => {
  const clock = new ManualClock();
  let runs = 0;
  afterLong(clock, -5, () => runs++);
  clock.advance(0);
  expect(runs).toBe(1);
  afterLong(clock, Infinity, () => runs++).cancel();
  expect(clock.pending).toBe(0);
});

test("afterLong() can be cancelled in each of its parts", () => {
  const clock = new ManualClock();
  let runs = 0;
  const timer = afterLong(clock, 1e11, () => runs++);
  clock.advance(2 ** 32);
  timer.cancel();
  expect(clock.pending).toBe(0);
  clock.advance(1e11);
  expect(runs).toBe(0);
});
