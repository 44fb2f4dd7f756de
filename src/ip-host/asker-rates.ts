import type { Clock } from "../base/clock.ts";
import { MAX_RATED_ASKERS } from "../base/limits.ts";

interface Rate {
  /** Questions that he may ask at `at`; a second's worth at most. */
  left: number;
  at: number;
}

/** Bounds how fast each guest asks, so that one of them cannot take from the others what there is for all. */
export class AskerRates {
  readonly #clock: Clock;
  readonly #perSecond: number;
  /** In the order of their last question. */
  readonly #rates = new Map<number | string, Rate>();

  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock;
    this.#perSecond = perSecond;
  }

  /** False for a question that comes too fast. */
  take(asker: number | string): boolean {
    const now = this.#clock.now();
    const rate = this.#rates.get(asker) ?? this.#add(now);
    const earned = ((now - rate.at) * this.#perSecond) / 1000;
    rate.left = Math.min(this.#perSecond, rate.left + earned);
    rate.at = now;
    this.#rates.delete(asker);
    this.#rates.set(asker, rate);
    if (rate.left < 1) return false;
    rate.left -= 1;
    return true;
  }

  #add(now: number): Rate {
    if (this.#rates.size >= MAX_RATED_ASKERS) {
      for (const oldest of this.#rates.keys()) {
        this.#rates.delete(oldest);
        break;
      }
    }
    return { left: this.#perSecond, at: now };
  }
}
