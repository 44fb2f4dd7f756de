import { readIpv4, writeIpv4, type Ipv4 } from "../base/ip.ts";
import { internetChecksum } from "./checksum.ts";

/** Protocol numbers, as assigned by IANA. */
export const IP_PROTOCOL = { ICMP: 1, TCP: 6, UDP: 17 } as const;

export const IPV4_HEADER_BYTES = 20;
const MAX_HEADER_BYTES = 60;
const MAX_PACKET_BYTES = 65_535;
const DEFAULT_TTL = 64;

const FLAG_DONT_FRAGMENT = 0x4000;
const FLAG_MORE_FRAGMENTS = 0x2000;
const OFFSET_MASK = 0x1fff;

/** Options of RFC 791 that lead a packet off its route, or end the list. */
const OPTION = { END: 0, NOP: 1, LOOSE_SOURCE_ROUTE: 131, STRICT_SOURCE_ROUTE: 137 } as const;

/** An IPv4 packet or a fragment of one. */
export interface Ipv4Packet {
  readonly src: Ipv4;
  readonly dst: Ipv4;
  readonly protocol: number;
  readonly ttl: number;
  /** DSCP and ECN. */
  readonly tos: number;
  readonly identification: number;
  readonly dontFragment: boolean;
  readonly moreFragments: boolean;
  /** Where the payload lies in the whole packet, in bytes: a multiple of 8. */
  readonly fragmentOffset: number;
  /** At most 40 bytes; filled up to a multiple of 4 when encoded. */
  readonly options: Uint8Array;
  /** A view of the packet's bytes. */
  readonly payload: Uint8Array;
}

/**
 * Reads a packet; what lies behind its total length is padding. Undefined if it is cut, has a wrong length,
 * version or checksum, options that do not hold together or ask for a source route (RFC 7126 4.3, 4.4), or
 * is a fragment that would end past 65,535 bytes.
 */
export function tryParseIpv4Packet(
  bytes: Uint8Array,
  start = 0,
  end = bytes.length,
): Ipv4Packet | undefined {
  if (end - start < IPV4_HEADER_BYTES || bytes[start]! >>> 4 !== 4) return undefined;
  const u16 = (at: number) => (bytes[start + at]! << 8) | bytes[start + at + 1]!;
  const headerBytes = (bytes[start]! & 15) * 4;
  const totalBytes = u16(2);
  if (headerBytes < IPV4_HEADER_BYTES || totalBytes < headerBytes || totalBytes > end - start) {
    return undefined;
  }
  if (internetChecksum(bytes, start, start + headerBytes) !== 0) return undefined;
  const options = bytes.subarray(start + IPV4_HEADER_BYTES, start + headerBytes);
  if (ipv4OptionFault(options, 0, options.length) !== undefined) return undefined;
  const fragment = u16(6);
  const fragmentOffset = (fragment & OFFSET_MASK) * 8;
  if (fragmentOffset + totalBytes > MAX_PACKET_BYTES) return undefined;
  return {
    src: readIpv4(bytes, start + 12),
    dst: readIpv4(bytes, start + 16),
    protocol: bytes[start + 9]!,
    ttl: bytes[start + 8]!,
    tos: bytes[start + 1]!,
    identification: u16(4),
    dontFragment: (fragment & FLAG_DONT_FRAGMENT) !== 0,
    moreFragments: (fragment & FLAG_MORE_FRAGMENTS) !== 0,
    fragmentOffset,
    options,
    payload: bytes.subarray(start + headerBytes, start + totalBytes),
  };
}

/** What a host gives when it sends a packet of its own; the rest is the usual. */
export type Ipv4Draft = Pick<Ipv4Packet, "src" | "dst" | "protocol" | "payload"> &
  Partial<Ipv4Packet>;

/** The bytes of a packet with its checksum. Too long for its length fields: a RangeError. */
export function encodeIpv4Packet(packet: Ipv4Draft): Uint8Array {
  const options = packet.options ?? new Uint8Array();
  const headerBytes = IPV4_HEADER_BYTES + Math.ceil(options.length / 4) * 4;
  const totalBytes = headerBytes + packet.payload.length;
  if (headerBytes > MAX_HEADER_BYTES || totalBytes > MAX_PACKET_BYTES) {
    throw new RangeError(`Cannot encode an IPv4 packet of ${totalBytes} bytes`);
  }
  const bytes = new Uint8Array(totalBytes);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x40 | (headerBytes / 4);
  bytes[1] = packet.tos ?? 0;
  view.setUint16(2, totalBytes);
  view.setUint16(4, packet.identification ?? 0);
  view.setUint16(
    6,
    (packet.dontFragment ? FLAG_DONT_FRAGMENT : 0) |
      (packet.moreFragments ? FLAG_MORE_FRAGMENTS : 0) |
      ((packet.fragmentOffset ?? 0) / 8),
  );
  bytes[8] = packet.ttl ?? DEFAULT_TTL;
  bytes[9] = packet.protocol;
  writeIpv4(bytes, 12, packet.src);
  writeIpv4(bytes, 16, packet.dst);
  bytes.set(options, IPV4_HEADER_BYTES);
  view.setUint16(10, internetChecksum(bytes, 0, headerBytes));
  bytes.set(packet.payload, headerBytes);
  return bytes;
}

/** What is wrong with the options from `from` to `end`: they lead the packet off its route, or do not hold together. */
export function ipv4OptionFault(
  bytes: Uint8Array,
  from: number,
  end: number,
): "source_route" | "header" | undefined {
  let at = from;
  while (at < end) {
    const kind = bytes[at]!;
    if (kind === OPTION.END) return undefined;
    if (kind === OPTION.NOP) {
      at++;
      continue;
    }
    if (kind === OPTION.LOOSE_SOURCE_ROUTE || kind === OPTION.STRICT_SOURCE_ROUTE) {
      return "source_route";
    }
    const length = at + 1 < end ? bytes[at + 1]! : 0;
    if (length < 2 || at + length > end) return "header";
    at += length;
  }
  return undefined;
}
