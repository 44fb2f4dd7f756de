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
  /**
   * When somebody last logged in, by hub and user and then by source; oldest first. Apart from the failures, since names
   * that are made up would else push out those who are known.
   */
  readonly #seenAt = new Map<string, Map<string, number>>();

  constructor(config: UserLockoutConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
  }

  reconfigure(next: UserLockoutConfig): void {
    this.#config = next;
    if (next.enable) return;
    this.#users.clear();
    this.#seenAt.clear();
  }

  /** True if a try from this address is to be refused unseen. Of a held user, one try in an interval is let through. */
  isHeld(hub: string, user: string, address: string): boolean {
    const key = keyOf(hub, user);
    const state = this.#users.get(key);
    const now = this.#clock.now();
    if (state === undefined || state.heldUntil <= now || this.#isKnown(key, address)) return false;
    if (now < state.nextTryAt) return true;
    state.nextTryAt = now + LOCKOUT_USER_INTERVAL_MS;
    return false;
  }

  failed(hub: string, user: string, address: string): void {
    const { enable, userFailures, userWindowMs } = this.#config;
    if (!enable) return;
    const key = keyOf(hub, user);
    if (this.#isKnown(key, address)) return;
    const now = this.#clock.now();
    const none = { failures: [], heldUntil: Number.NEGATIVE_INFINITY, nextTryAt: 0 };
    const state = touch(this.#users, key, none);
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
    const seenAt = touch(this.#seenAt, keyOf(hub, user), new Map<string, number>());
    const source = sourceKey(address);
    seenAt.delete(source);
    seenAt.set(source, this.#clock.now());
    if (seenAt.size > LOCKOUT_KNOWN_SOURCES) dropFirst(seenAt);
  }

  #isKnown(key: string, address: string): boolean {
    const at = this.#seenAt.get(key)?.get(sourceKey(address));
    return at !== undefined && this.#clock.now() - at < LOCKOUT_KNOWN_SOURCE_MS;
  }
}

/** The value of this key, moved behind all others; `none` where there was none, in place of the oldest where all are taken. */
function touch<T>(map: Map<string, T>, key: string, none: T): T {
  const value = map.get(key) ?? none;
  map.delete(key);
  map.set(key, value);
  if (map.size > LOCKOUT_MAX_USERS) dropFirst(map);
  return value;
}

/** Names are cut before they get here (MAX_NAME_CHARS), so a key is bounded. */
function keyOf(hub: string, user: string): string {
  return `${hub.toLowerCase()}\n${user.toLowerCase()}`;
}

function dropFirst(map: Map<string, unknown>): void {
  const first = map.keys().next().value;
  if (first !== undefined) map.delete(first);
}
