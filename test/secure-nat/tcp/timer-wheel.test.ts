import { describe, expect, test } from "bun:test";
import { TimerWheel, WheelTimer } from "../../../src/secure-nat/tcp/timer-wheel.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { seededRandom } from "../../support/seeded-random.ts";

describe("TimerWheel", () => {
  test("arms no timer of the clock while nothing is set, and one for any number", () => {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock);
    expect(clock.pending).toBe(0);
    const timers = [5, 100_000, 70].map((at) => {
      const timer = new WheelTimer(() => undefined);
      wheel.set(timer, at);
      return timer;
    });
    expect(clock.pending).toBe(1);
    for (const timer of timers) wheel.cancel(timer);
    expect(clock.pending).toBe(0);
    expect(wheel.count).toBe(0);
  });

  test("runs thousands in their order, each within a tick, as a sorted list would", () => {
    const clock = new ManualClock();
    const random = seededRandom(3);
    const wheel = new TimerWheel(clock);
    clock.advance(12_345.6);
    const ran: [number, number][] = [];
    for (let n = 0; n < 5_000; n += 1) {
      const at = clock.now() + random.below([10, 300, 20_000, 9_000_000][n % 4]!);
      const timer = new WheelTimer(() => ran.push([at, clock.now()]));
      wheel.set(timer, clock.now() + 5);
      wheel.set(timer, at);
      if (n % 7 === 0) wheel.cancel(timer);
    }
    for (let n = 0; n < 900; n += 1) clock.advance(random.below(20_000));
    expect(ran.length).toBe(5_000 - Math.ceil(5_000 / 7));
    for (const [at, now] of ran) {
      expect(now).toBeGreaterThanOrEqual(at);
      expect(now).toBeLessThan(at + 2);
    }
    expect(clock.pending).toBe(0);
  });

  test("lets a timer set others and cancel those of its own moment", () => {
    const clock = new ManualClock();
    const turns: string[] = [];
    const wheel = new TimerWheel(clock, () => turns.push("turn"));
    const victim = new WheelTimer(() => turns.push("victim"));
    const again = new WheelTimer(() => turns.push("again"));
    const first = new WheelTimer(() => {
      turns.push("first");
      wheel.cancel(victim);
      wheel.set(again, clock.now());
    });
    wheel.set(victim, 50);
    wheel.set(first, 50);
    clock.advance(1_000);
    expect(turns).toEqual(["first", "turn", "again", "turn"]);
  });

  test("goes on after a pause of days, without running what is not due", () => {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock);
    const ran: number[] = [];
    wheel.set(new WheelTimer(() => ran.push(1)), 10 * 86_400_000);
    clock.advance(9 * 86_400_000);
    expect(ran).toEqual([]);
    clock.advance(86_400_000);
    expect(ran).toEqual([1]);
  });

  test.each([2 ** 31, 2 ** 32, 3 * 2 ** 32])("keeps its order across %d ms of uptime", (uptime) => {
    const clock = new ManualClock();
    const random = seededRandom(5);
    for (let left = uptime - 5_000; left > 0; left -= 2 ** 30)
      clock.advance(Math.min(left, 2 ** 30));
    const wheel = new TimerWheel(clock);
    const ran: number[] = [];
    const wanted: number[] = [];
    for (let n = 0; n < 300; n += 1) {
      const at = clock.now() + random.below([10_000, 900_000, 2 ** 31, 2 ** 32][n % 4]!);
      wanted.push(Math.ceil(at));
      wheel.set(new WheelTimer(() => ran.push(Math.floor(clock.now()))), at);
    }
    clock.advance(2 ** 33);
    expect(ran).toEqual(wanted.toSorted((a, b) => a - b).map((at) => Math.max(at, uptime - 4_999)));
    expect(clock.pending).toBe(0);
  });

  test("close() forgets everything", () => {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock);
    const timer = new WheelTimer(() => expect.unreachable());
    wheel.set(timer, 10);
    wheel.close();
    expect(timer.isSet).toBe(false);
    clock.advance(100);
    expect(clock.pending).toBe(0);
  });
});
