import { expect, test } from "bun:test";
import { heapStats } from "bun:jsc";
import type { FrameRun, FrameSink } from "../../src/hub/port.ts";
import { WaitingRuns } from "../../src/ip-host/waiting-runs.ts";

class Recorder implements FrameSink {
  readonly ready = true;
  onReady: (() => void) | undefined;
  onDeliver = (): void => {};
  onFlush = (): void => {};
  readonly name: string;
  readonly seen: string[];

  constructor(name: string, seen: string[]) {
    this.name = name;
    this.seen = seen;
  }

  deliver({ start, end, count }: FrameRun): void {
    this.seen.push(`${this.name} ${start}-${end} ${count}`);
    this.onDeliver();
  }

  flush(): void {
    this.seen.push(`${this.name} flush`);
    this.onFlush();
  }
}

function open(joinedBytes?: number) {
  const seen: string[] = [];
  const runs = new WaitingRuns(() => void seen.push("empty"), joinedBytes);
  return { seen, runs, a: new Recorder("a", seen), b: new Recorder("b", seen) };
}

test("WaitingRuns.drain() hands over in order, then the memory is free, then each sink is flushed once", () => {
  const { seen, runs, a, b } = open();
  runs.add(a, 0, 10, 1);
  runs.add(b, 10, 20, 1);
  runs.add(a, 20, 30, 2);
  expect(seen).toEqual([]);
  runs.drain();
  expect(seen).toEqual([
    "a 0-10 1",
    "b 10-20 1",
    "a 20-30 2",
    "empty",
    "a flush",
    "b flush",
    "empty",
  ]);
});

test("WaitingRuns.add() joins what lies right behind for the same sink, as far as it may", () => {
  const { seen, runs, a } = open(20);
  runs.add(a, 0, 10, 1);
  runs.add(a, 10, 20, 2);
  runs.add(a, 20, 30, 1);
  runs.add(a, 30, 40, 1);
  runs.add(a, 60, 70, 1);
  runs.drain();
  expect(seen.filter((one) => one.startsWith("a "))).toEqual([
    "a 0-20 3",
    "a 20-40 2",
    "a 60-70 1",
    "a flush",
  ]);
});

test("WaitingRuns.drain() takes along what comes back, whether from a delivery or from a flush", () => {
  const { seen, runs, a, b } = open();
  a.onDeliver = () => {
    a.onDeliver = () => {};
    runs.add(b, 10, 20, 1);
    runs.drain();
  };
  b.onFlush = () => {
    b.onFlush = () => {};
    runs.add(a, 0, 5, 1);
    runs.drain();
  };
  runs.add(a, 0, 10, 1);
  runs.drain();
  expect(seen.filter((one) => one !== "empty")).toEqual([
    "a 0-10 1",
    "b 10-20 1",
    "a flush",
    "b flush",
    "a 0-5 1",
    "a flush",
  ]);
});

test("WaitingRuns drops what waits when a sink throws or it is cleared, and goes on after that", () => {
  const { seen, runs, a } = open();
  a.onDeliver = () => {
    throw new Error("broken");
  };
  runs.add(a, 0, 10, 1);
  expect(() => runs.drain()).toThrow("broken");
  a.onDeliver = () => runs.clear();
  runs.add(a, 0, 10, 1);
  runs.add(a, 20, 30, 1);
  seen.length = 0;
  runs.drain();
  runs.add(a, 40, 50, 1);
  runs.clear();
  runs.drain();
  expect(seen.filter((one) => one !== "empty")).toEqual(["a 0-10 1", "a flush"]);
});

test("WaitingRuns makes no garbage for an event", () => {
  const { runs, a, b, seen } = open();
  const event = () => {
    runs.add(a, 0, 10, 1);
    runs.add(b, 10, 20, 1);
    runs.drain();
    seen.length = 0;
  };
  event();
  Bun.gc(true);
  const tables = () => heapStats().objectTypeCounts["Cell Butterfly"] ?? 0;
  const before = tables();
  for (let turn = 0; turn < 1_000; turn += 1) event();
  // The storage of sets and maps, which the runtime makes anew each time that one is cleared.
  expect(tables() - before).toBeLessThan(100);
});
