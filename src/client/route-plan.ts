import { netContains, type IpAddress, type Ipv4, type Net, ipv4Address } from "../base/ip.ts";
import { MAX_TUNNEL_ROUTES } from "../base/limits.ts";
import type { DhcpRoute } from "../wire/dhcp-option.ts";

// Which networks are reached through the tunnel, worked out from what the user wrote and what the network behind the
// tunnel said. Nothing here touches the system: route-keeper.ts brings the machine in line with the plan.

/** Wider routes that DHCP names are the default route by another name, and taken only with `default_route`. */
const MIN_PUSHED_PREFIX = 8;

/** What is known of the network behind the tunnel. */
export interface TunnelNetwork {
  /** The machine's addresses there. */
  readonly nets: readonly Net[];
  readonly gateway?: Ipv4 | undefined;
  /** DHCP option 121, without its default route. */
  readonly routes?: readonly DhcpRoute[] | undefined;
  /** The IPv6 router that announces itself as a default one. */
  readonly router?: IpAddress | undefined;
}

/** What the account asks for. */
export interface RouteWishes {
  readonly defaultRoute: boolean;
  /** Exactly these go through the tunnel; where there is none, those that DHCP names. */
  readonly routes: readonly Net[];
}

/** A route over the tunnel's interface; without `via` the hosts are neighbours. */
export interface PlannedRoute {
  readonly to: Net;
  readonly via: IpAddress | undefined;
}

export interface RoutePlan {
  /** At most one for each family, with prefix 0. */
  readonly defaults: readonly PlannedRoute[];
  /** All others, and never one that has a server's address inside. */
  readonly specific: readonly PlannedRoute[];
  /** Routes that were left out because they are too many. */
  readonly dropped: number;
}

/**
 * The routes of an account. A server must not be reached through the tunnel that it carries: its addresses are cut
 * out of every network, so that whatever the machine has beside the tunnel stays the way to them.
 */
export function planRoutes(
  wishes: RouteWishes,
  network: TunnelNetwork,
  servers: readonly IpAddress[],
): RoutePlan {
  const gateway = network.gateway === undefined ? undefined : ipv4Address(network.gateway);
  const via = (family: 4 | 6) => (family === 4 ? gateway : network.router);
  const wanted: PlannedRoute[] = [];
  if (wishes.routes.length > 0) {
    for (const net of wishes.routes) wanted.push({ to: networkOf(net), via: via(net.family) });
  } else {
    for (const route of network.routes ?? []) {
      if (route.prefix >= MIN_PUSHED_PREFIX || wishes.defaultRoute) wanted.push(pushed(route));
    }
  }
  // Without a router there is no default route to take: the family stays as it is.
  if (wishes.defaultRoute && gateway !== undefined) wanted.push({ to: ANY_IPV4, via: gateway });
  if (wishes.defaultRoute && network.router !== undefined) {
    wanted.push({ to: ANY_IPV6, via: network.router });
  }
  const defaults = wanted.filter(({ to }) => to.prefix === 0);
  const specific = unique(
    wanted
      .filter(({ to }) => to.prefix > 0)
      .flatMap(({ to, via: gate }) => without(to, servers).map((net) => ({ to: net, via: gate }))),
  );
  return {
    defaults: unique(defaults),
    specific: specific.slice(0, MAX_TUNNEL_ROUTES),
    dropped: Math.max(0, specific.length - MAX_TUNNEL_ROUTES),
  };
}

const ANY_IPV4: Net = { family: 4, bytes: new Uint8Array(4), prefix: 0 };
const ANY_IPV6: Net = { family: 6, bytes: new Uint8Array(16), prefix: 0 };

/** The parts of a network that are left when addresses are taken out: for each the other half at every bit below. */
export function without(net: Net, addresses: readonly IpAddress[]): Net[] {
  let parts = [net];
  for (const address of addresses) {
    parts = parts.flatMap((part) => (netContains(part, address) ? around(part, address) : [part]));
  }
  return parts;
}

function around(net: Net, address: IpAddress): Net[] {
  const parts: Net[] = [];
  for (let bit = net.prefix; bit < address.bytes.length * 8; bit++) {
    const bytes = address.bytes.slice();
    bytes[bit >> 3]! ^= 0x80 >> (bit & 7);
    parts.push(networkOf({ family: net.family, bytes, prefix: bit + 1 }));
  }
  return parts;
}

/** The network of an address with a prefix length: its host bits are zero. */
export function networkOf(net: Net): Net {
  const bytes = net.bytes.map((octet, at) => {
    const kept = Math.min(8, Math.max(0, net.prefix - at * 8));
    return octet & (0xff00 >> kept);
  });
  return { family: net.family, bytes, prefix: net.prefix };
}

function pushed(route: DhcpRoute): PlannedRoute {
  const to = networkOf({ ...ipv4Address(route.network), prefix: route.prefix });
  return { to, via: route.via === 0 ? undefined : ipv4Address(route.via) };
}

/** The first of those with the same destination. */
function unique(routes: readonly PlannedRoute[]): PlannedRoute[] {
  const found = new Map<string, PlannedRoute>();
  for (const route of routes) {
    const key = `${route.to.bytes.toHex()}/${route.to.prefix}`;
    if (!found.has(key)) found.set(key, route);
  }
  return [...found.values()];
}
