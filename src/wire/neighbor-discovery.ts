import type { MacAddress } from "../base/mac.ts";
import { readMac, writeMac } from "../base/mac.ts";
import { finishChecksum, sumWords } from "./checksum.ts";
import { ICMPV6, LINK_HOP_LIMIT } from "./router-advertisement.ts";

/* RFC 8200 3, RFC 4861 4.3, 4.4, 4.6.1 and 7.1.1. */
const IPV6_HEADER_BYTES = 40;
const SOURCE_AT = 8;
const DESTINATION_AT = 24;
const ADDRESS_BYTES = 16;
export const NEIGHBOR_SOLICITATION = 135;
export const NEIGHBOR_ADVERTISEMENT = 136;
const TARGET_AT = IPV6_HEADER_BYTES + 8;
const OPTIONS_AT = TARGET_AT + ADDRESS_BYTES;
const OPTION_BYTES = 8;
const MESSAGE_BYTES = OPTIONS_AT - IPV6_HEADER_BYTES;
const SOURCE_LINK_ADDRESS = 1;
const TARGET_LINK_ADDRESS = 2;
const SOLICITED = 0x40000000;
const OVERRIDE = 0x20000000;

/** Somebody asks for the MAC of an address. */
export interface NeighborSolicitation {
  /** 16 octets; all zero while the asker looks whether the address is free (RFC 4862 5.4.2). */
  readonly source: Uint8Array;
  readonly target: Uint8Array;
}

export interface NeighborAdvertisement {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly target: Uint8Array;
  readonly mac: MacAddress;
  /** Whether it answers a question. */
  readonly isSolicited: boolean;
}

/** Reads an IPv6 packet; undefined for one that is no solicitation, or one that hosts must ignore. */
export function tryParseNeighborSolicitation(packet: Uint8Array): NeighborSolicitation | undefined {
  if (packet.length < OPTIONS_AT || packet[0]! >> 4 !== 6) return undefined;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const length = view.getUint16(4);
  const end = IPV6_HEADER_BYTES + length;
  if (packet[6] !== ICMPV6 || packet[7] !== LINK_HOP_LIMIT) return undefined;
  if (length < MESSAGE_BYTES || end > packet.length) return undefined;
  if (packet[IPV6_HEADER_BYTES] !== NEIGHBOR_SOLICITATION || packet[IPV6_HEADER_BYTES + 1] !== 0)
    return undefined;
  if (finishChecksum(sumWords(packet, SOURCE_AT, end, length + ICMPV6)) !== 0) return undefined;
  return {
    source: packet.slice(SOURCE_AT, SOURCE_AT + ADDRESS_BYTES),
    target: packet.slice(TARGET_AT, TARGET_AT + ADDRESS_BYTES),
  };
}

/** An IPv6 packet that asks for the MAC of `target`, with the asker's own in it. */
export function encodeNeighborSolicitation(of: {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly target: Uint8Array;
  readonly mac: MacAddress;
}): Uint8Array {
  return encode(of, NEIGHBOR_SOLICITATION, 0, SOURCE_LINK_ADDRESS);
}

/** An IPv6 packet with the MAC of `target`. */
export function encodeNeighborAdvertisement(of: NeighborAdvertisement): Uint8Array {
  const flags = (of.isSolicited ? SOLICITED : 0) | OVERRIDE;
  return encode(of, NEIGHBOR_ADVERTISEMENT, flags, TARGET_LINK_ADDRESS);
}

/** The MAC in the option of a message that one of the two above has made. */
export function readLinkAddress(packet: Uint8Array): MacAddress {
  return readMac(packet, OPTIONS_AT + 2);
}

function encode(
  of: {
    readonly source: Uint8Array;
    readonly destination: Uint8Array;
    readonly target: Uint8Array;
    readonly mac: MacAddress;
  },
  type: number,
  flags: number,
  option: number,
): Uint8Array {
  const packet = new Uint8Array(OPTIONS_AT + OPTION_BYTES);
  const view = new DataView(packet.buffer);
  const length = MESSAGE_BYTES + OPTION_BYTES;
  packet[0] = 0x60;
  view.setUint16(4, length);
  packet[6] = ICMPV6;
  packet[7] = LINK_HOP_LIMIT;
  packet.set(of.source, SOURCE_AT);
  packet.set(of.destination, DESTINATION_AT);
  packet[IPV6_HEADER_BYTES] = type;
  view.setUint32(IPV6_HEADER_BYTES + 4, flags);
  packet.set(of.target, TARGET_AT);
  packet[OPTIONS_AT] = option;
  packet[OPTIONS_AT + 1] = 1;
  writeMac(packet, OPTIONS_AT + 2, of.mac);
  const sum = sumWords(packet, SOURCE_AT, packet.length, length + ICMPV6);
  view.setUint16(IPV6_HEADER_BYTES + 2, finishChecksum(sum));
  return packet;
}
