import type { Clock } from "../base/clock.ts";
import { netContains, sourceKey, tryParseAddress, unmapV4, type Net } from "../base/ip.ts";
import { LOCKOUT_MAX_SOURCES } from "../base/limits.ts";

export interface LockoutConfig {
  readonly enable: boolean;
  /** What one failed login adds, from where it is enforced, and its most, in milliseconds. */
  readonly penaltyMs: number;
  readonly enforceAtMs: number;
  readonly maxMs: number;
  /** Addresses that are never turned away: of an office behind one NAT, of a monitor. */
  readonly exempt: readonly Net[];
}

/**
 * Failed logins by source: each adds a penalty that runs off with time, and from a bound on the source is
 * turned away at the door (robustness.md 2). A stock client that retries a wrong password every 5 s never
 * gets there; somebody who tries a list does at once.
 */
export class Lockout {
  #config: LockoutConfig;
  readonly #clock: Clock;
  /** When each source is clear again; in the order of their last failure, oldest first. */
  readonly #clearAt = new Map<string, number>();

  constructor(config: LockoutConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
  }

  get sources(): number {
    return this.#clearAt.size;
  }

  reconfigure(next: LockoutConfig): void {
    this.#config = next;
    if (!next.enable) this.#clearAt.clear();
  }

  /** Counts a failed login from this address against its source (`sourceKey` of base/ip.ts). */
  fail(address: string): void {
    const { enable, penaltyMs, maxMs } = this.#config;
    if (!enable || this.isExempt(address)) return;
    const source = sourceKey(address);
    const now = this.#clock.now();
    const from = Math.max(now, this.#clearAt.get(source) ?? now);
    this.#clearAt.delete(source);
    this.#clearAt.set(source, Math.min(from + penaltyMs, now + maxMs));
    if (this.#clearAt.size > LOCKOUT_MAX_SOURCES) {
      const oldest = this.#clearAt.keys().next().value;
      if (oldest !== undefined) this.#clearAt.delete(oldest);
    }
  }

  /** True while the source of this address is turned away. */
  isLocked(address: string): boolean {
    if (this.#clearAt.size === 0 || this.isExempt(address)) return false;
    const source = sourceKey(address);
    const clearAt = this.#clearAt.get(source);
    if (clearAt === undefined) return false;
    const left = clearAt - this.#clock.now();
    if (left <= 0) this.#clearAt.delete(source);
    return left >= this.#config.enforceAtMs;
  }

  isExempt(address: string): boolean {
    const { exempt } = this.#config;
    if (exempt.length === 0) return false;
    const parsed = tryParseAddress(address.split("%", 1)[0]!);
    return parsed !== undefined && exempt.some((net) => netContains(net, unmapV4(parsed)));
  }
}
