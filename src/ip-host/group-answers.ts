import type { Clock } from "../base/clock.ts";
import { GROUP_ANSWERS_PER_S } from "../base/limits.ts";
import type { MacAddress } from "../base/mac.ts";
import { AskerRates } from "./asker-rates.ts";

/**
 * Bounds answers that go to all of the hub, and answers to questions that go to all. Software hosts are not subject to
 * the hub's limiter of broadcasts (hub.md 2.10): without a bound each guest could flood through them.
 */
export class GroupAnswers {
  readonly #each: AskerRates;
  readonly #all: AskerRates;

  constructor(clock: Clock) {
    this.#each = new AskerRates(clock, GROUP_ANSWERS_PER_S.perGuest);
    this.#all = new AskerRates(clock, GROUP_ANSWERS_PER_S.all);
  }

  /** False if there have been too many. */
  take(asker: MacAddress): boolean {
    return this.#each.take(asker) && this.#all.take(0);
  }
}
