import type { Clock } from "../base/clock.ts";
import { sourceKey } from "../base/ip.ts";
import {
  LOCKOUT_KNOWN_SOURCE_MS,
  LOCKOUT_KNOWN_SOURCES,
  LOCKOUT_MAX_USERS,
  LOCKOUT_USER_INTERVAL_MS,
} from "../base/limits.ts";

export interface UserLockoutConfig {
  readonly enable: boolean;
  /** So many failures within the window hold the user, for a window. */
  readonly userFailures: number;
  readonly userWindowMs: number;
}

interface UserState {
  /** When the failures of the window happened, oldest first; at most `userFailures` of them. */
  failures: number[];
  heldUntil: number;
  /** While held: when the next try is looked at. */
  nextTryAt: number;
  /** When the user last logged in, by source; oldest first. */
  readonly seenAt: Map<string, number>;
}

/**
 * Failed logins by user, from all sources together: one who tries a list from many addresses gets one try in five seconds,
 * while the user goes on from where he is known (robustness.md 2). Names that no user has count like others, so
 * that nothing is told by it.
 */
export class UserLockout {
  #config: UserLockoutConfig;
  readonly #clock: Clock;
  /** By hub and user; in the order in which they were last touched. */
  readonly #users = new Map<string, UserState>();

  constructor(config: UserLockoutConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
  }

  reconfigure(next: UserLockoutConfig): void {
    this.#config = next;
    if (!next.enable) this.#users.clear();
  }

  /** True if a try from this address is to be refused unseen. Of a held user, one try in an interval is let through. */
  isHeld(hub: string, user: string, address: string): boolean {
    const state = this.#users.get(keyOf(hub, user));
    const now = this.#clock.now();
    if (state === undefined || state.heldUntil <= now || this.#isKnown(state, address))
      return false;
    if (now < state.nextTryAt) return true;
    state.nextTryAt = now + LOCKOUT_USER_INTERVAL_MS;
    return false;
  }

  failed(hub: string, user: string, address: string): void {
    const { enable, userFailures, userWindowMs } = this.#config;
    if (!enable) return;
    const state = this.#touch(keyOf(hub, user));
    if (this.#isKnown(state, address)) return;
    const now = this.#clock.now();
    state.failures = state.failures.filter((at) => at > now - userWindowMs);
    state.failures.push(now);
    if (state.failures.length < userFailures) return;
    state.failures = [];
    state.heldUntil = now + userWindowMs;
    state.nextTryAt = now + LOCKOUT_USER_INTERVAL_MS;
  }

  /** The user has logged in from here. What others failed at is not forgotten by that. */
  succeeded(hub: string, user: string, address: string): void {
    if (!this.#config.enable) return;
    const { seenAt } = this.#touch(keyOf(hub, user));
    const source = sourceKey(address);
    seenAt.delete(source);
    seenAt.set(source, this.#clock.now());
    if (seenAt.size > LOCKOUT_KNOWN_SOURCES) dropFirst(seenAt);
  }

  #isKnown({ seenAt }: UserState, address: string): boolean {
    const at = seenAt.get(sourceKey(address));
    return at !== undefined && this.#clock.now() - at < LOCKOUT_KNOWN_SOURCE_MS;
  }

  #touch(key: string): UserState {
    const state = this.#users.get(key) ?? {
      failures: [],
      heldUntil: Number.NEGATIVE_INFINITY,
      nextTryAt: 0,
      seenAt: new Map<string, number>(),
    };
    this.#users.delete(key);
    this.#users.set(key, state);
    if (this.#users.size > LOCKOUT_MAX_USERS) dropFirst(this.#users);
    return state;
  }
}

/** Names are cut before they get here (MAX_NAME_CHARS), so a key is bounded. */
function keyOf(hub: string, user: string): string {
  return `${hub.toLowerCase()}\n${user.toLowerCase()}`;
}

function dropFirst(map: Map<string, unknown>): void {
  const first = map.keys().next().value;
  if (first !== undefined) map.delete(first);
}
