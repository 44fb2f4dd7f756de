import type { IpAddress } from "../base/ip.ts";
import { finishChecksum, sumWords } from "./checksum.ts";

/* RFC 8200 3, RFC 4861 4.1, 4.2 and 6.1, RFC 4191 2.2. */
const IPV6_HEADER_BYTES = 40;
const PAYLOAD_LENGTH_AT = 4;
const NEXT_HEADER_AT = 6;
const HOP_LIMIT_AT = 7;
const SOURCE_AT = 8;
export const ICMPV6 = 58;
/** A router on another link cannot send this: every router on the way takes one off. */
export const LINK_HOP_LIMIT = 255;
export const ROUTER_SOLICITATION = 133;
export const ROUTER_ADVERTISEMENT = 134;
const MIN_SOLICITATION_BYTES = 8;
const MIN_BYTES = 16;
const FLAGS_AT = 5;
const LIFETIME_AT = 6;
const OPTION_UNIT = 8;
const SOURCE_LINK_ADDRESS = 1;

/** What a router says of itself as a way out. */
export interface RouterAdvertisement {
  /** Its link-local address. */
  readonly router: IpAddress;
  /** For how long it is a default router; 0: it is none, or no longer. */
  readonly lifetimeMs: number;
  readonly preference: "low" | "medium" | "high";
}

/** Reads an IPv6 packet that holds a router advertisement; undefined for any other, and for one that hosts must ignore. */
export function tryParseRouterAdvertisement(packet: Uint8Array): RouterAdvertisement | undefined {
  const message = soundMessage(packet, ROUTER_ADVERTISEMENT, MIN_BYTES);
  if (message === undefined) return undefined;
  const router: IpAddress = { family: 6, bytes: packet.slice(SOURCE_AT, SOURCE_AT + 16) };
  if (router.bytes[0] !== 0xfe || (router.bytes[1]! & 0xc0) !== 0x80) return undefined;
  return {
    router,
    lifetimeMs: ((message[LIFETIME_AT]! << 8) | message[LIFETIME_AT + 1]!) * 1000,
    // The fourth value is reserved and means medium.
    preference: (["medium", "high", "medium", "low"] as const)[(message[FLAGS_AT]! >> 3) & 3]!,
  };
}

/** Somebody asks for routers. */
export interface RouterSolicitation {
  /** 16 octets; all zero while the asker has no address. */
  readonly source: Uint8Array;
}

/** Reads an IPv6 packet; undefined for one that is no solicitation, or one that routers must ignore (RFC 4861 6.1.1). */
export function tryParseRouterSolicitation(packet: Uint8Array): RouterSolicitation | undefined {
  const message = soundMessage(packet, ROUTER_SOLICITATION, MIN_SOLICITATION_BYTES);
  if (message === undefined) return undefined;
  const source = packet.slice(SOURCE_AT, SOURCE_AT + 16);
  const isUnspecified = source.every((octet) => octet === 0);
  if (!isUnspecified) return { source };
  for (let at = MIN_SOLICITATION_BYTES; at < message.length;) {
    if (message[at] === SOURCE_LINK_ADDRESS) return undefined;
    at += message[at + 1]! * OPTION_UNIT;
  }
  return { source };
}

/** The ICMPv6 message of a packet, if it is of this type, came from this link, and is whole. */
function soundMessage(packet: Uint8Array, type: number, minBytes: number): Uint8Array | undefined {
  if (packet.length < IPV6_HEADER_BYTES + minBytes || packet[0]! >> 4 !== 6) return undefined;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const length = view.getUint16(PAYLOAD_LENGTH_AT);
  const end = IPV6_HEADER_BYTES + length;
  if (packet[NEXT_HEADER_AT] !== ICMPV6 || packet[HOP_LIMIT_AT] !== LINK_HOP_LIMIT)
    return undefined;
  if (length < minBytes || end > packet.length) return undefined;
  const message = packet.subarray(IPV6_HEADER_BYTES, end);
  if (message[0] !== type || message[1] !== 0) return undefined;
  // The pseudo-header of RFC 8200 8.1: both addresses, the length, the protocol.
  const sum = sumWords(packet, SOURCE_AT, end, length + ICMPV6);
  if (finishChecksum(sum) !== 0 || !areOptionsWhole(message, minBytes)) return undefined;
  return message;
}

function areOptionsWhole(message: Uint8Array, from: number): boolean {
  let at = from;
  while (at + 1 < message.length) {
    const length = message[at + 1]! * OPTION_UNIT;
    if (length === 0) return false;
    at += length;
  }
  return at === message.length;
}
