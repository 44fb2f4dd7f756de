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
const ROUTER = 0x80000000;
const SOLICITED = 0x40000000;
const OVERRIDE = 0x20000000;

/** Somebody asks for the MAC of an address. */
export interface NeighborSolicitation {
  /** 16 octets; all zero while the asker looks whether the address is free (RFC 4862 5.4.2). */
  readonly source: Uint8Array;
  readonly target: Uint8Array;
  /** Of the asker, if it tells. */
  readonly mac: MacAddress | undefined;
}

/** Somebody tells that an address is his. */
export interface HeardAdvertisement {
  readonly target: Uint8Array;
  /** Undefined where he leaves it to the frame that it came in. */
  readonly mac: MacAddress | undefined;
  /** He was asked. */
  readonly isSolicited: boolean;
}

export interface NeighborAdvertisement {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly target: Uint8Array;
  readonly mac: MacAddress;
  /** Whether it answers a question. */
  readonly isSolicited: boolean;
  /** Whoever sends it is a router. */
  readonly isRouter?: boolean;
}

/** Reads an IPv6 packet; undefined for one that is no solicitation, or one that hosts must ignore. */
export function tryParseNeighborSolicitation(packet: Uint8Array): NeighborSolicitation | undefined {
  const end = soundEnd(packet, NEIGHBOR_SOLICITATION);
  if (end === undefined || packet[TARGET_AT] === 0xff) return undefined;
  const mac = linkAddress(packet, end, SOURCE_LINK_ADDRESS);
  if (mac === BROKEN) return undefined;
  // Who has no address yet asks the group of the target's, and tells no MAC (RFC 4861 7.1.1).
  const isProbe = packet.subarray(SOURCE_AT, DESTINATION_AT).every((octet) => octet === 0);
  if (isProbe && (mac !== undefined || !isToSolicitedNode(packet))) return undefined;
  return {
    source: packet.slice(SOURCE_AT, SOURCE_AT + ADDRESS_BYTES),
    target: packet.slice(TARGET_AT, TARGET_AT + ADDRESS_BYTES),
    mac,
  };
}

/** Reads an IPv6 packet; undefined for one that is no advertisement, or one that hosts must ignore. */
export function tryParseNeighborAdvertisement(packet: Uint8Array): HeardAdvertisement | undefined {
  const end = soundEnd(packet, NEIGHBOR_ADVERTISEMENT);
  if (end === undefined || packet[TARGET_AT] === 0xff) return undefined;
  const mac = linkAddress(packet, end, TARGET_LINK_ADDRESS);
  if (mac === BROKEN) return undefined;
  return {
    target: packet.slice(TARGET_AT, TARGET_AT + ADDRESS_BYTES),
    mac,
    isSolicited: (packet[IPV6_HEADER_BYTES + 4]! & (SOLICITED >>> 24)) !== 0,
  };
}

/** Where a message of this type ends that came from this link and is whole (RFC 4861 7.1). */
function soundEnd(packet: Uint8Array, type: number): number | undefined {
  if (packet.length < OPTIONS_AT || packet[0]! >> 4 !== 6) return undefined;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const length = view.getUint16(4);
  const end = IPV6_HEADER_BYTES + length;
  if (packet[6] !== ICMPV6 || packet[7] !== LINK_HOP_LIMIT) return undefined;
  if (length < MESSAGE_BYTES || end > packet.length) return undefined;
  if (packet[IPV6_HEADER_BYTES] !== type || packet[IPV6_HEADER_BYTES + 1] !== 0) return undefined;
  const sum = sumWords(packet, SOURCE_AT, end, length + ICMPV6);
  return finishChecksum(sum) === 0 ? end : undefined;
}

/** ff02::1:ff00:0/104 (RFC 4291 2.7.1). */
function isToSolicitedNode(packet: Uint8Array): boolean {
  const group = packet.subarray(DESTINATION_AT, DESTINATION_AT + 13);
  return SOLICITED_NODE.every((octet, at) => group[at] === octet);
}

const SOLICITED_NODE = [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff] as const;

const BROKEN = "broken";

/** Of the first option of this type; all options must hold together (RFC 4861 4.6). */
function linkAddress(
  packet: Uint8Array,
  end: number,
  type: number,
): MacAddress | typeof BROKEN | undefined {
  let found: MacAddress | undefined;
  for (let at = OPTIONS_AT; at < end;) {
    const bytes = at + 1 < end ? packet[at + 1]! * OPTION_BYTES : 0;
    if (bytes === 0 || at + bytes > end) return BROKEN;
    if (packet[at] === type && bytes === OPTION_BYTES) found ??= readMac(packet, at + 2);
    at += bytes;
  }
  return found;
}

/** An IPv6 packet that asks for the MAC of `target`, with the asker's own in it unless its source is all zero. */
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
  const router = of.isRouter === true ? ROUTER : 0;
  const flags = (router | (of.isSolicited ? SOLICITED : 0) | OVERRIDE) >>> 0;
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
  // Who has no address yet tells nobody to answer him (RFC 4861 4.3).
  const hasOption = option !== SOURCE_LINK_ADDRESS || of.source.some((octet) => octet !== 0);
  const packet = new Uint8Array(OPTIONS_AT + (hasOption ? OPTION_BYTES : 0));
  const view = new DataView(packet.buffer);
  const length = packet.length - IPV6_HEADER_BYTES;
  packet[0] = 0x60;
  view.setUint16(4, length);
  packet[6] = ICMPV6;
  packet[7] = LINK_HOP_LIMIT;
  packet.set(of.source, SOURCE_AT);
  packet.set(of.destination, DESTINATION_AT);
  packet[IPV6_HEADER_BYTES] = type;
  view.setUint32(IPV6_HEADER_BYTES + 4, flags);
  packet.set(of.target, TARGET_AT);
  if (hasOption) {
    packet[OPTIONS_AT] = option;
    packet[OPTIONS_AT + 1] = 1;
    writeMac(packet, OPTIONS_AT + 2, of.mac);
  }
  const sum = sumWords(packet, SOURCE_AT, packet.length, length + ICMPV6);
  view.setUint16(IPV6_HEADER_BYTES + 2, finishChecksum(sum));
  return packet;
}
