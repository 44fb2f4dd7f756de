import type { IpAddress, Net } from "../base/ip.ts";
import { addressKey } from "../ip-host/neighbors.ts";

/** A network that an interface is in, or one behind a router in such a network. */
export interface Route<E> {
  readonly to: Net;
  /** Undefined for the network of an interface: its hosts are there themselves. */
  readonly via: IpAddress | undefined;
  /** 0 for the network of an interface. */
  readonly metric: number;
  readonly egress: E;
}

interface Length<E> {
  readonly prefix: number;
  /** By the bits of the network. */
  readonly byNetwork: Map<string, Route<E>>;
}

const masked = new Uint8Array(16);

/**
 * Longest prefix first, then lowest metric; of routes that are alike the first. `prefersMetric` is what the reference
 * comes to: networks of interfaces first, then the lowest metric, and only then the longest prefix (hub.md 12.2).
 */
export class RouteTable<E> {
  /** By family, longest first. */
  readonly #lengths: Readonly<Record<4 | 6, readonly Length<E>[]>>;
  readonly #prefersMetric: boolean;

  constructor(routes: readonly Route<E>[], prefersMetric: boolean) {
    this.#lengths = { 4: lengthsOf(routes, 4), 6: lengthsOf(routes, 6) };
    this.#prefersMetric = prefersMetric;
  }

  /** The route for the address whose 4 or 16 octets begin at `at`. */
  find(bytes: Uint8Array, at: number, family: 4 | 6): Route<E> | undefined {
    let best: Route<E> | undefined;
    for (const { prefix, byNetwork } of this.#lengths[family]) {
      const found = byNetwork.get(networkKey(bytes, at, family, prefix));
      if (found === undefined) continue;
      if (!this.#prefersMetric) return found;
      if (best === undefined || found.metric < best.metric) best = found;
    }
    return best;
  }
}

function lengthsOf<E>(routes: readonly Route<E>[], family: 4 | 6): Length<E>[] {
  const byPrefix = new Map<number, Length<E>>();
  for (const route of routes) {
    const { to, metric } = route;
    if (to.family !== family) continue;
    const length = byPrefix.get(to.prefix) ?? { prefix: to.prefix, byNetwork: new Map() };
    byPrefix.set(to.prefix, length);
    const key = networkKey(to.bytes, 0, family, to.prefix);
    const other = length.byNetwork.get(key);
    if (other === undefined || metric < other.metric) length.byNetwork.set(key, route);
  }
  return [...byPrefix.values()].sort((a, b) => b.prefix - a.prefix);
}

function networkKey(bytes: Uint8Array, at: number, family: 4 | 6, prefix: number): string {
  const length = family === 4 ? 4 : 16;
  for (let i = 0; i < length; i += 1) {
    const bits = Math.max(0, Math.min(8, prefix - i * 8));
    masked[i] = bytes[at + i]! & (0xff00 >> bits);
  }
  return addressKey(masked, 0, length);
}
