import { describe, expect, test } from "bun:test";
import { ChunkPool } from "../../../src/secure-nat/tcp/chunk-pool.ts";
import { CHUNK_BYTES } from "../../../src/secure-nat/tcp/tcp-io.ts";
import { TimerWheel } from "../../../src/secure-nat/tcp/timer-wheel.ts";
import { ManualClock } from "../../support/manual-clock.ts";

function pool(chunks: number) {
  const clock = new ManualClock();
  return { clock, pool: new ChunkPool(chunks * CHUNK_BYTES, clock, new TimerWheel(clock)) };
}

describe("ChunkPool", () => {
  test("gives as many as its bound holds, and each once", () => {
    const { pool: of } = pool(3);
    const taken = [of.take()!, of.take()!, of.take()!];
    expect(new Set(taken.map(({ address }) => address)).size).toBe(3);
    expect(of.take()).toBeUndefined();
    of.give(taken[1]!);
    expect(of.take()).toBe(taken[1]!);
    of.close();
  });

  test("refuses one that is not in use", () => {
    const { pool: of } = pool(1);
    const chunk = of.take()!;
    of.give(chunk);
    expect(() => of.give(chunk)).toThrow("it is not in use");
    of.close();
  });

  test("calls as many of those who wait as there are chunks, once, and only when woken", () => {
    const { pool: of } = pool(1);
    const chunk = of.take()!;
    const called: string[] = [];
    of.whenFree(() => called.push("first"));
    of.whenFree(() => called.push("second"));
    of.give(chunk);
    expect(called).toEqual([]);
    of.wake();
    expect(called).toEqual(["first"]);
    of.wake();
    expect(called).toEqual(["first", "second"]);
    of.close();
  });

  test("gives what lay unused back to the system within seconds, and then needs no timer", () => {
    const { pool: of, clock } = pool(8);
    const taken = Array.from({ length: 8 }, () => of.take()!);
    for (const chunk of taken) of.give(chunk);
    expect(of.spare).toBe(8);
    clock.advance(3_000);
    expect(of.spare).toBe(0);
    expect(clock.pending).toBe(0);
    expect(taken[0]!.bytes.length).toBe(0);
  });
});
