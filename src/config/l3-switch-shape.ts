import {
  formatAddress,
  formatNet,
  type IpAddress,
  type Net,
  netContains,
  tryParseAddress,
} from "../base/ip.ts";
import {
  DEFAULT_L3_MTU,
  MAX_BRIDGE_MTU,
  MAX_L3_ADDRESSES,
  MAX_L3_INTERFACES,
  MAX_L3_ROUTES,
  MAX_L3_SWITCHES,
  MIN_BRIDGE_MTU,
  MIN_IPV6_MTU,
} from "../base/limits.ts";
import type { L3InterfaceConfig, L3RouteConfig, L3SwitchConfig } from "./l3-switch-config.ts";
import { HUB_NAMES } from "./name-rules.ts";
import { bool, integer, net, textOf } from "./scalar-shapes.ts";
import {
  list,
  named,
  oneOf,
  type Place,
  refine,
  required,
  setting,
  type Shape,
  table,
} from "./shape.ts";
import type { TomlNode } from "./toml-tree.ts";

/** hub.md 12.1: the letters of a hub's name. */
export const L3_SWITCH_NAMES = { ...HUB_NAMES, noun: "L3 switch", max: MAX_L3_SWITCHES } as const;

const HUBS_OF_SWITCH = { ...HUB_NAMES, noun: "interface", max: MAX_L3_INTERFACES } as const;

/** An address that a host can have, with a network that has room for others. */
const interfaceNet: Shape<Net> = refine(net, (value, node, place) => {
  const why = refuseStation(value) ?? refuseNetwork(value);
  return why === undefined ? value : place.fail(node, `${formatNet(value)} ${why}`);
});

const addresses: Shape<readonly Net[]> = oneOf(
  'a network such as "10.10.0.254/24", or a list of them',
  {
    string: refine(interfaceNet, (one) => Object.freeze([one])),
    array: refine(list(interfaceNet), (all, node, place) =>
      all.length >= 1 && all.length <= MAX_L3_ADDRESSES
        ? all
        : place.fail(node, `${all.length} addresses, 1 to ${MAX_L3_ADDRESSES} are allowed`),
    ),
  },
);

const gateway: Shape<IpAddress> = textOf("the address of a router", (text) => {
  const found = tryParseAddress(text);
  return found === undefined || refuseStation(found) !== undefined ? undefined : found;
});

const route: Shape<L3RouteConfig> = refine(
  table({
    to: required(net),
    via: required(gateway),
    metric: setting(integer(1, 0xffff_ffff), 1),
  }),
  (value, node, place) => {
    const { to, via } = value;
    const network = networkOf(to);
    if (!Buffer.from(network.bytes).equals(to.bytes)) {
      return place.fail(node, `${formatNet(to)} is no network (${formatNet(network)} is)`, "to");
    }
    if (to.family !== via.family) {
      return place.fail(node, `an IPv${to.family} network needs an IPv${to.family} router`, "via");
    }
    if (to.prefix === to.bytes.length * 8 && isSame(to, via)) {
      return place.fail(node, `${formatAddress(via.bytes)} would be reached through itself`, "via");
    }
    return value;
  },
);

const keys = table({
  enable: setting(bool, true),
  interface: required(named(addresses, HUBS_OF_SWITCH)),
  route: setting(list(route), []),
  ra: setting(bool, false),
  mtu: setting(integer(MIN_BRIDGE_MTU, MAX_BRIDGE_MTU), DEFAULT_L3_MTU),
});

/** `l3switch.NAME` (config-proposal.md 7.4). */
export const l3Switch: Shape<Omit<L3SwitchConfig, "name">> = refine(keys, (value, node, place) => {
  const interfaces = value.interface.map(({ name, value: nets }) =>
    Object.freeze({ hub: name, addresses: nets }),
  );
  const { enable, route: routes, ra, mtu } = value;
  if (enable && interfaces.length === 0) {
    return place.fail(node, "it needs at least one interface, or enable = false", "interface");
  }
  const isV6 = interfaces.some(({ addresses: nets }) => nets.some(({ family }) => family === 6));
  if (isV6 && mtu < MIN_IPV6_MTU) {
    return place.fail(node, `IPv6 needs ${MIN_IPV6_MTU} at least`, "mtu");
  }
  if (!areApart(interfaces, node, place)) return undefined;
  if (!areReachable(routes, interfaces, node, place)) return undefined;
  return { enable, interfaces, routes, ra, mtu };
});

/** No address twice, and no network in two hubs: nothing would tell where its hosts are. */
function areApart(interfaces: readonly L3InterfaceConfig[], node: TomlNode, place: Place): boolean {
  const seen = new Map<string, string>();
  const networks = new Map<string, string>();
  for (const { hub, addresses: nets } of interfaces) {
    for (const one of nets) {
      const address = formatAddress(one.bytes);
      const twin = seen.get(address);
      if (twin !== undefined) {
        place.fail(node, `${address} is the address in ${twin} as well`, "interface", hub);
        return false;
      }
      seen.set(address, twin ?? hub);
      const network = formatNet(networkOf(one));
      const other = networks.get(network) ?? hub;
      if (other !== hub) {
        place.fail(node, `the network ${network} is that of ${other} as well`, "interface", hub);
        return false;
      }
      networks.set(network, hub);
    }
  }
  return true;
}

/** robustness.md IP-19. */
function areReachable(
  routes: readonly L3RouteConfig[],
  interfaces: readonly L3InterfaceConfig[],
  node: TomlNode,
  place: Place,
): boolean {
  const fail = (text: string): boolean => {
    place.fail(node, text, "route");
    return false;
  };
  if (routes.length > MAX_L3_ROUTES) {
    return fail(`${routes.length} routes, at most ${MAX_L3_ROUTES} are allowed`);
  }
  const nets = interfaces.flatMap((one) => one.addresses);
  const seen = new Set<string>();
  for (const { to, via } of routes) {
    const way = `the route to ${formatNet(to)} via ${formatAddress(via.bytes)}`;
    if (nets.some((own) => isSame(own, via))) return fail(`${way} leads back to the switch itself`);
    const near = nets.find((own) => netContains(own, via));
    if (near === undefined) return fail(`${way} leads to no network of an interface`);
    const why = refuseNetwork({ ...via, prefix: near.prefix });
    if (why !== undefined) return fail(`${way}: that address ${why}`);
    if (seen.has(way)) return fail(`${way} is there twice`);
    seen.add(way);
  }
  return true;
}

/** Why no host can have the address. */
function refuseStation({ family, bytes }: IpAddress): string | undefined {
  const first = bytes[0]!;
  if (family === 4) {
    if (first >= 224) return "is a multicast or reserved address";
    if (first === 127) return "is a loopback address";
    return first === 0 ? "is no address of a host" : undefined;
  }
  if (first === 0xff) return "is a multicast address";
  if (first === 0xfe && (bytes[1]! & 0xc0) === 0x80) {
    return "is a link-local address, which every interface has by itself";
  }
  return bytes.subarray(0, 12).every((octet) => octet === 0) ? "is a reserved address" : undefined;
}

/** Why the address cannot be that of a router in its network. */
function refuseNetwork(value: Net): string | undefined {
  const bits = value.bytes.length * 8;
  if (value.prefix === 0 || value.prefix === bits) return "leaves no room for other hosts";
  // RFC 3021 and RFC 6164: networks of two hosts have neither.
  if (value.prefix >= bits - 1) return undefined;
  if (isSame(networkOf(value), value)) return "is the address of the network itself";
  const isBroadcast = value.family === 4 && isSame(lastOf(value), value);
  return isBroadcast ? "is the broadcast address of its network" : undefined;
}

function networkOf(value: Net): Net {
  const bytes = value.bytes.map((octet, at) => octet & maskOctet(value.prefix, at));
  return { ...value, bytes };
}

function lastOf(value: Net): Net {
  const bytes = value.bytes.map((octet, at) => octet | (~maskOctet(value.prefix, at) & 0xff));
  return { ...value, bytes };
}

function maskOctet(prefix: number, at: number): number {
  const bits = Math.max(0, Math.min(8, prefix - at * 8));
  return (0xff00 >> bits) & 0xff;
}

function isSame(a: IpAddress, b: IpAddress): boolean {
  return a.family === b.family && Buffer.from(a.bytes).equals(b.bytes);
}
