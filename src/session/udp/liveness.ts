import type { Random } from "../../base/random.ts";

/* Specification constants: protocol.md 17.4, 17.5. Milliseconds. */

/** A datagram whose tick is this far behind the newest is refused; so old may an echo be to be believed. */
export const TICK_WINDOW_MS = 30_000;
const STABLE_MS = 10_000;
const TIMERS = {
  normal: { keepalive: { from: 1_000, to: 3_000 }, silence: 9_000, echo: 9_000 },
  /** Where both ends know it. `echo` is ours: the peer's next datagram must tell of what we sent (robustness.md UD-10). */
  fast: { keepalive: { from: 500, to: 1_000 }, silence: 2_100, echo: 3_000 },
} as const;
/** For so long a large datagram is what others are measured by. */
const LARGE_MS = 5_000;
/** Below this no path loses datagrams for their size. */
const LARGE_FROM_BYTES = 576;

/**
 * Whether the way is good: both ends hear each other, have done so for ten seconds, and what is heard is as large as
 * what is sent. Only datagrams about as large as the largest of late carry a new tick, so its echo shows that such
 * ones arrive: a path that swallows large datagrams is found out though the small ones get through.
 */
export class Liveness {
  /** Highest tick of the peer; 0 before the first. */
  peerTick = 0;
  /** Our own highest tick that the peer has told back. */
  #echoedTick = 0;
  #aliveAt = -Infinity;
  #stableSince = 0;
  #sentTick = 1;
  #largest = 0;
  #largestBefore = 0;
  #largestSince = 0;
  readonly #timers: (typeof TIMERS)["normal" | "fast"];
  readonly #triesSize: boolean;

  /** @param triesSize keep-alives can be made as large as need be: not those in clear, which have no padding */
  constructor(options: { isFast: boolean; triesSize: boolean }) {
    this.#timers = options.isFast ? TIMERS.fast : TIMERS.normal;
    this.#triesSize = options.triesSize;
  }

  /**
   * Judges the tick of a datagram that is genuine: `newest` if it is the highest so far, `late` if it comes within the
   * window, `stale` behind it.
   */
  judge(tick: number): "newest" | "late" | "stale" {
    if (tick > this.peerTick) return "newest";
    return this.peerTick - tick >= TICK_WINDOW_MS ? "stale" : "late";
  }

  /** A datagram that was not stale has come. */
  heard(tick: number, echo: number, now: number): void {
    if (tick > this.peerTick) this.peerTick = tick;
    // Nobody can have heard of a tick that was not sent.
    if (echo > this.#echoedTick && echo <= this.#sentTick) this.#echoedTick = echo;
    if (this.#echoedTick === 0 || tickOf(now) - this.#echoedTick > TICK_WINDOW_MS) return;
    if (!this.isAlive(now)) this.#stableSince = now;
    this.#aliveAt = now;
  }

  isAlive(now: number): boolean {
    return now - this.#aliveAt <= this.#timers.silence;
  }

  /** True when frames should go this way. */
  isReady(now: number): boolean {
    if (!this.isAlive(now)) return false;
    if (tickOf(now) - this.#echoedTick > this.#timers.echo) {
      this.#stableSince = now;
      return false;
    }
    return now - this.#stableSince >= STABLE_MS;
  }

  /** The tick that a datagram of about this size carries. */
  tickFor(bytes: number, now: number): number {
    this.#age(now);
    // One that was told back: no datagram with a later one may arrive unless a large one does.
    if (bytes < this.largest) return Math.max(1, this.#echoedTick);
    return (this.#sentTick = tickOf(now));
  }

  /** Datagrams of up to this size have been sent. */
  sent(bytes: number, now: number): void {
    this.#age(now);
    if (this.#triesSize && bytes > this.#largest && bytes >= LARGE_FROM_BYTES)
      this.#largest = bytes;
  }

  /** Bytes that a keep-alive must have to be as large as what was sent of late; 0 if that was little. */
  get largest(): number {
    return Math.max(this.#largest, this.#largestBefore);
  }

  #age(now: number): void {
    // As long as it is open whether they arrive, large ones are what is tried.
    if (now - this.#largestSince < LARGE_MS || tickOf(now) - this.#echoedTick > this.#timers.echo) {
      return;
    }
    this.#largestBefore = now - this.#largestSince < 2 * LARGE_MS ? this.#largest : 0;
    this.#largest = 0;
    this.#largestSince = now;
  }

  keepaliveDelay(random: Random): number {
    const { from, to } = this.#timers.keepalive;
    return from + random.fraction() * (to - from);
  }
}

/** Our own tick: whole milliseconds, at least 1. */
function tickOf(now: number): number {
  return Math.max(1, Math.floor(now));
}
