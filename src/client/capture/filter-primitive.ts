// What the words of a capture filter ask of a frame. `link` is how far the VLAN tags that the filter has named before
// move everything behind the MAC addresses: 0, 4, 8 bytes.
import type { MacAddress } from "../../base/mac.ts";
import type { FilterFrame, FrameTest } from "./filter-frame.ts";

/** EtherTypes that words of the language stand for. */
export const LINK_TYPE = { ip: 0x0800, arp: 0x0806, rarp: 0x8035, ip6: 0x86dd } as const;
/** Protocols above IP that words of the language stand for. */
export const IP_PROTOCOL = {
  icmp: 1,
  igmp: 2,
  tcp: 6,
  udp: 17,
  esp: 50,
  ah: 51,
  icmp6: 58,
  pim: 103,
  vrrp: 112,
  sctp: 132,
} as const;
const VLAN_TYPES: readonly number[] = [0x8100, 0x88a8, 0x9100];
const IPV6_FRAGMENT = 44;
const ETHERNET_BYTES = 14;
const IPV6_BYTES = 40;
const TAG_BYTES = 4;

/** Which of the two addresses or ports: one, either, or both. */
export type Direction = "src" | "dst" | "either" | "both";

export const and =
  (a: FrameTest, b: FrameTest): FrameTest =>
  (frame) =>
    a(frame) && b(frame);
export const or =
  (a: FrameTest, b: FrameTest): FrameTest =>
  (frame) =>
    a(frame) || b(frame);
export const not =
  (a: FrameTest): FrameTest =>
  (frame) =>
    !a(frame);

function either(tests: readonly FrameTest[]): FrameTest {
  return tests.reduce(or);
}

function directed(direction: Direction, src: FrameTest, dst: FrameTest): FrameTest {
  switch (direction) {
    case "src":
      return src;
    case "dst":
      return dst;
    case "either":
      return or(src, dst);
    case "both":
      return and(src, dst);
  }
}

export function linkType(type: number, link: number): FrameTest {
  return (frame) => frame.u16(12 + link) === type;
}

/** A tag at this place, of any VLAN or of one; what comes after it lies `TAG_BYTES` further. */
export function vlan(id: number | undefined, link: number): { test: FrameTest; link: number } {
  const isTagged: FrameTest = (frame) => VLAN_TYPES.includes(frame.u16(12 + link));
  const test =
    id === undefined
      ? isTagged
      : and(isTagged, (frame) => (frame.u16(ETHERNET_BYTES + link) & 0xfff) === id);
  return { test, link: link + TAG_BYTES };
}

export function etherHost(mac: MacAddress, direction: Direction): FrameTest {
  const high = Math.floor(mac / 2 ** 32);
  const low = mac | 0;
  const at =
    (offset: number): FrameTest =>
    (frame) =>
      frame.i32(offset + 2) === low && frame.u16(offset) === high;
  return directed(direction, at(6), at(0));
}

export const etherMulticast: FrameTest = (frame) => (frame.u8(0) & 1) !== 0;

export function ipMulticast(link: number): FrameTest {
  const at = ETHERNET_BYTES + link + 16;
  return and(linkType(LINK_TYPE.ip, link), (frame) => frame.u8(at) >= 224);
}

export function ip6Multicast(link: number): FrameTest {
  const at = ETHERNET_BYTES + link + 24;
  return and(linkType(LINK_TYPE.ip6, link), (frame) => frame.u8(at) === 255);
}

export const shorterThan =
  (bytes: number): FrameTest =>
  (frame) =>
    frame.size <= bytes;
export const longerThan =
  (bytes: number): FrameTest =>
  (frame) =>
    frame.size >= bytes;

export function ipProtocol(protocol: number, link: number): FrameTest {
  const at = ETHERNET_BYTES + link + 9;
  return and(linkType(LINK_TYPE.ip, link), (frame) => frame.u8(at) === protocol);
}

/** Right behind the header, or behind that of a fragment; other extension headers are not followed. */
export function ip6Protocol(protocol: number, link: number): FrameTest {
  const next = ETHERNET_BYTES + link + 6;
  const fragment = ETHERNET_BYTES + link + IPV6_BYTES;
  return and(
    linkType(LINK_TYPE.ip6, link),
    (frame) =>
      frame.u8(next) === protocol ||
      (frame.u8(next) === IPV6_FRAGMENT && frame.u8(fragment) === protocol),
  );
}

/** Whose addresses are meant; `any` is all three that have IPv4 addresses. */
export type Ipv4Carrier = "any" | "ip" | "arp" | "rarp";

/** IPv4 source or destination, or sender or target of ARP, within `mask`. */
export function ipv4Net(
  address: number,
  mask: number,
  direction: Direction,
  carrier: Ipv4Carrier,
  link: number,
): FrameTest {
  const wanted = address & mask;
  // Of a mask without bits nothing is read, as with IPv6 below.
  const within =
    (offset: number): FrameTest =>
    (frame) =>
      mask === 0 || (frame.i32(ETHERNET_BYTES + link + offset) & mask) === wanted;
  const ip = and(linkType(LINK_TYPE.ip, link), directed(direction, within(12), within(16)));
  const arp = (type: number) =>
    and(linkType(type, link), directed(direction, within(14), within(24)));
  switch (carrier) {
    case "ip":
      return ip;
    case "arp":
      return arp(LINK_TYPE.arp);
    case "rarp":
      return arp(LINK_TYPE.rarp);
    case "any":
      return either([ip, arp(LINK_TYPE.arp), arp(LINK_TYPE.rarp)]);
  }
}

/** IPv6 source or destination within the first `prefix` bits of `address`. */
export function ipv6Net(
  address: Uint8Array,
  prefix: number,
  direction: Direction,
  link: number,
): FrameTest {
  const view = new DataView(address.buffer, address.byteOffset, address.byteLength);
  const masks = [0, 1, 2, 3].map((word) => wordMask(prefix - 32 * word));
  const words = masks.map((mask, word) => view.getInt32(4 * word) & mask);
  const isWithin = (frame: FilterFrame, at: number) => {
    for (let word = 0; word < 4; word += 1) {
      const mask = masks[word]!;
      if (mask === 0) return true;
      if ((frame.i32(at + 4 * word) & mask) !== words[word]) return false;
    }
    return true;
  };
  const base = ETHERNET_BYTES + link;
  return and(
    linkType(LINK_TYPE.ip6, link),
    directed(
      direction,
      (frame) => isWithin(frame, base + 8),
      (frame) => isWithin(frame, base + 24),
    ),
  );
}

/** The upper `bits` of 32. */
function wordMask(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? -1 : -1 << (32 - bits);
}

const WITH_PORTS = [IP_PROTOCOL.tcp, IP_PROTOCOL.udp, IP_PROTOCOL.sctp];

/** Ports from `first` to `last`, of one protocol or of all that have ports; IPv4 fragments but the first have none. */
export function portRange(
  first: number,
  last: number,
  direction: Direction,
  protocol: number | undefined,
  link: number,
): FrameTest {
  const isWanted = (found: number) =>
    protocol === undefined ? WITH_PORTS.includes(found as 6 | 17 | 132) : found === protocol;
  const within = (port: number) => port >= first && port <= last;
  const net = ETHERNET_BYTES + link;
  const ipPort =
    (offset: number): FrameTest =>
    (frame) =>
      within(frame.u16(net + 4 * (frame.u8(net) & 15) + offset));
  const ip6Port =
    (offset: number): FrameTest =>
    (frame) =>
      within(frame.u16(net + IPV6_BYTES + offset));
  const ip = and(
    and(
      linkType(LINK_TYPE.ip, link),
      (frame) => isWanted(frame.u8(net + 9)) && (frame.u16(net + 6) & 0x1fff) === 0,
    ),
    directed(direction, ipPort(0), ipPort(2)),
  );
  const ip6 = and(
    and(linkType(LINK_TYPE.ip6, link), (frame) => isWanted(frame.u8(net + 6))),
    directed(direction, ip6Port(0), ip6Port(2)),
  );
  return or(ip6, ip);
}
