// What is told in a hub of the switch there: its networks and where it leads, and the groups that it listens to.
import type { Clock } from "../base/clock.ts";
import type { Net } from "../base/ip.ts";
import { MIN_IPV6_MTU } from "../base/limits.ts";
import type { MacAddress } from "../base/mac.ts";
import type { Random } from "../base/random.ts";
import { GroupListener } from "../ip-host/group-listener.ts";
import { ALL_ROUTERS, solicitedNodeOf } from "../ip-host/ipv6-address.ts";
import { outbox } from "../ip-host/outbox.ts";
import { RouterAdvertiser, type RouterFacts } from "../ip-host/router-advertiser.ts";
import { PACKET_BYTES } from "../platform/packet-memory.ts";
import { ETHER_TYPE } from "../wire/ethernet.ts";
import type { L3Interface } from "./l3-interface.ts";
import { networkOf } from "./link-address.ts";
import type { Route } from "./route-table.ts";

const PREFIX_OPTION_BYTES = 32;
const ROUTE_OPTION_BYTES = 24;
/** IPv6 header, message, and the options for MAC and MTU. */
const FIXED_BYTES = 40 + 16 + 8 + 8;

/** An advertiser of one interface, which is yet to be started. `routes` are those of the switch at the time. */
export function makeAdvertiser(
  link: L3Interface,
  deps: {
    readonly clock: Clock;
    readonly random: Random;
    readonly routes: () => readonly Route<L3Interface>[];
  },
): RouterAdvertiser {
  const { clock, random, routes } = deps;
  return new RouterAdvertiser({
    clock,
    random,
    get facts() {
      return factsOf(link, routes());
    },
    isDefaultRouter: () => true,
    send: (to, packet) => send(link, to, packet),
    settled: () => outbox.drain(),
  });
}

/** Tells of the groups of one interface, once it is started: as a router, and of each address (RFC 4291 2.8). */
export function makeListener(
  link: L3Interface,
  deps: { readonly clock: Clock; readonly random: Random },
): GroupListener {
  const { clock, random } = deps;
  const linkLocal = link.linkLocal.bytes;
  const own = link.addresses.filter(({ family }) => family === 6).map(({ bytes }) => bytes);
  return new GroupListener({
    clock,
    random,
    linkLocal,
    groups: [ALL_ROUTERS, ...[linkLocal, ...own].map(solicitedNodeOf)],
    send: (to, packet) => send(link, to, packet),
    settled: () => outbox.drain(),
  });
}

function factsOf(link: L3Interface, routes: readonly Route<L3Interface>[]): RouterFacts {
  const { mac, mtu, addresses } = link;
  const own = addresses.filter(({ family }) => family === 6);
  const v6 = routes.filter(({ to }) => to.family === 6);
  const room = MIN_IPV6_MTU - FIXED_BYTES - own.length * PREFIX_OPTION_BYTES;
  return {
    mac,
    linkLocal: link.linkLocal.bytes,
    mtu,
    prefixes: own.map(prefixOf),
    dns: [],
    search: [],
    hasOtherConfig: false,
    // Beside a router that leads out of all networks the switch is the second choice but for what it names (RFC 4191 2.1).
    preference: v6.some(({ to }) => to.prefix === 0) ? "medium" : "low",
    routes: v6
      .filter(({ to, egress }) => to.prefix > 0 && egress !== link)
      .slice(0, Math.max(0, Math.floor(room / ROUTE_OPTION_BYTES)))
      .map(({ to }) => prefixOf(to)),
  };
}

function prefixOf(net: Net): { readonly network: Uint8Array; readonly length: number } {
  return { network: networkOf(net), length: net.prefix };
}

function send(link: L3Interface, to: MacAddress, packet: Uint8Array): void {
  const at = outbox.begin(link, to, ETHER_TYPE.IPV6, packet.length);
  if (at < 0) return;
  PACKET_BYTES.set(packet, at);
  outbox.end(packet.length);
}
