// Round-trip times and the retransmission time-out (RFC 6298), and the least round trip of late, which tells how long
// the path is without its queues.

/** RFC 6298 asks for 1 s and lets others choose less where the clock is fine; what all of today's systems take. */
const MIN_RTO_MS = 200;
const MAX_RTO_MS = 60_000;
const FIRST_RTO_MS = 1_000;
/** The least round trip is that of the window under way and the one before it. */
const MIN_WINDOW_MS = 10_000;

export class RttEstimator {
  /** Smoothed; 0 before the first sample. Milliseconds, as all. */
  smoothed = 0;
  variation = 0;
  latest = 0;
  #rto = FIRST_RTO_MS;
  #backoff = 0;
  #windowFrom = 0;
  #minNow = Infinity;
  #minBefore = Infinity;

  /** A round trip was measured; only that ends backing off (RFC 6298 5.7, Karn's rule). */
  sample(rttMs: number, now: number): void {
    const rtt = Math.max(rttMs, 0.01);
    this.latest = rtt;
    this.#backoff = 0;
    if (this.smoothed === 0) {
      this.smoothed = rtt;
      this.variation = rtt / 2;
    } else {
      this.variation += (Math.abs(this.smoothed - rtt) - this.variation) / 4;
      this.smoothed += (rtt - this.smoothed) / 8;
    }
    this.#rto = Math.max(MIN_RTO_MS, this.smoothed + Math.max(1, 4 * this.variation));
    if (now - this.#windowFrom > MIN_WINDOW_MS) {
      this.#windowFrom = now;
      this.#minBefore = this.#minNow;
      this.#minNow = rtt;
    } else if (rtt < this.#minNow) this.#minNow = rtt;
  }

  /** Infinity before the first sample. */
  get least(): number {
    return Math.min(this.#minNow, this.#minBefore);
  }

  /** With what backing off has made of it. */
  get rto(): number {
    return Math.min(this.#rto * 2 ** this.#backoff, MAX_RTO_MS);
  }

  backOff(): void {
    this.#backoff += 1;
  }
}
