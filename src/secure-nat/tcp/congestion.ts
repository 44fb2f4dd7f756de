// How much may be under way: CUBIC (RFC 9438) with HyStart++ (RFC 9406). The path inside is a tunnel over TCP: it loses
// nothing but what the queue of a hub port has no room for, in bursts, and that queue's bound is known. A window whose
// surplus over what the path itself holds has reached that bound therefore grows no further, and no loss is provoked.
import { MAX_EGRESS_BYTES } from "../../base/limits.ts";
import type { RttEstimator } from "./rtt.ts";

/* RFC 9438 4.1, 4.6. */
const CUBIC_C = 0.4;
const CUBIC_BETA = 0.7;
const CUBIC_ALPHA = (3 * (1 - CUBIC_BETA)) / (1 + CUBIC_BETA);
/* RFC 9406 4.2, 4.3. */
const MIN_RTT_THRESHOLD_MS = 4;
const MAX_RTT_THRESHOLD_MS = 16;
const MIN_RTT_DIVISOR = 8;
const RTT_SAMPLES = 8;
const CSS_GROWTH_DIVISOR = 4;
const CSS_ROUNDS = 5;
/** In segments: RFC 6928 has 10; a tunnel's queue takes twice that without harm. */
const INITIAL_SEGMENTS = 20;
const MIN_SEGMENTS = 2;

/** What a loss that was none is taken back to. */
export interface WindowSnapshot {
  readonly window: number;
  readonly slowStartUntil: number;
  readonly maxWindow: number;
}

export class Congestion {
  readonly #rtt: RttEstimator;
  readonly #maxBytes: number;
  #mss: number;
  /** Bytes. */
  window: number;
  slowStartUntil = Infinity;

  /* HyStart++ */
  #roundEnd = 0;
  #roundMin = Infinity;
  #lastRoundMin = Infinity;
  #samples = 0;
  /** Rounds left of conservative slow start; 0 outside of it. */
  #cssRounds = 0;
  #cssBaseline = Infinity;

  /* CUBIC; windows in segments as in the RFC. */
  #maxWindow = 0;
  /** Before the last loss: where the Reno-friendly estimate starts to grow as Reno does. */
  #prior = 0;
  #epochStart = -1;
  /** Since when the window has not been what holds the sender: such time does not count (RFC 9438 5.8). */
  #restedSince = -1;
  #k = 0;
  #estimate = 0;

  constructor(rtt: RttEstimator, mss: number, maxBytes: number) {
    this.#rtt = rtt;
    this.#mss = mss;
    this.#maxBytes = maxBytes;
    this.window = INITIAL_SEGMENTS * mss;
  }

  get isSlowStart(): boolean {
    return this.window < this.slowStartUntil;
  }

  /**
   * @param acked bytes newly acknowledged, outside of loss recovery
   * @param position what is acknowledged in all, and `nextPosition` what was sent in all: rounds are told by them
   * @param isLimiting false while the sender has less to send than the window lets it (RFC 9438 5.8)
   */
  acknowledged(
    acked: number,
    position: number,
    nextPosition: number,
    isLimiting: boolean,
    now: number,
  ): void {
    if (this.isSlowStart) this.#watchRounds(position, nextPosition);
    if (!isLimiting || this.window >= this.#maxBytes || this.#isQueueLong) {
      if (this.#restedSince < 0) this.#restedSince = now;
      return;
    }
    if (this.#epochStart >= 0 && this.#restedSince >= 0)
      this.#epochStart += now - this.#restedSince;
    this.#restedSince = -1;
    const grown = this.isSlowStart ? this.#growSlowStart(acked) : this.#growCubic(acked, now);
    this.window = Math.min(grown, this.#maxBytes);
  }

  /** Something was lost: the window to come down to, which recovery does step by step. */
  reduce(): void {
    const segments = this.window / this.#mss;
    // RFC 9438 4.7: a flow that was on its way down gives way to newer ones.
    this.#maxWindow = segments < this.#maxWindow ? (segments * (1 + CUBIC_BETA)) / 2 : segments;
    this.slowStartUntil = Math.max(this.window * CUBIC_BETA, MIN_SEGMENTS * this.#mss);
    this.#prior = segments;
    // The epoch is that of congestion avoidance, which begins when recovery is over (RFC 9438 4.2).
    this.#epochStart = -1;
    this.#cssRounds = 0;
  }

  /** Nothing came back for so long that what is known of the path is worth nothing (RFC 5681 3.1). */
  collapse(): void {
    this.window = this.#mss;
    this.#epochStart = -1;
    this.#lastRoundMin = Infinity;
    this.#cssRounds = 0;
  }

  /** After a pause, halved for each time-out of it: the path may have changed (RFC 2861). */
  rest(idleMs: number): void {
    const least = INITIAL_SEGMENTS * this.#mss;
    const rto = this.#rtt.rto;
    for (let left = idleMs - rto; left > 0 && this.window > least; left -= rto) {
      this.slowStartUntil = Math.max(this.slowStartUntil, 0.75 * this.window);
      this.window = Math.max(this.window / 2, least);
    }
    this.#epochStart = -1;
  }

  get snapshot(): WindowSnapshot {
    const { window, slowStartUntil } = this;
    return { window, slowStartUntil, maxWindow: this.#maxWindow };
  }

  /** The loss was none (RFC 9438 4.9.1). */
  restore(before: WindowSnapshot): void {
    this.#maxWindow = before.maxWindow;
    this.window = Math.max(this.window, before.window);
    this.slowStartUntil = Math.max(this.slowStartUntil, before.slowStartUntil);
    this.#epochStart = -1;
  }

  /** What of the window waits in queues, by how much longer a round takes than it need. */
  get #isQueueLong(): boolean {
    const { least, smoothed } = this.#rtt;
    return smoothed > 0 && this.window * (1 - Math.min(least / smoothed, 1)) > MAX_EGRESS_BYTES;
  }

  #growSlowStart(acked: number): number {
    return this.window + (this.#cssRounds > 0 ? acked / CSS_GROWTH_DIVISOR : acked);
  }

  #growCubic(acked: number, now: number): number {
    const segments = this.window / this.#mss;
    if (this.#epochStart < 0) this.#beginEpoch(now, segments);
    const t = (now - this.#epochStart) / 1000;
    const ackedSegments = acked / this.#mss;
    this.#estimate += (this.#estimate < this.#prior ? CUBIC_ALPHA : 1) * (ackedSegments / segments);
    if (this.#cubicAt(t) < this.#estimate) {
      return Math.max(this.window, this.#estimate * this.#mss);
    }
    const cubic = this.#cubicAt(t + this.#rtt.smoothed / 1000);
    const target = Math.min(Math.max(cubic, segments), 1.5 * segments);
    return this.window + ((target - segments) / segments) * acked;
  }

  /** W_cubic, in segments; `t` in seconds. */
  #cubicAt(t: number): number {
    return CUBIC_C * (t - this.#k) ** 3 + this.#maxWindow;
  }

  #beginEpoch(now: number, segments: number): void {
    this.#epochStart = now;
    this.#estimate = segments;
    if (this.#maxWindow < segments) this.#maxWindow = segments;
    this.#k = Math.cbrt((this.#maxWindow - segments) / CUBIC_C);
  }

  /** RFC 9406 4.2: a round that takes longer than the last tells of a queue that fills, before it overflows. */
  #watchRounds(position: number, nextPosition: number): void {
    if (position > this.#roundEnd) {
      this.#roundEnd = nextPosition;
      this.#lastRoundMin = this.#roundMin;
      this.#roundMin = Infinity;
      this.#samples = 0;
      if (this.#cssRounds > 0) {
        this.#cssRounds -= 1;
        if (this.#cssRounds === 0) this.slowStartUntil = this.window;
      }
    }
    this.#roundMin = Math.min(this.#roundMin, this.#rtt.latest);
    this.#samples += 1;
    if (this.#samples < RTT_SAMPLES || this.#lastRoundMin === Infinity) return;
    if (this.#cssRounds > 0) {
      if (this.#roundMin < this.#cssBaseline) this.#cssRounds = 0;
      return;
    }
    const threshold = Math.min(
      Math.max(this.#lastRoundMin / MIN_RTT_DIVISOR, MIN_RTT_THRESHOLD_MS),
      MAX_RTT_THRESHOLD_MS,
    );
    if (this.#roundMin >= this.#lastRoundMin + threshold) {
      this.#cssBaseline = this.#roundMin;
      this.#cssRounds = CSS_ROUNDS;
    }
  }
}
