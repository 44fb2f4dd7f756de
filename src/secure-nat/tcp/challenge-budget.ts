const WINDOW_MS = 1_000;
const PER_WINDOW = 10;

/** How many answers to segments that fit nothing a connection gives (RFC 5961 7): its own count, which no other feels. */
export class ChallengeBudget {
  #since = -Infinity;
  #spent = 0;

  /** True if one may go. */
  take(now: number): boolean {
    if (now - this.#since >= WINDOW_MS) {
      this.#since = now;
      this.#spent = 0;
    }
    this.#spent += 1;
    return this.#spent <= PER_WINDOW;
  }
}
