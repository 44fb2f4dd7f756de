import type { Clock } from "../base/clock.ts";
import { MAX_LOGIN_FAILURE_LINES_PER_MINUTE } from "../base/limits.ts";
import type { Log } from "../observe/log.ts";

const MINUTE_MS = 60_000;

export interface LoginFailure {
  readonly address: string;
  /** A word: what fail2ban counts are `credentials` and `held`. */
  readonly reason: string;
  readonly error: number;
  readonly user: string;
  readonly hub: string;
  readonly client: string;
  readonly build?: number;
  /** How he wanted to prove who he is. */
  readonly auth?: string;
  readonly detail: string | undefined;
}

/**
 * Tells of refused logins. The text and what follows it up to the reason are ours alone, so that no name that somebody made up
 * can look like another line to those who read it by rules (src/asset/fail2ban/patchbay.conf). Many sources together get so
 * many lines a minute; each of them is stopped by the lock-out long before.
 */
export class LoginFailures {
  readonly #clock: Clock;
  readonly #log: Log;
  #since = 0;
  #lines = 0;
  #suppressed = 0;

  constructor(deps: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = deps.clock;
    this.#log = deps.log;
  }

  tell(failure: LoginFailure): void {
    const now = this.#clock.now();
    if (now - this.#since >= MINUTE_MS) {
      this.#since = now;
      this.#lines = 0;
    }
    if (this.#lines >= MAX_LOGIN_FAILURE_LINES_PER_MINUTE) {
      this.#suppressed++;
      return;
    }
    this.#lines++;
    this.#log.warn("login_failed", "Login refused", {
      ...failure,
      suppressed: this.#suppressed || undefined,
    });
    this.#suppressed = 0;
  }
}
