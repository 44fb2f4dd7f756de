import { type IpAddress, type Net, netContains } from "../base/ip.ts";
import type { L3RouteConfig } from "../config/l3-switch-config.ts";
import { addressKey } from "../ip-host/neighbors.ts";
import { isLinkLocalAt } from "../ip-host/packet-address.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../platform/packet-memory.ts";
import { type Hop, HopCache } from "./hop.ts";
import type { L3Interface } from "./l3-interface.ts";
import { broadcastOf } from "./link-address.ts";
import { type Route, RouteTable } from "./route-table.ts";

const LOCAL: Hop = { kind: "local" };
const NO_ROUTE: Hop = { kind: "no_route" };
const REFUSED: Hop = { kind: "refused" };

/** Where packets go, by their destination, for one set of interfaces and routes. */
export class ForwardingPlan {
  readonly routes: readonly Route<L3Interface>[];
  readonly #table: RouteTable<L3Interface>;
  readonly #cache = new HopCache();
  /** Addresses of the switch itself, of both families. */
  readonly #own: ReadonlySet<string>;
  /** The same as signed numbers, and the last addresses of networks. */
  readonly #own4: ReadonlySet<number>;
  readonly #broadcasts: ReadonlySet<number>;
  /** The last words of IPv6 ones: a sender's is among them seldom. */
  readonly #ownLast6: ReadonlySet<number>;

  constructor(
    interfaces: readonly L3Interface[],
    routes: readonly L3RouteConfig[],
    prefersMetric: boolean,
  ) {
    this.routes = [...connected(interfaces), ...behind(interfaces, routes)];
    this.#table = new RouteTable(this.routes, prefersMetric);
    const all = interfaces.flatMap(({ addresses }) => addresses);
    this.#own = new Set(all.map(({ bytes }) => addressKey(bytes, 0, bytes.length)));
    const v4 = all.filter(({ family }) => family === 4);
    this.#own4 = new Set(
      v4.map(({ bytes }) => new DataView(bytes.buffer, bytes.byteOffset).getInt32(0)),
    );
    this.#ownLast6 = new Set(
      all
        .filter(({ family }) => family === 6)
        .map(({ bytes }) => new DataView(bytes.buffer, bytes.byteOffset).getInt32(12)),
    );
    this.#broadcasts = new Set(
      v4.filter(({ prefix }) => prefix < 31).map((net) => broadcastOf(net) | 0),
    );
  }

  /** Of the IPv4 address at `at` in packet memory; undefined while there is no room for another neighbour. */
  hop4(at: number): Hop | undefined {
    const address = PACKET_VIEW.getInt32(at);
    const known = this.#cache.get4(address);
    if (isFresh(known)) return known;
    const found = this.#find(at, 4);
    if (found !== undefined) this.#cache.set4(address, found);
    return found;
  }

  /** Of an IPv6 one. */
  hop6(at: number): Hop | undefined {
    const known = this.#cache.get6(at);
    if (isFresh(known)) return known;
    const found = this.#find(at, 6);
    if (found !== undefined) this.#cache.set6(at, found);
    return found;
  }

  /** Whether the IPv4 address at `at` can be that of a sender whose packets go on (robustness.md IP-09). */
  isSource4(at: number): boolean {
    const address = PACKET_VIEW.getInt32(at);
    const first = address >>> 24;
    if (first === 0 || first === 127 || first >= 224) return false;
    return !this.#own4.has(address) && !this.#broadcasts.has(address);
  }

  /** The same of an IPv6 address, of whatever scope. */
  isSource6(at: number): boolean {
    const high = PACKET_VIEW.getInt32(at);
    if (high === 0 && PACKET_VIEW.getInt32(at + 4) === 0) {
      // ::/96 and ::ffff:0:0/96 hold the unspecified address, loopback and IPv4 addresses.
      const third = PACKET_VIEW.getInt32(at + 8);
      if (third === 0 || third === 0xffff) return false;
    }
    if (high >>> 24 === 0xff) return false;
    const isClear = !this.#ownLast6.has(PACKET_VIEW.getInt32(at + 12));
    return isClear || !this.#own.has(addressKey(PACKET_BYTES, at, 16));
  }

  #find(at: number, family: 4 | 6): Hop | undefined {
    const bytes = PACKET_BYTES.slice(at, at + (family === 4 ? 4 : 16));
    if (this.#own.has(addressKey(bytes, 0, bytes.length))) return LOCAL;
    if (family === 4 ? this.#isRefused4(at) : isRefused6(at)) return REFUSED;
    const route = this.#table.find(bytes, 0, family);
    if (route === undefined) return NO_ROUTE;
    const { egress, via } = route;
    const neighbor = egress.neighbors(family).lookup(via ?? { family, bytes });
    return neighbor === undefined ? undefined : { kind: "forward", egress, neighbor };
  }

  #isRefused4(at: number): boolean {
    const address = PACKET_VIEW.getInt32(at);
    const first = address >>> 24;
    return first === 0 || first === 127 || first >= 224 || this.#broadcasts.has(address);
  }
}

/** A neighbour that was forgotten is looked up again. */
function isFresh(hop: Hop | undefined): hop is Hop {
  return hop !== undefined && (hop.kind !== "forward" || hop.neighbor.state !== "gone");
}

function isRefused6(at: number): boolean {
  const high = PACKET_VIEW.getInt32(at);
  if (high >>> 24 === 0xff || isLinkLocalAt(at)) return true;
  if (high !== 0 || PACKET_VIEW.getInt32(at + 4) !== 0) return false;
  const third = PACKET_VIEW.getInt32(at + 8);
  return third === 0 || third === 0xffff;
}

function connected(interfaces: readonly L3Interface[]): Route<L3Interface>[] {
  return interfaces.flatMap((egress) =>
    egress.addresses.map((to) => ({ to, via: undefined, metric: 0, egress })),
  );
}

function behind(
  interfaces: readonly L3Interface[],
  routes: readonly L3RouteConfig[],
): Route<L3Interface>[] {
  return routes.flatMap(({ to, via, metric }) => {
    const egress = nearest(interfaces, via);
    return egress === undefined ? [] : [{ to, via, metric, egress }];
  });
}

/** The interface in whose network the router is; of several networks the smallest. */
function nearest(interfaces: readonly L3Interface[], via: IpAddress): L3Interface | undefined {
  let best: { readonly net: Net; readonly egress: L3Interface } | undefined;
  for (const egress of interfaces) {
    for (const net of egress.addresses) {
      if (!netContains(net, via)) continue;
      if (best === undefined || net.prefix > best.net.prefix) best = { net, egress };
    }
  }
  return best?.egress;
}
