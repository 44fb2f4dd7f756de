import type { Clock, Timer } from "../base/clock.ts";
import { formatAddress, type IpAddress } from "../base/ip.ts";
import { MAX_ROUTERS } from "../base/limits.ts";
import type { RouterAdvertisement } from "../wire/router-advertisement.ts";

/** Which of the IPv6 routers on the hub is the way out: the default router list of RFC 4861 5.1, with RFC 4191. */
export class RouterList {
  readonly #clock: Clock;
  readonly #onChange: (router: IpAddress | undefined) => void;
  /** The first known first: a router that works is not left for its equal. */
  readonly #routers = new Map<string, RouterAdvertisement & { readonly expiresAt: number }>();
  #timer: Timer | undefined;
  #best: string | undefined;

  constructor(clock: Clock, onChange: (router: IpAddress | undefined) => void) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  take(advertisement: RouterAdvertisement): void {
    const key = formatAddress(advertisement.router.bytes);
    const expiresAt = this.#clock.now() + advertisement.lifetimeMs;
    if (advertisement.lifetimeMs === 0) this.#routers.delete(key);
    else if (this.#routers.has(key) || this.#routers.size < MAX_ROUTERS) {
      this.#routers.set(key, { ...advertisement, expiresAt });
    }
    this.#choose();
  }

  close(): void {
    this.#timer?.cancel();
    this.#routers.clear();
  }

  #choose(): void {
    const now = this.#clock.now();
    for (const [key, { expiresAt }] of this.#routers) {
      if (expiresAt <= now) this.#routers.delete(key);
    }
    this.#timer?.cancel();
    const next = Math.min(...[...this.#routers.values()].map(({ expiresAt }) => expiresAt));
    if (next < Infinity) this.#timer = this.#clock.after(next - now, () => this.#choose());
    const best = [...this.#routers].toSorted(
      ([, a], [, b]) => RANK[a.preference] - RANK[b.preference],
    )[0];
    if (best?.[0] === this.#best) return;
    this.#best = best?.[0];
    this.#onChange(best?.[1].router);
  }
}

const RANK = { high: 0, medium: 1, low: 2 } as const;
