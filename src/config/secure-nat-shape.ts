import {
  formatIpv4,
  type IpAddress,
  type Ipv4,
  type Net,
  readIpv4,
  tryParseAddress,
  tryParseNet,
} from "../base/ip.ts";
import { MAX_NAT_ENTRIES, MAX_DNS_RESOLVERS, MAX_NAT_ENTRIES_PER_ADDRESS } from "../base/limits.ts";
import { formatMac } from "../base/mac.ts";
import { dhcp, dhcpServerOf, isHostOf } from "./dhcp-shape.ts";
import { bool, choice, duration, integer, stationMac, textOf } from "./scalar-shapes.ts";
import type { SecureNatConfig } from "./secure-nat-config.ts";
import {
  list,
  oneOf,
  optional,
  type Place,
  refine,
  section,
  setting,
  type Shape,
  table,
} from "./shape.ts";
import { emptyTable, type TomlNode } from "./toml-tree.ts";

/** hub.md 11.1. */
const DEFAULT_ADDRESS = "192.168.30.1/24";
const MTU = { min: 62, max: 1500 } as const;
const DEFAULT_TCP_MS = 1_800_000;
const DEFAULT_UDP_MS = 60_000;
/** Every link of IPv6 carries so much (RFC 8200 5). */
const MIN_IPV6_MTU = 1280;
/** Prefix lengths of a network with a few hosts in it, and of the largest that is for private use. */
const PREFIX = { min: 8, max: 30 } as const;

interface HostAddress {
  readonly address: Ipv4;
  readonly prefix: number;
}

const hostAddress: Shape<HostAddress> = refine(
  textOf(`an IPv4 address with its network such as "${DEFAULT_ADDRESS}"`, (written) => {
    const found = written.includes("/") ? tryParseNet(written) : undefined;
    return found?.family === 4 ? found : undefined;
  }),
  ({ bytes, prefix }, node, place) => {
    const address = readIpv4(bytes, 0);
    if (prefix < PREFIX.min || prefix > PREFIX.max) {
      return place.fail(node, `a network of /${PREFIX.min} to /${PREFIX.max} has hosts like this`);
    }
    if (!isHostOf({ address, prefix }, address)) {
      return place.fail(node, "this is the network itself or its broadcast, not a host in it");
    }
    const [first = 0] = bytes;
    // RFC 1122 3.2.1.3: "this" network, loopback, and what is no host's.
    if (first === 0 || first === 127 || first >= 224) {
      return place.fail(node, "no host has an address of this kind");
    }
    return { address, prefix };
  },
);

const ipv6Prefix: Shape<Net> = refine(
  textOf('an IPv6 network of /64 such as "fd00:1234:5678:1::/64"', (written) => {
    const found = tryParseNet(written);
    return found?.family === 6 && found.prefix === 64 ? found : undefined;
  }),
  (found, node, place) => {
    const { bytes } = found;
    if (bytes.subarray(8).some((octet) => octet !== 0)) {
      return place.fail(node, "the last 64 bits of a network are zero");
    }
    // Unique local (RFC 4193) or global unicast (RFC 4291 2.4): neither link-local nor multicast nor reserved.
    const first = bytes[0]!;
    const isUsable = (first & 0xfe) === 0xfc || (first & 0xe0) === 0x20;
    return isUsable
      ? found
      : place.fail(node, 'expected a prefix of "fc00::/7" or "2000::/3", which hosts may use');
  },
);

const resolvers: Shape<readonly IpAddress[]> = refine(
  list(textOf("the IP address of a name server", tryParseAddress)),
  (all, node, place) =>
    all.length <= MAX_DNS_RESOLVERS
      ? all
      : place.fail(node, `${all.length} name servers, at most ${MAX_DNS_RESOLVERS} are allowed`),
);

const keys = table({
  enable: setting(bool, true),
  address: setting(hostAddress, { address: 0xc0a8_1e01 as Ipv4, prefix: 24 }),
  mac: optional(stationMac),
  nat: setting(choice("user", "kernel", "off"), "user"),
  ipv6: optional(bool),
  ipv6_prefix: optional(ipv6Prefix),
  mtu: setting(integer(MTU.min, MTU.max), MTU.max),
  tcp_timeout: setting(duration("60s", "2000000s"), DEFAULT_TCP_MS),
  udp_timeout: setting(duration("10s", "2000000s"), DEFAULT_UDP_MS),
  max_entries: setting(integer(1, MAX_NAT_ENTRIES), MAX_NAT_ENTRIES),
  max_entries_per_address: setting(integer(1, MAX_NAT_ENTRIES), MAX_NAT_ENTRIES_PER_ADDRESS),
  allow_host: setting(bool, false),
  resolvers: setting(resolvers, []),
  log: setting(bool, true),
  dhcp: section(dhcp),
});

const settings: Shape<SecureNatConfig> = refine(keys, (value, node, place) => {
  const { address, prefix } = value.address;
  const { mtu } = value;
  const ipv6 = ipv6Of(value, node, place);
  const server = dhcpServerOf(value.dhcp, { address, prefix, mtu }, node, place);
  if (ipv6 === undefined || server === undefined) return undefined;
  return Object.freeze({
    enable: value.enable,
    address,
    prefix,
    mac: value.mac,
    nat: value.nat,
    ipv6,
    ipv6Prefix: value.ipv6_prefix,
    mtu,
    tcpTimeoutMs: value.tcp_timeout,
    udpTimeoutMs: value.udp_timeout,
    maxEntries: value.max_entries,
    maxEntriesPerAddress: value.max_entries_per_address,
    allowHost: value.allow_host,
    resolvers: value.resolvers,
    log: value.log,
    dhcp: server,
  });
});

/** On where the MTU allows it, unless the file says otherwise. */
function ipv6Of(
  { ipv6, mtu }: { readonly ipv6: boolean | undefined; readonly mtu: number },
  node: TomlNode,
  place: Place,
): boolean | undefined {
  if (ipv6 !== true || mtu >= MIN_IPV6_MTU) return ipv6 ?? mtu >= MIN_IPV6_MTU;
  return place.fail(node, `IPv6 needs an "mtu" of ${MIN_IPV6_MTU} or more, not ${mtu}`, "ipv6");
}

/** `hub.NAME.securenat` (config-proposal.md 7.4): a table, or true for what a table without keys says. */
export const secureNat: Shape<SecureNatConfig> = {
  ...oneOf("true, false or a table", {
    table: settings,
    boolean: refine(bool, (enable, node, place) => {
      const initial = settings.read(emptyTable(node.at), place);
      return initial === undefined ? undefined : Object.freeze({ ...initial, enable });
    }),
  }),
  ...(keys.inner === undefined ? {} : { inner: keys.inner }),
};

const isInPool = ({ dhcp: { first, last } }: SecureNatConfig, address: Ipv4) =>
  first <= address && address <= last;
const poolText = ({ dhcp: { first, last } }: SecureNatConfig) =>
  `${formatIpv4(first)}-${formatIpv4(last)}`;

interface Addressee {
  readonly name: string;
  readonly address: Ipv4 | undefined;
}

/** False, after it has told so, for users' addresses that SecureNAT cannot give them. */
export function checkUserAddresses(
  users: readonly Addressee[],
  nat: SecureNatConfig | undefined,
  node: TomlNode,
  place: Place,
): boolean {
  const owners = new Map(
    nat?.dhcp.fixed.map(({ mac, address }) => [address, formatMac(mac)] as const),
  );
  let isGood = true;
  for (const { name, address } of users) {
    if (address === undefined) continue;
    const owner = owners.get(address);
    const fault =
      nat === undefined
        ? 'this hub has no "securenat", which would give it'
        : !isHostOf(nat, address)
          ? `not in the network of the hub's SecureNAT, ${formatIpv4(nat.address)}/${nat.prefix}`
          : address === nat.address
            ? "the address of the hub's SecureNAT itself"
            : isInPool(nat, address)
              ? `in the pool of DHCP (${poolText(nat)}): somebody else could have it when the user comes`
              : owner === undefined
                ? undefined
                : `this is the address of ${owner}, too`;
    owners.set(address, name);
    if (fault === undefined) continue;
    isGood = false;
    place.fail(node, fault, "user", name, "address");
  }
  return isGood;
}
