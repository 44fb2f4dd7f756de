import type { Clock } from "../../base/clock.ts";
import { DNS_QUESTIONS_PER_S, MAX_DNS_ASKERS } from "../../base/limits.ts";

interface Rate {
  /** Questions that it may ask at `at`; a second's worth at most. */
  left: number;
  at: number;
}

/** Bounds how fast each inner address asks, so that one of them cannot take the resolvers from the others. */
export class AskerRates {
  readonly #clock: Clock;
  /** In the order of their last question. */
  readonly #rates = new Map<number | string, Rate>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** False for a question that comes too fast. */
  take(asker: number | string): boolean {
    const now = this.#clock.now();
    const rate = this.#rates.get(asker) ?? this.#add(now);
    const earned = ((now - rate.at) * DNS_QUESTIONS_PER_S) / 1000;
    rate.left = Math.min(DNS_QUESTIONS_PER_S, rate.left + earned);
    rate.at = now;
    this.#rates.delete(asker);
    this.#rates.set(asker, rate);
    if (rate.left < 1) return false;
    rate.left -= 1;
    return true;
  }

  #add(now: number): Rate {
    if (this.#rates.size >= MAX_DNS_ASKERS) {
      for (const oldest of this.#rates.keys()) {
        this.#rates.delete(oldest);
        break;
      }
    }
    return { left: DNS_QUESTIONS_PER_S, at: now };
  }
}
