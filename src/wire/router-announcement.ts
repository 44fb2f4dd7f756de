import { type MacAddress, writeMac } from "../base/mac.ts";
import { finishChecksum, sumWords } from "./checksum.ts";
import { ICMPV6, LINK_HOP_LIMIT, ROUTER_ADVERTISEMENT } from "./router-advertisement.ts";
import { ByteWriter } from "./writer.ts";

/* RFC 8200 3, RFC 4861 4.2 and 4.6, RFC 4191 2, RFC 8106 5. */
const IPV6_HEADER_BYTES = 40;
const SOURCE_AT = 8;
const CHECKSUM_AT = IPV6_HEADER_BYTES + 2;
const OPTION_UNIT = 8;
const OPTION = {
  SOURCE_LINK_ADDRESS: 1,
  PREFIX: 3,
  MTU: 5,
  ROUTE: 24,
  DNS_SERVERS: 25,
  DNS_SEARCH_LIST: 31,
} as const;
const OTHER_CONFIG = 0x40;
const ON_LINK = 0x80;
const AUTONOMOUS = 0x40;
const ADDRESS_BYTES = 16;
/** Two bits, as they stand in flags. */
const PREFERENCE = { high: 0x08, medium: 0, low: 0x18 } as const;
const ROUTE_UNITS = 3;

export interface AnnouncedPrefix {
  /** 16 octets, of which the first `length` bits count. */
  readonly network: Uint8Array;
  readonly length: number;
  /** Hosts make addresses of their own in it; of a /64 only (RFC 4862 5.5.3). */
  readonly isAutonomous: boolean;
  readonly validS: number;
  readonly preferredS: number;
}

/** What a router tells the hosts of a link. Times are seconds. */
export interface RouterAnnouncement {
  /** Its link-local address. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly mac: MacAddress;
  /** As a default router; 0: it is none. */
  readonly lifetimeS: number;
  /** Among several of them; medium unless given. */
  readonly preference?: keyof typeof PREFERENCE;
  /** Networks that it is the way to, whatever it is to others; for `lifetimeS` of their own. */
  readonly routes?: readonly {
    readonly network: Uint8Array;
    readonly length: number;
    readonly lifetimeS: number;
  }[];
  readonly hopLimit: number;
  /** More can be asked for by DHCPv6, but no addresses. */
  readonly hasOtherConfig: boolean;
  readonly mtu: number | undefined;
  readonly prefixes: readonly AnnouncedPrefix[];
  readonly dns: readonly Uint8Array[];
  /** Names of the search list as `tryEncodeDnsName` gives them. */
  readonly search: readonly Uint8Array[];
  readonly dnsLifetimeS: number;
}

/** The IPv6 packet of a router advertisement. */
export function encodeRouterAnnouncement(of: RouterAnnouncement): Uint8Array {
  const writer = new ByteWriter();
  writer.writeU32(0x6000_0000).writeU16(0).writeU8(ICMPV6).writeU8(LINK_HOP_LIMIT);
  writer.writeBytes(of.source).writeBytes(of.destination);
  writer.writeU8(ROUTER_ADVERTISEMENT).writeU8(0).writeU16(0);
  const flags = (of.hasOtherConfig ? OTHER_CONFIG : 0) | PREFERENCE[of.preference ?? "medium"];
  writer.writeU8(of.hopLimit).writeU8(flags);
  // How long neighbours count as reachable, and when to ask again, is for the hosts to say.
  writer.writeU16(of.lifetimeS).writeU32(0).writeU32(0);
  const mac = new Uint8Array(6);
  writeMac(mac, 0, of.mac);
  writer.writeU8(OPTION.SOURCE_LINK_ADDRESS).writeU8(1).writeBytes(mac);
  if (of.mtu !== undefined) writer.writeU8(OPTION.MTU).writeU8(1).writeU16(0).writeU32(of.mtu);
  for (const prefix of of.prefixes) writePrefix(writer, prefix);
  for (const { network, length, lifetimeS } of of.routes ?? []) {
    writer.writeU8(OPTION.ROUTE).writeU8(ROUTE_UNITS).writeU8(length);
    writer.writeU8(PREFERENCE.medium).writeU32(lifetimeS).writeBytes(network);
  }
  writeDns(writer, of);
  const packet = writer.finish();
  const view = new DataView(packet.buffer);
  const length = packet.length - IPV6_HEADER_BYTES;
  view.setUint16(4, length);
  const sum = sumWords(packet, SOURCE_AT, packet.length, length + ICMPV6);
  view.setUint16(CHECKSUM_AT, finishChecksum(sum));
  return packet;
}

function writePrefix(writer: ByteWriter, prefix: AnnouncedPrefix): void {
  writer.writeU8(OPTION.PREFIX).writeU8(4).writeU8(prefix.length);
  writer.writeU8(ON_LINK | (prefix.isAutonomous ? AUTONOMOUS : 0));
  writer.writeU32(prefix.validS).writeU32(prefix.preferredS).writeU32(0);
  writer.writeBytes(prefix.network);
}

function writeDns(writer: ByteWriter, { dns, search, dnsLifetimeS }: RouterAnnouncement): void {
  if (dns.length > 0) {
    writer.writeU8(OPTION.DNS_SERVERS).writeU8(1 + (dns.length * ADDRESS_BYTES) / OPTION_UNIT);
    writer.writeU16(0).writeU32(dnsLifetimeS);
    for (const server of dns) writer.writeBytes(server);
  }
  if (search.length === 0) return;
  const bytes = search.reduce((sum, name) => sum + name.length, 0);
  const units = Math.ceil(bytes / OPTION_UNIT);
  writer.writeU8(OPTION.DNS_SEARCH_LIST).writeU8(1 + units);
  writer.writeU16(0).writeU32(dnsLifetimeS);
  for (const name of search) writer.writeBytes(name);
  writer.writeZeros(units * OPTION_UNIT - bytes);
}
