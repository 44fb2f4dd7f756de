import { describe, expect, test } from "bun:test";
import { Congestion } from "../../../src/secure-nat/tcp/congestion.ts";
import { RttEstimator } from "../../../src/secure-nat/tcp/rtt.ts";

const MSS = 1000;
const MAX_SEGMENTS = 100_000;
const C = 0.4;
const BETA = 0.7;

/** A path of one round-trip time, whose sender always has more to send. */
class Path {
  readonly rtt = new RttEstimator();
  readonly congestion = new Congestion(this.rtt, MSS, MAX_SEGMENTS * MSS);
  now = 0;
  #position = 0;

  constructor(public rttMs: number) {
    this.rtt.sample(rttMs, 0);
  }

  get segments(): number {
    return this.congestion.window / MSS;
  }

  /** A window is sent, and acknowledged segment by segment. */
  round(rttMs = this.rttMs, isLimiting = true): void {
    const count = Math.floor(this.segments);
    const end = this.#position + count * MSS;
    for (let n = 0; n < count; n += 1) {
      this.now += rttMs / count;
      this.rtt.sample(rttMs, this.now);
      this.#position += MSS;
      this.congestion.acknowledged(MSS, this.#position, end, isLimiting, this.now);
    }
  }

  /** A loss, and the recovery from it. */
  lose(): void {
    this.congestion.reduce();
    this.congestion.window = this.congestion.slowStartUntil;
  }
}

/** One in congestion avoidance that has lost at so many segments. */
function afterLoss(segments: number, rttMs: number): Path {
  const path = new Path(rttMs);
  path.congestion.window = segments * MSS;
  path.lose();
  return path;
}

describe("Congestion by CUBIC (RFC 9438)", () => {
  test("4.6 comes down to seven tenths, and never below two segments", () => {
    expect(afterLoss(100, 100).segments).toBeCloseTo(70, 9);
    expect(afterLoss(2, 100).segments).toBe(2);
  });

  // Over a long path Reno's estimate stays below, and the cubic itself is to be seen.
  test.each([1, 2, 3, 4, 5, 6])("4.2 follows the cubic, %d seconds after the loss", (seconds) => {
    const path = afterLoss(400, 200);
    const k = Math.cbrt((400 * (1 - BETA)) / C);
    while (path.now < seconds * 1000 - 1) path.round();
    const wanted = C * (seconds - k) ** 3 + 400;
    expect(Math.abs(path.segments - wanted) / wanted).toBeLessThan(0.02);
  });

  test("4.4, 4.5 grows slower towards the old window, and faster behind it", () => {
    const path = afterLoss(400, 200);
    const at: number[] = [path.segments];
    for (let n = 0; n < 60; n += 1) {
      path.round();
      at.push(path.segments);
    }
    const steps = at.slice(1).map((segments, n) => segments - at[n]!);
    // K is 6.7 seconds, 33 rounds.
    for (let n = 3; n < 30; n += 1) expect(steps[n]!).toBeLessThan(steps[n - 1]! + 1e-6);
    for (let n = 38; n < 60; n += 1) expect(steps[n]!).toBeGreaterThan(steps[n - 1]!);
  });

  test("4.3 over a short path grows as Reno does: by 9/17 of a segment a round, behind the old window by one", () => {
    const path = afterLoss(40, 1);
    const before = path.segments;
    for (let n = 0; n < 10; n += 1) path.round();
    expect((path.segments - before) / 10).toBeCloseTo(9 / 17, 1);
    while (path.segments < 41) path.round();
    const behind = path.segments;
    for (let n = 0; n < 10; n += 1) path.round();
    expect((path.segments - behind) / 10).toBeCloseTo(1, 1);
  });

  test("4.7 a second loss below the first lowers what it aims at (fast convergence)", () => {
    const once = afterLoss(400, 200);
    const twice = afterLoss(400, 200);
    // Back to 280 segments: below the 400 of before.
    twice.lose();
    once.congestion.window = twice.congestion.window;
    for (let n = 0; n < 10; n += 1) {
      once.round();
      twice.round();
    }
    // The aim is 280 * 1.7 / 2 = 238 segments, from 196.
    const k = Math.cbrt((238 - 196) / C);
    const wanted = C * (twice.now / 1000 - k) ** 3 + 238;
    expect(twice.segments).toBeCloseTo(wanted, -1);
    expect(twice.segments).toBeLessThan(once.segments - 20);
  });

  test("4.9 a loss that was none leaves the window, and what it aims at, as they were", () => {
    const path = afterLoss(400, 200);
    const before = path.congestion.snapshot;
    path.lose();
    path.congestion.restore(before);
    expect(path.congestion.snapshot).toEqual(before);
  });

  test("5.8 time in which the sender has nothing to send is no time to grow by", () => {
    const steady = afterLoss(400, 200);
    const resting = afterLoss(400, 200);
    for (let n = 0; n < 5; n += 1) {
      steady.round();
      resting.round();
    }
    for (let n = 0; n < 50; n += 1) resting.round(200, false);
    expect(resting.segments).toBe(steady.segments);
    steady.round();
    resting.round();
    expect(resting.segments).toBeCloseTo(steady.segments, 0);
  });

  test("a time-out begins again with one segment, by slow start up to seven tenths", () => {
    const path = afterLoss(100, 100);
    path.congestion.window = 100 * MSS;
    path.congestion.reduce();
    path.congestion.collapse();
    expect(path.segments).toBe(1);
    path.round();
    path.round();
    expect(path.segments).toBe(4);
    expect(path.congestion.slowStartUntil).toBe(70 * MSS);
  });
});

describe("Congestion by HyStart++ (RFC 9406)", () => {
  test("doubles a round while round trips stay as they are", () => {
    const path = new Path(50);
    const first = path.segments;
    for (let n = 0; n < 4; n += 1) path.round();
    expect(path.segments).toBe(16 * first);
    expect(path.congestion.slowStartUntil).toBe(Infinity);
  });

  test("4.2 takes no notice of less than an eighth more", () => {
    const path = new Path(80);
    for (const rtt of [80, 80, 89, 89]) path.round(rtt);
    expect(path.segments).toBe(16 * 20);
  });

  test("4.3 a round an eighth longer makes it grow by a quarter, and five such rounds end slow start", () => {
    const path = new Path(80);
    path.round();
    path.round();
    const before = path.segments;
    path.round(95);
    // Eight samples of the round are grown by in full.
    expect(path.segments).toBeGreaterThan(before * 1.25);
    expect(path.segments).toBeLessThan(before * 1.5);
    const inside = path.segments;
    path.round(95);
    expect(path.segments / inside).toBeCloseTo(1.25, 1);
    expect(path.congestion.isSlowStart).toBe(true);
    for (let n = 0; n < 4; n += 1) path.round(95);
    expect(path.congestion.isSlowStart).toBe(false);
    expect(path.congestion.slowStartUntil).toBeLessThanOrEqual(path.congestion.window);
  });

  test("4.3 goes back to slow start if the round trips come down again", () => {
    const path = new Path(80);
    path.round();
    path.round();
    path.round(95);
    path.round(80);
    const before = path.segments;
    path.round(80);
    expect(path.segments).toBeCloseTo(2 * before, 0);
    for (let n = 0; n < 3; n += 1) path.round(80);
    expect(path.congestion.isSlowStart).toBe(true);
  });
});
