import { describe, expect, test } from "bun:test";
import { Liveness } from "../../../src/session/udp/liveness.ts";
import { seededRandom } from "../../support/seeded-random.ts";

/** Time passes with a keep-alive of the peer every second, which tells back what we sent then. */
function pass(live: Liveness, from: number, to: number, sentBytes = 100): void {
  for (let now = from; now <= to; now += 1_000) {
    const echo = live.tickFor(sentBytes, now);
    live.heard(now, echo, now);
  }
}

describe("Liveness", () => {
  test("isReady turns true after ten seconds without a gap, not before", () => {
    const live = new Liveness({ isFast: true, triesSize: true });
    expect(live.isReady(1_000)).toBe(false);
    pass(live, 1_000, 10_000);
    expect(live.isAlive(10_900)).toBe(true);
    expect(live.isReady(10_900)).toBe(false);
    pass(live, 11_000, 11_000);
    expect(live.isReady(11_000)).toBe(true);
  });

  test.each([
    ["fast", true, 2_100],
    ["normal", false, 9_000],
  ] as const)(
    "%s timers: silence ends it, and the ten seconds begin again",
    (_, isFast, silence) => {
      const live = new Liveness({ isFast, triesSize: true });
      pass(live, 1_000, 12_000);
      expect(live.isReady(12_000 + silence)).toBe(true);
      expect(live.isAlive(12_001 + silence)).toBe(false);
      expect(live.isReady(12_001 + silence)).toBe(false);
      pass(live, 30_000, 39_000);
      expect(live.isReady(39_000)).toBe(false);
      pass(live, 40_000, 40_000);
      expect(live.isReady(40_000)).toBe(true);
    },
  );

  test("a peer that hears nothing of us is not alive, whatever it sends", () => {
    const live = new Liveness({ isFast: true, triesSize: true });
    live.tickFor(100, 1_000);
    for (let now = 1_000; now <= 20_000; now += 1_000) live.heard(now, 0, now);
    expect(live.isAlive(20_000)).toBe(false);
    // An echo of what was never sent is none.
    live.heard(21_000, 5_000_000, 21_000);
    expect(live.isAlive(21_000)).toBe(false);
    // One of long ago is none either.
    const old = new Liveness({ isFast: true, triesSize: true });
    old.tickFor(100, 1_000);
    old.heard(40_000, 1_000, 40_000);
    expect(old.isAlive(40_000)).toBe(false);
  });

  test("UD-10 small datagrams carry no new tick after large ones, so an echo tells of large ones", () => {
    const live = new Liveness({ isFast: true, triesSize: true });
    pass(live, 1_000, 12_000);
    const large = live.tickFor(1_414, 12_500);
    live.sent(1_414, 12_500);
    expect(large).toBe(12_500);
    expect(live.largest).toBe(1_414);
    // What is lost for its size: the peer goes on to tell of the tick before.
    for (let now = 13_000; now <= 15_000; now += 500) {
      expect(live.tickFor(100, now)).toBe(12_000);
      live.heard(now, 12_000, now);
    }
    expect(live.isAlive(15_001)).toBe(true);
    expect(live.isReady(15_001)).toBe(false);
    // It stays so, and keep-alives stay large, until one is told back.
    for (let now = 15_500; now <= 40_000; now += 500) live.heard(now, 12_000, now);
    expect(live.largest).toBe(1_414);
    expect(live.isReady(40_000)).toBe(false);
    pass(live, 40_500, 51_500, 1_414);
    expect(live.isReady(51_500)).toBe(true);
  });

  test("what was large a while ago is forgotten", () => {
    const live = new Liveness({ isFast: true, triesSize: true });
    pass(live, 1_000, 12_000);
    live.tickFor(1_414, 12_000);
    live.sent(1_414, 12_000);
    pass(live, 12_500, 24_500, 1_414);
    expect(live.largest).toBe(0);
    expect(live.tickFor(60, 25_000)).toBe(25_000);
  });

  test("judge() tells ticks of 30 s behind the newest from those that are only late", () => {
    const live = new Liveness({ isFast: true, triesSize: true });
    live.heard(50_000, 0, 1);
    expect(live.judge(50_001)).toBe("newest");
    expect(live.judge(50_000)).toBe("late");
    expect(live.judge(20_001)).toBe("late");
    expect(live.judge(20_000)).toBe("stale");
  });

  test("keepaliveDelay() is within the bounds of its timers", () => {
    const random = seededRandom(1);
    for (const [isFast, from, to] of [
      [true, 500, 1_000],
      [false, 1_000, 3_000],
    ] as const) {
      const live = new Liveness({ isFast, triesSize: true });
      const delays = Array.from({ length: 200 }, () => live.keepaliveDelay(random));
      expect(Math.min(...delays)).toBeGreaterThanOrEqual(from);
      expect(Math.max(...delays)).toBeLessThan(to);
    }
  });
});
