import {
  formatIpv4,
  formatNet,
  type Ipv4,
  maskOfPrefix,
  type Net,
  readIpv4,
  tryParseIpv4,
  tryParseNet,
  writeIpv4,
} from "../base/ip.ts";
import { MAX_FIXED_LEASES, MAX_DHCP_ROUTES, MAX_DHCP_SERVERS_OF_A_KIND } from "../base/limits.ts";
import { formatMac, type MacAddress } from "../base/mac.ts";
import { bool, durationOrNever, textOf, tryParseStationMac } from "./scalar-shapes.ts";
import type { DhcpConfig, DhcpRoute, FixedLease } from "./secure-nat-config.ts";
import {
  list,
  mismatch,
  optional,
  type Place,
  refine,
  required,
  setting,
  type Shape,
  table,
  type TableValue,
} from "./shape.ts";
import type { TomlNode } from "./toml-tree.ts";

// `hub.NAME.securenat.dhcp` (config-proposal.md 7.4): the keys, and what of them must fit the network that they are of.

/** hub.md 11.1. */
const DEFAULT_LEASE_MS = 7_200_000;
const DEFAULT_PROBE_MS = 200;
/** Of the reference's range, in a network that has so many addresses. */
const FIRST_HOST = 10;
const LAST_HOST = 200;
/** RFC 1035 2.3.4, less the length of the root and of the first label. */
const MAX_DOMAIN_CHARS = 253;

/** One address of this machine's virtual network, and that network. */
export interface Subnet {
  readonly address: Ipv4;
  readonly prefix: number;
}

export const ipv4: Shape<Ipv4> = textOf("an IPv4 address", tryParseIpv4);

interface Range {
  readonly first: Ipv4;
  readonly last: Ipv4;
}

const range: Shape<Range> = refine(
  textOf('a range of addresses "FIRST-LAST"', (written) => {
    const [first = "", last = "", ...more] = written.split("-").map((part) => part.trim());
    const [from, to] = [tryParseIpv4(first), tryParseIpv4(last)];
    return from === undefined || to === undefined || more.length > 0
      ? undefined
      : { first: from, last: to };
  }),
  (found, node, place) =>
    found.first <= found.last
      ? found
      : place.fail(
          node,
          `the range ends at ${formatIpv4(found.last)}, before it begins at ${formatIpv4(found.first)}`,
        ),
);

const gateway: Shape<Ipv4 | "none"> = textOf('an IPv4 address, or "" for none', (written) =>
  written === "" ? "none" : tryParseIpv4(written),
);

const servers: Shape<readonly Ipv4[]> = refine(list(ipv4), (all, node, place) =>
  all.length <= MAX_DHCP_SERVERS_OF_A_KIND
    ? all
    : place.fail(node, `${all.length} servers, at most ${MAX_DHCP_SERVERS_OF_A_KIND} are allowed`),
);

/** As hosts append it to names: letters, digits and hyphens in labels of 63 at most (RFC 1123 2.1). */
const domain: Shape<string> = textOf('a domain such as "guest.example.com", or ""', (written) => {
  if (written.length > MAX_DOMAIN_CHARS) return undefined;
  const label = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
  return written === "" || written.split(".").every((part) => label.test(part))
    ? written
    : undefined;
});

const network: Shape<Net> = textOf('an IPv4 network such as "10.0.0.0/8"', (written) => {
  const found = tryParseNet(written);
  return found?.family === 4 ? { ...found, bytes: maskedBytes(found) } : undefined;
});

/** Without bits behind the prefix. */
function maskedBytes({ bytes, prefix }: Net): Uint8Array {
  const masked = new Uint8Array(4);
  writeIpv4(masked, 0, ((readIpv4(bytes, 0) & maskOfPrefix(prefix)) >>> 0) as Ipv4);
  return masked;
}

const routes: Shape<readonly DhcpRoute[]> = refine(
  list(table({ to: required(network), via: required(ipv4) })),
  (all, node, place) =>
    all.length <= MAX_DHCP_ROUTES
      ? all
      : place.fail(node, `${all.length} routes, at most ${MAX_DHCP_ROUTES} are allowed`),
);

/** MAC = address; one MAC in two spellings is refused as a twin would be. */
const fixedLeases: Shape<readonly FixedLease[]> = {
  expects: 'a table of addresses such as { "5e:00:53:00:00:01" = "192.168.30.50" }',
  inner: new Map([["NAME", ipv4]]),
  read(node, place) {
    if (node.kind !== "table") return place.fail(node, mismatch(this.expects, node));
    if (node.entries.size > MAX_FIXED_LEASES) {
      const text = `${node.entries.size} addresses, at most ${MAX_FIXED_LEASES} are allowed`;
      return place.fail(node, text);
    }
    const found: FixedLease[] = [];
    for (const [name, { keyAt, value }] of node.entries) {
      const here = place.inside(name);
      const complain = (text: string) =>
        here.context.fail({ position: keyAt, key: here.path, text });
      const mac = tryParseStationMac(name);
      const address = ipv4.read(value, here);
      if (mac === undefined) {
        complain('the key is not the MAC of a station such as "5e:00:53:00:00:01"');
      } else if (found.some((one) => one.mac === mac)) {
        complain(`${formatMac(mac)} has an address already`);
      } else if (address !== undefined) found.push(Object.freeze({ mac, address }));
    }
    return found.length === node.entries.size ? Object.freeze(found) : undefined;
  },
};

const keys = {
  enable: setting(bool, true),
  range: optional(range),
  // The wire has seconds in 32 bits, the last of which says "for ever" (RFC 2131 3.3).
  lease: setting(durationOrNever("15s", "3650d"), DEFAULT_LEASE_MS),
  gateway: optional(gateway),
  dns: optional(servers),
  domain: setting(domain, ""),
  ntp: setting(servers, []),
  routes: setting(routes, []),
  static: setting(fixedLeases, []),
  probe: setting(durationOrNever("10ms", "5s"), DEFAULT_PROBE_MS),
};

export const dhcp: Shape<TableValue<typeof keys>> = table(keys);
export type DhcpKeys = TableValue<typeof keys>;

/** True for an address that a host of the network can have. */
export function isHostOf({ address, prefix }: Subnet, host: Ipv4): boolean {
  const mask = maskOfPrefix(prefix);
  const part = (host & ~mask) >>> 0;
  return (host & mask) === (address & mask) && part !== 0 && part !== ~mask >>> 0;
}

/**
 * The server's settings in this network; undefined after what does not fit has been told. `node` and `place` are those of
 * the table that has `dhcp` in it, `mtu` bounds a message.
 */
export function dhcpServerOf(
  value: DhcpKeys,
  subnet: Subnet & { readonly mtu: number },
  node: TomlNode,
  place: Place,
): DhcpConfig | undefined {
  const { address } = subnet;
  const base = ((address & maskOfPrefix(subnet.prefix)) >>> 0) as Ipv4;
  const netText = `${formatIpv4(base)}/${subnet.prefix}`;
  let isGood = true;
  const refuse = (text: string, ...path: string[]) => {
    isGood = false;
    place.fail(node, text, "dhcp", ...path);
  };
  const mustBeHost = (host: Ipv4, what: string, ...path: string[]) => {
    if (isHostOf(subnet, host)) return;
    refuse(`${what}${formatIpv4(host)} is not the address of a host in ${netText}`, ...path);
  };
  const pool = value.range ?? defaultRange(subnet);
  mustBeHost(pool.first, "", "range");
  if (pool.last !== pool.first) mustBeHost(pool.last, "", "range");
  if (pool.first === address && pool.last === address) {
    refuse("the only address in it is that of the virtual host", "range");
  }
  const router = value.gateway === undefined ? address : value.gateway;
  if (router !== "none") mustBeHost(router, "", "gateway");
  for (const { to, via } of value.routes) {
    mustBeHost(via, `the way to ${formatNet(to)}: `, "routes");
  }
  checkFixed(value.static, address, { mustBeHost, refuse });
  const settings: DhcpConfig = Object.freeze({
    enable: value.enable,
    ...pool,
    leaseMs: value.lease === 0 ? Infinity : value.lease,
    gateway: router === "none" ? undefined : router,
    dns: value.dns ?? [address],
    domain: value.domain,
    ntp: value.ntp,
    routes: value.routes,
    fixed: value.static,
    probeMs: value.probe,
  });
  const room = subnet.mtu - HEADER_BYTES;
  const size = messageBytes(settings);
  // Options are never cut in an answer (robustness.md DH-15): what does not fit is refused here.
  if (value.enable && size > room) {
    const text = `an answer with all of this has ${size} bytes, and a packet of ${subnet.mtu} has room for ${room}`;
    refuse(`${text}: name fewer routes or servers`);
  }
  return isGood ? settings : undefined;
}

function checkFixed(
  all: readonly FixedLease[],
  own: Ipv4,
  tell: {
    mustBeHost(host: Ipv4, what: string, ...path: string[]): void;
    refuse(text: string, ...path: string[]): void;
  },
): void {
  const owners = new Map<Ipv4, MacAddress>();
  for (const { mac, address: host } of all) {
    const what = `${formatMac(mac)}: `;
    const other = owners.get(host);
    tell.mustBeHost(host, what, "static");
    if (host === own) tell.refuse(`${what}${formatIpv4(host)} is the virtual host's`, "static");
    else if (other !== undefined) {
      tell.refuse(`${what}${formatIpv4(host)} is that of ${formatMac(other)}, too`, "static");
    }
    owners.set(host, mac);
  }
}

/** .10 to .200; in a network that is too small for it, all of it. */
function defaultRange({ address, prefix }: Subnet): Range {
  const mask = maskOfPrefix(prefix);
  const base = (address & mask) >>> 0;
  const broadcast = (base | ~mask) >>> 0;
  const isSmall = prefix > 24;
  return {
    first: (isSmall ? base + 1 : base + FIRST_HOST) as Ipv4,
    last: (isSmall ? broadcast - 1 : base + LAST_HOST) as Ipv4,
  };
}

/** IPv4 and UDP. */
const HEADER_BYTES = 28;
/** Up to the options, with the cookie (RFC 2131 2). */
const FIXED_BYTES = 240;
/** Type, server, lease, renewal, rebinding, mask and end. */
const COMMON_OPTION_BYTES = 3 + 6 + 6 + 6 + 6 + 6 + 1;
const MIN_MESSAGE_BYTES = 300;

/** Upper bound of an answer's size. */
function messageBytes({ gateway: router, dns, ntp, domain: name, routes: all }: DhcpConfig) {
  const option = (bytes: number) => (bytes === 0 ? 0 : bytes + 2 * Math.ceil(bytes / 255));
  const routes = all.reduce((sum, { to }) => sum + 5 + Math.ceil(to.prefix / 8), 0);
  // A client that reads routes finds its gateway among them (RFC 3442).
  const ways = routes === 0 || router === undefined ? routes : routes + 5;
  const options =
    option(router === undefined ? 0 : 4) +
    option(4 * dns.length) +
    option(4 * ntp.length) +
    option(name.length) +
    2 * option(ways);
  return Math.max(MIN_MESSAGE_BYTES, FIXED_BYTES + COMMON_OPTION_BYTES + options);
}
