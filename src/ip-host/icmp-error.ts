// What a router or host says about a packet that it could not deliver (RFC 792, RFC 1812 4.3.2; RFC 4443 2.4).
import type { Clock } from "../base/clock.ts";
import type { IpAddress } from "../base/ip.ts";
import { ICMP_ERRORS } from "../base/limits.ts";
import { type MacAddress, readMac } from "../base/mac.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../platform/packet-memory.ts";
import {
  ICMP_HEADER_BYTES,
  ICMP_WORD_AT,
  icmpOfFault,
  type IcmpFault,
  isIcmpError,
} from "../wire/icmp.ts";
import { IP_PROTOCOL, IPV4_HEADER_BYTES } from "../wire/ipv4.ts";
import { ICMPV6 } from "../wire/router-advertisement.ts";
import { beginIp, endIp } from "./ip-writer.ts";
import type { HostLink } from "./link.ts";
import { IPV6_HEADER_BYTES, type PacketView } from "./packet-view.ts";

/** Of a whole error: what each host can take (RFC 1812 4.3.2.3; RFC 4443 2.4 c). */
const MAX_ERROR_BYTES = { 4: 576, 6: 1280 } as const;
/** Where the type of the payload stands in an IPv6 header. */
const NEXT_HEADER_AT = 6;
/** From a router of the same link, whatever the way back. */
const ERROR_TTL = 255;

/** Whom an error comes from, and the cable that it leaves by. The address is of the packet's family. */
export interface IcmpOrigin {
  readonly link: HostLink;
  readonly address: IpAddress;
}

/** The beginning of a packet, IP header first, in packet memory. Its IP source is who gets the error. */
export interface PacketQuote {
  readonly version: 4 | 6;
  readonly at: number;
  readonly bytes: number;
  /** The station that sent it. */
  readonly toMac: MacAddress;
}

export interface IcmpErrorStats {
  sent: number;
  /** Beyond the rate (robustness.md IP-08). */
  limited: number;
  /** Faults of packets that no error may be sent about. */
  withheld: number;
}

/** The errors of one host or router, at a bounded rate. */
export class IcmpErrors {
  readonly stats: IcmpErrorStats = { sent: 0, limited: 0, withheld: 0 };
  readonly #clock: Clock;
  #tokens: number = ICMP_ERRORS.burst;
  #filledAt: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#filledAt = clock.now();
  }

  /**
   * Tells the sender of a packet what is wrong with it, unless that is forbidden or too frequent. False if nothing was
   * said; the packet is to be dropped in either case. The answer waits in the outbox.
   * @param word the MTU for "too_big"
   */
  about(packet: PacketView, fault: IcmpFault, from: IcmpOrigin, word = 0): boolean {
    if (!mayBeToldOf(packet, fault)) {
      this.stats.withheld += 1;
      return false;
    }
    // Of segments that were joined only the headers lie in one piece.
    const end = packet.isMerged ? packet.ipEnd - packet.payloadBytes : packet.ipEnd;
    const quote = {
      version: packet.version,
      at: packet.ipAt,
      bytes: end - packet.ipAt,
      toMac: readMac(PACKET_BYTES, packet.frameAt + 6),
    };
    const isHeaderField = packet.version === 6 && fault === "protocol_unreachable";
    return this.aboutQuote(quote, fault, from, isHeaderField ? NEXT_HEADER_AT : word);
  }

  /** As above, of a packet that is no longer there but can be quoted. */
  aboutQuote(quote: PacketQuote, fault: IcmpFault, from: IcmpOrigin, word = 0): boolean {
    if (!this.#takeToken()) {
      this.stats.limited += 1;
      return false;
    }
    const { version, at, toMac } = quote;
    const isV4 = version === 4;
    const headerBytes = isV4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    const most = Math.min(MAX_ERROR_BYTES[version], from.link.mtu) - headerBytes;
    const bytes = Math.min(quote.bytes, most - ICMP_HEADER_BYTES);
    const source = at + (isV4 ? 12 : 8);
    const destination: IpAddress = {
      family: version,
      bytes: PACKET_BYTES.subarray(source, source + (isV4 ? 4 : 16)),
    };
    const protocol = isV4 ? IP_PROTOCOL.ICMP : ICMPV6;
    const header = { source: from.address, destination, protocol, ttl: ERROR_TTL };
    const to = beginIp(from.link, toMac, header, ICMP_HEADER_BYTES + bytes);
    if (to < 0) return false;
    const { type, code } = icmpOfFault(version, fault);
    PACKET_BYTES[to] = type;
    PACKET_BYTES[to + 1] = code;
    PACKET_VIEW.setUint32(to + ICMP_WORD_AT, word);
    PACKET_BYTES.copyWithin(to + ICMP_HEADER_BYTES, at, at + bytes);
    endIp(ICMP_HEADER_BYTES + bytes, isV4 ? "plain" : "pseudo");
    this.stats.sent += 1;
    return true;
  }

  #takeToken(): boolean {
    const now = this.#clock.now();
    const filled = this.#tokens + ((now - this.#filledAt) * ICMP_ERRORS.perSecond) / 1000;
    this.#tokens = Math.min(ICMP_ERRORS.burst, filled);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

/** RFC 1122 3.2.2, RFC 1812 4.3.2.7, RFC 4443 2.4 e. */
function mayBeToldOf(packet: PacketView, fault: IcmpFault): boolean {
  if (packet.isFragment && packet.fragmentOffset > 0) return false;
  const isGroupFrame = (PACKET_BYTES[packet.frameAt]! & 1) === 1;
  if (packet.version === 4) {
    if (isGroupFrame || isOddV4(packet.sourceAt) || isOddV4(packet.destinationAt)) return false;
    return packet.protocol !== IP_PROTOCOL.ICMP || !isErrorAt(packet);
  }
  if (isUnspecifiedV6(packet.sourceAt)) return false;
  // Senders to groups must learn of the path's MTU, too.
  const isGroup = isGroupFrame || PACKET_BYTES[packet.destinationAt] === 0xff;
  if (isGroup && fault !== "too_big") return false;
  return packet.protocol !== ICMPV6 || !isErrorAt(packet);
}

/** A message that is cut before its type counts as an error: nothing says that it is none. */
function isErrorAt({ version, l4At, ipEnd }: PacketView): boolean {
  return l4At >= ipEnd || isIcmpError(version, PACKET_BYTES[l4At]!);
}

/** Of no single host: this network, loopback, group, reserved, broadcast. */
function isOddV4(at: number): boolean {
  const first = PACKET_BYTES[at]!;
  return first === 0 || first === 127 || first >= 224;
}

function isUnspecifiedV6(at: number): boolean {
  return PACKET_VIEW.getBigUint64(at) === 0n && PACKET_VIEW.getBigUint64(at + 8) === 0n;
}
