// Router advertisements as routers send them (RFC 4861 4.2).
import type { Net } from "../base/ip.ts";
import { type MacAddress, writeMac } from "../base/mac.ts";
import { finishChecksum, sumWords } from "./checksum.ts";
import {
  ICMPV6,
  LINK_HOP_LIMIT,
  ROUTER_ADVERTISEMENT,
  type RouterAdvertisement,
} from "./router-advertisement.ts";

/* RFC 8200 3. */
const IPV6_HEADER_BYTES = 40;
const PAYLOAD_LENGTH_AT = 4;
const NEXT_HEADER_AT = 6;
const HOP_LIMIT_AT = 7;
const SOURCE_AT = 8;
const MIN_BYTES = 16;
const FLAGS_AT = 5;
const LIFETIME_AT = 6;
const OPTION_UNIT = 8;
/* RFC 4861 4.6.2 and 4.6.4, RFC 4191 2.3, RFC 8106 5.1. */
const OPTION = { SOURCE_LINK_ADDRESS: 1, PREFIX: 3, MTU: 5, ROUTE: 24, DNS_SERVERS: 25 } as const;
const MANAGED = 0x80;
const OTHER = 0x40;
const ON_LINK = 0x80;
const AUTONOMOUS = 0x40;
/** The two bits of a preference, as they stand in flags. */
const PREFERENCE = { high: 0x08, medium: 0, low: 0x18 } as const;

/** A network of the link. Lifetimes are seconds; 0xffffffff is for ever. */
export interface AdvertisedPrefix {
  readonly net: Net;
  /** Hosts make themselves addresses in it. */
  readonly isAutonomous: boolean;
  readonly validS: number;
  readonly preferredS: number;
}

/** What a router tells the hosts of its link. */
export interface RouterAdvertisementDraft {
  /** Its link-local address. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly mac: MacAddress;
  /** That hosts begin with; 0 leaves it to them. */
  readonly hopLimit: number;
  /** Seconds that it is a default router; 0: it is none. */
  readonly lifetimeS: number;
  readonly preference: RouterAdvertisement["preference"];
  /** Addresses, or other settings only, come from a DHCPv6 server. */
  readonly isManaged?: boolean;
  readonly hasOtherSettings?: boolean;
  readonly mtu?: number;
  readonly prefixes?: readonly AdvertisedPrefix[];
  /** Networks that it is the way to. */
  readonly routes?: readonly {
    readonly net: Net;
    readonly lifetimeS: number;
    readonly preference: RouterAdvertisement["preference"];
  }[];
  /** Name servers, each of 16 octets. */
  readonly dns?: { readonly servers: readonly Uint8Array[]; readonly lifetimeS: number };
}

/** An IPv6 packet that holds the advertisement. */
export function encodeRouterAdvertisement(of: RouterAdvertisementDraft): Uint8Array {
  const flags =
    (of.isManaged === true ? MANAGED : 0) |
    (of.hasOtherSettings === true ? OTHER : 0) |
    PREFERENCE[of.preference];
  const fixed = new Uint8Array(MIN_BYTES);
  fixed[0] = ROUTER_ADVERTISEMENT;
  fixed[4] = of.hopLimit;
  fixed[FLAGS_AT] = flags;
  new DataView(fixed.buffer).setUint16(LIFETIME_AT, of.lifetimeS);
  const link = new Uint8Array(OPTION_UNIT);
  link.set([OPTION.SOURCE_LINK_ADDRESS, 1]);
  writeMac(link, 2, of.mac);
  const message = Buffer.concat([
    fixed,
    link,
    ...(of.mtu === undefined ? [] : [mtuOption(of.mtu)]),
    ...(of.prefixes ?? []).map(prefixOption),
    ...(of.routes ?? []).map(routeOption),
    ...(of.dns === undefined || of.dns.servers.length === 0 ? [] : [dnsOption(of.dns)]),
  ]);
  const packet = new Uint8Array(IPV6_HEADER_BYTES + message.length);
  const view = new DataView(packet.buffer);
  packet[0] = 0x60;
  view.setUint16(PAYLOAD_LENGTH_AT, message.length);
  packet[NEXT_HEADER_AT] = ICMPV6;
  packet[HOP_LIMIT_AT] = LINK_HOP_LIMIT;
  packet.set(of.source, SOURCE_AT);
  packet.set(of.destination, SOURCE_AT + 16);
  packet.set(message, IPV6_HEADER_BYTES);
  const sum = sumWords(packet, SOURCE_AT, packet.length, message.length + ICMPV6);
  view.setUint16(IPV6_HEADER_BYTES + 2, finishChecksum(sum));
  return packet;
}

function mtuOption(mtu: number): Uint8Array {
  const option = new Uint8Array(OPTION_UNIT);
  option.set([OPTION.MTU, 1]);
  new DataView(option.buffer).setUint32(4, mtu);
  return option;
}

function prefixOption({ net, isAutonomous, validS, preferredS }: AdvertisedPrefix): Uint8Array {
  const option = new Uint8Array(4 * OPTION_UNIT);
  const view = new DataView(option.buffer);
  option.set([OPTION.PREFIX, 4, net.prefix, ON_LINK | (isAutonomous ? AUTONOMOUS : 0)]);
  view.setUint32(4, validS);
  view.setUint32(8, preferredS);
  option.set(networkBytes(net), 16);
  return option;
}

function routeOption({
  net,
  lifetimeS,
  preference,
}: NonNullable<RouterAdvertisementDraft["routes"]>[number]): Uint8Array {
  const option = new Uint8Array(3 * OPTION_UNIT);
  option.set([OPTION.ROUTE, 3, net.prefix, PREFERENCE[preference]]);
  new DataView(option.buffer).setUint32(4, lifetimeS);
  option.set(networkBytes(net), OPTION_UNIT);
  return option;
}

function dnsOption({
  servers,
  lifetimeS,
}: NonNullable<RouterAdvertisementDraft["dns"]>): Uint8Array {
  const option = new Uint8Array(OPTION_UNIT + servers.length * 16);
  option.set([OPTION.DNS_SERVERS, option.length / OPTION_UNIT]);
  new DataView(option.buffer).setUint32(4, lifetimeS);
  for (const [at, server] of servers.entries()) option.set(server, OPTION_UNIT + at * 16);
  return option;
}

/** The network's own bits, the others 0. */
function networkBytes({ bytes, prefix }: Net): Uint8Array {
  return bytes.map(
    (octet, at) => octet & (0xff00 >> Math.max(0, Math.min(8, prefix - at * 8))) & 0xff,
  );
}
