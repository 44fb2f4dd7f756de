// What stands behind "host", "net", "port", "portrange" and "proto" in a capture filter.
import { readIpv4, tryParseAddress, tryParseIpv4, tryParseNet } from "../../base/ip.ts";
import { tryParseMac } from "../../base/mac.ts";
import type { FrameTest } from "./filter-frame.ts";
import {
  etherHost,
  IP_PROTOCOL,
  ip6Protocol,
  ipProtocol,
  ipv4Net,
  ipv6Net,
  LINK_TYPE,
  linkType,
  or,
  portRange,
  type Direction,
  type Ipv4Carrier,
} from "./filter-primitive.ts";
import { FilterError, type Token } from "./filter-token.ts";

export const PROTOCOL_WORDS = [
  "ether",
  "ip",
  "ip6",
  "arp",
  "rarp",
  "tcp",
  "udp",
  "sctp",
  "icmp",
  "icmp6",
  "igmp",
  "ah",
  "esp",
  "pim",
  "vrrp",
] as const;
export type ProtocolWord = (typeof PROTOCOL_WORDS)[number];
export type IdKind = "host" | "net" | "port" | "portrange" | "proto";

/** What is asked of an address, a port or a protocol. */
export interface Qualifiers {
  readonly protocol: ProtocolWord | undefined;
  readonly direction: Direction;
  readonly kind: IdKind;
}

const OTHER_WORDS =
  "src dst host net port portrange proto mask vlan broadcast multicast less greater".split(" ");
const MAX_PORT = 65_535;
const ALL_BITS = -1;
/** Below it the field is the length of an LLC payload (IEEE 802.3 3.2.6). */
const LEAST_ETHER_TYPE = 0x600;

export function isWordOfLanguage(text: string): boolean {
  return OTHER_WORDS.includes(text) || PROTOCOL_WORDS.some((word) => word === text);
}

/** The test for `id`. `mask` is what follows "mask" behind a network. @throws FilterError */
export function idTest(
  id: Token,
  mask: Token | undefined,
  qualifiers: Qualifiers,
  link: number,
): FrameTest {
  switch (qualifiers.kind) {
    case "host":
      return hostTest(id, qualifiers, link);
    case "net":
      return netTest(id, mask, qualifiers, link);
    case "port":
    case "portrange":
      return portTest(id, qualifiers, link);
    case "proto":
      return protocolTest(id, qualifiers, link);
  }
}

function hostTest(id: Token, { protocol, direction }: Qualifiers, link: number): FrameTest {
  if (protocol === "ether") {
    const mac = tryParseMac(id.text);
    if (mac === undefined) throw expected("a MAC address", id);
    return etherHost(mac, direction);
  }
  const address = tryParseAddress(id.text);
  if (address === undefined) {
    const isMac = tryParseMac(id.text) !== undefined;
    throw isMac
      ? new FilterError(
          'a MAC address goes with "ether host", "ether src" or "ether dst"',
          id.column,
        )
      : expected("an IPv4 or IPv6 address", id);
  }
  if (address.family === 6) {
    checkIpv6(protocol, id);
    return ipv6Net(address.bytes, 128, direction, link);
  }
  const carrier = carrierOf(protocol, id);
  return ipv4Net(readIpv4(address.bytes, 0), ALL_BITS, direction, carrier, link);
}

function netTest(
  id: Token,
  mask: Token | undefined,
  { protocol, direction }: Qualifiers,
  link: number,
): FrameTest {
  if (id.text.includes(":")) {
    checkIpv6(protocol, id);
    const net = tryParseNet(id.text);
    if (net === undefined || mask !== undefined) throw expected("a network such as fd00::/8", id);
    return ipv6Net(net.bytes, net.prefix, direction, link);
  }
  const carrier = carrierOf(protocol, id);
  const { address, bits } = ipv4Parts(id);
  const maskBits = mask === undefined ? bits : ipv4Mask(mask);
  if ((address & ~maskBits) !== 0) throw new FilterError("bits beyond the mask are set", id.column);
  return ipv4Net(address, maskBits, direction, carrier, link);
}

/** `10`, `10.1`, `10.1.2` and `10.1.2.3` are as long as they are written, unless a prefix follows. */
function ipv4Parts(id: Token): { address: number; bits: number } {
  const [text = "", digits] = id.text.split("/");
  const octets = text.split(".").length;
  const value = tryParseIpv4(text + ".0".repeat(Math.max(0, 4 - octets)));
  const prefix =
    digits === undefined ? 8 * octets : /^(?:\d|[12]\d|3[0-2])$/.test(digits) ? Number(digits) : -1;
  if (value === undefined || prefix < 0 || id.text.split("/").length > 2) {
    throw expected("a network such as 10.0.0.0/8", id);
  }
  return { address: value | 0, bits: prefix === 0 ? 0 : ALL_BITS << (32 - prefix) };
}

function ipv4Mask(mask: Token): number {
  const value = tryParseIpv4(mask.text);
  if (value === undefined) throw expected("a mask such as 255.255.255.0", mask);
  return value | 0;
}

function portTest(id: Token, { protocol, direction, kind }: Qualifiers, link: number): FrameTest {
  const number = transportOf(protocol, id);
  const written = kind === "port" ? `${id.text}-${id.text}` : id.text;
  const [, first, last] = /^(\d{1,5})-(\d{1,5})$/.exec(written) ?? [];
  const [from, to] = [Number(first ?? -1), Number(last ?? -1)];
  if (from < 0 || from > MAX_PORT || to > MAX_PORT) {
    throw expected(kind === "port" ? "a port from 0 to 65535" : "two ports such as 5060-5090", id);
  }
  return portRange(Math.min(from, to), Math.max(from, to), direction, number, link);
}

function protocolTest(id: Token, { protocol }: Qualifiers, link: number): FrameTest {
  const name = id.text.replace(/^\\/, "");
  if (protocol === "ether") {
    const type = (LINK_TYPE as Readonly<Record<string, number>>)[name] ?? integer(name);
    if (!(type >= LEAST_ETHER_TYPE && type <= 0xffff)) throw expected("a type such as 0x88cc", id);
    return linkType(type, link);
  }
  const number = (IP_PROTOCOL as Readonly<Record<string, number>>)[name] ?? integer(name);
  if (!(number >= 0 && number <= 255)) throw expected("a protocol from 0 to 255", id);
  switch (protocol) {
    case "ip":
      return ipProtocol(number, link);
    case "ip6":
      return ip6Protocol(number, link);
    case undefined:
      return or(ipProtocol(number, link), ip6Protocol(number, link));
    default:
      throw new FilterError('"proto" goes with "ether", "ip" or "ip6"', id.column);
  }
}

function integer(text: string): number {
  return /^(?:\d{1,5}|0x[\da-f]{1,4})$/i.test(text) ? Number(text) : -1;
}

function carrierOf(protocol: ProtocolWord | undefined, id: Token): Ipv4Carrier {
  switch (protocol) {
    case undefined:
      return "any";
    case "ip":
    case "arp":
    case "rarp":
      return protocol;
    default:
      throw new FilterError(`an IPv4 address does not go with "${protocol}"`, id.column);
  }
}

function checkIpv6(protocol: ProtocolWord | undefined, id: Token): void {
  if (protocol === undefined || protocol === "ip6") return;
  throw new FilterError(`an IPv6 address does not go with "${protocol}"`, id.column);
}

function transportOf(protocol: ProtocolWord | undefined, id: Token): number | undefined {
  switch (protocol) {
    case undefined:
      return undefined;
    case "tcp":
    case "udp":
    case "sctp":
      return IP_PROTOCOL[protocol];
    default:
      throw new FilterError(`a port does not go with "${protocol}"`, id.column);
  }
}

function expected(what: string, { text, column }: Token): FilterError {
  return new FilterError(`expected ${what}, found "${text}"`, column);
}
