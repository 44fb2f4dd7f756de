import type { IpAddress } from "../base/ip.ts";
import { finishChecksum, sumWords } from "./checksum.ts";

/* RFC 8200 3, RFC 4861 4.2 and 6.1.2, RFC 4191 2.2. */
const IPV6_HEADER_BYTES = 40;
const PAYLOAD_LENGTH_AT = 4;
const NEXT_HEADER_AT = 6;
const HOP_LIMIT_AT = 7;
const SOURCE_AT = 8;
export const ICMPV6 = 58;
/** A router on another link cannot send this: every router on the way takes one off. */
export const LINK_HOP_LIMIT = 255;
export const ROUTER_ADVERTISEMENT = 134;
const MIN_BYTES = 16;
const FLAGS_AT = 5;
const LIFETIME_AT = 6;
const OPTION_UNIT = 8;

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
  if (packet.length < IPV6_HEADER_BYTES + MIN_BYTES || packet[0]! >> 4 !== 6) return undefined;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const length = view.getUint16(PAYLOAD_LENGTH_AT);
  const end = IPV6_HEADER_BYTES + length;
  if (packet[NEXT_HEADER_AT] !== ICMPV6 || packet[HOP_LIMIT_AT] !== LINK_HOP_LIMIT)
    return undefined;
  if (length < MIN_BYTES || end > packet.length) return undefined;
  const message = packet.subarray(IPV6_HEADER_BYTES, end);
  if (message[0] !== ROUTER_ADVERTISEMENT || message[1] !== 0) return undefined;
  // The pseudo-header of RFC 8200 8.1: both addresses, the length, the protocol.
  const sum = sumWords(packet, SOURCE_AT, end, length + ICMPV6);
  if (finishChecksum(sum) !== 0 || !areOptionsWhole(message)) return undefined;
  const router: IpAddress = { family: 6, bytes: packet.slice(SOURCE_AT, SOURCE_AT + 16) };
  if (router.bytes[0] !== 0xfe || (router.bytes[1]! & 0xc0) !== 0x80) return undefined;
  return {
    router,
    lifetimeMs: view.getUint16(IPV6_HEADER_BYTES + LIFETIME_AT) * 1000,
    // The fourth value is reserved and means medium.
    preference: (["medium", "high", "medium", "low"] as const)[(message[FLAGS_AT]! >> 3) & 3]!,
  };
}

function areOptionsWhole(message: Uint8Array): boolean {
  let at = MIN_BYTES;
  while (at + 1 < message.length) {
    const length = message[at + 1]! * OPTION_UNIT;
    if (length === 0) return false;
    at += length;
  }
  return at === message.length;
}
