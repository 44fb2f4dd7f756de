// An IP packet in packet memory, as software hosts look at it: offsets, found once. There is one at a time.
import { IPV4_BROADCAST } from "../base/ip.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../platform/packet-memory.ts";
import { rangeSum } from "../platform/offload.ts";
import { ETHER_TYPE, ETHERNET_HEADER_BYTES } from "../wire/ethernet.ts";
import { IPV4_HEADER_BYTES, ipv4OptionFault } from "../wire/ipv4.ts";
import type { HostDropReason } from "./host-drops.ts";

export const IPV6_HEADER_BYTES = 40;
/** robustness.md IP-17. */
const MAX_EXTENSION_HEADERS = 8;
const EXTENSION_UNIT = 8;

/** IPv6 headers before the payload (RFC 8200 4). */
const NEXT = { HOP_BY_HOP: 0, ROUTING: 43, FRAGMENT: 44, DESTINATION: 60, NONE: 59 } as const;

const MORE_FRAGMENTS = 0x2000;
const DONT_FRAGMENT = 0x4000;
const OFFSET_MASK = 0x1fff;

export class PacketView {
  /** Of the Ethernet header: destination MAC, source MAC at 6. */
  frameAt = 0;
  version: 4 | 6 = 4;
  ipAt = 0;
  /** Where the packet ends by its own length; padding lies behind. */
  ipEnd = 0;
  /** Of the payload, behind extension headers. */
  protocol = 0;
  l4At = 0;
  ttl = 0;
  sourceAt = 0;
  destinationAt = 0;
  addressBytes: 4 | 16 = 4;
  /** A part of a packet; `fragmentOffset` is 0 in its first one. */
  isFragment = false;
  fragmentOffset = 0;
  hasMoreFragments = false;
  fragmentId = 0;
  mayNotFragment = false;
  /** Of an IPv6 fragment, the header itself; 0 without one. */
  fragmentHeaderAt = 0;
  /** The checksum of the transport header has been found right already. */
  isVerified = false;
  /** Several segments of one flow, joined: the headers are those of the first, with the lengths of the whole. */
  isMerged = false;
  /**
   * Of TCP segments: the payload as an array of struct iovec in packet memory, `payloadBytes` in all. Of all others,
   * and where `isMerged` is false, the payload lies between `l4At` and `ipEnd`.
   */
  vectorAt = 0;
  vectors = 0;
  payloadBytes = 0;

  /** Looks at the frame from `at` to `end`; gives why it is to be dropped, or undefined if the packet is sound. */
  aim(at: number, end: number): HostDropReason | undefined {
    this.#begin(at, at + ETHERNET_HEADER_BYTES);
    const type = PACKET_VIEW.getUint16(at + 12);
    if (type === ETHER_TYPE.IPV4) return this.#aimV4(end);
    if (type === ETHER_TYPE.IPV6) return this.#aimV6(end);
    return "protocol";
  }

  /** The headers from `at` stand for several segments, whose payload is in the vector. All sums were right. */
  aimMerged(
    at: number,
    headerBytes: number,
    vectorAt: number,
    vectors: number,
    payloadBytes: number,
  ): HostDropReason | undefined {
    const fault = this.aim(at, at + headerBytes + payloadBytes);
    this.isVerified = true;
    this.isMerged = true;
    this.vectorAt = vectorAt;
    this.vectors = vectors;
    this.payloadBytes = payloadBytes;
    return fault;
  }

  /** A packet put together from fragments, which begins at `ipAt`; the frame of the last one stays for its MACs. */
  aimWhole(frameAt: number, ipAt: number, ipEnd: number): HostDropReason | undefined {
    const version = PACKET_BYTES[ipAt]! >>> 4;
    this.#begin(frameAt, ipAt);
    return version === 4 ? this.#aimV4(ipEnd) : this.#aimV6(ipEnd);
  }

  /** Forgets the packet before. */
  #begin(frameAt: number, ipAt: number): void {
    this.frameAt = frameAt;
    this.ipAt = ipAt;
    this.isVerified = false;
    this.isMerged = false;
    this.vectors = 0;
    this.payloadBytes = 0;
    this.isFragment = false;
    this.fragmentOffset = 0;
    this.hasMoreFragments = false;
    this.fragmentHeaderAt = 0;
  }

  /** Right if the sum over pseudo-header and payload says so; for protocols that have one (TCP, UDP, ICMPv6). */
  get hasRightSum(): boolean {
    if (this.isVerified) return true;
    const bytes = this.ipEnd - this.l4At;
    const addresses = rangeSum(this.sourceAt, 2 * this.addressBytes);
    const sum = addresses + this.protocol + bytes + rangeSum(this.l4At, bytes);
    return foldsToOnes(sum);
  }

  /** As above, of ICMP for IPv4, which sums its own bytes only. */
  get hasRightPlainSum(): boolean {
    return foldsToOnes(rangeSum(this.l4At, this.ipEnd - this.l4At));
  }

  #aimV4(end: number): HostDropReason | undefined {
    const at = this.ipAt;
    if (at + IPV4_HEADER_BYTES > end) return "header";
    const headerBytes = (PACKET_BYTES[at]! & 15) * 4;
    const totalBytes = PACKET_VIEW.getUint16(at + 2);
    if (PACKET_BYTES[at]! >>> 4 !== 4 || headerBytes < IPV4_HEADER_BYTES) return "header";
    if (totalBytes < headerBytes || at + totalBytes > end) return "header";
    if (!foldsToOnes(rangeSum(at, headerBytes))) return "checksum";
    this.version = 4;
    this.addressBytes = 4;
    this.ipEnd = at + totalBytes;
    this.protocol = PACKET_BYTES[at + 9]!;
    this.ttl = PACKET_BYTES[at + 8]!;
    this.sourceAt = at + 12;
    this.destinationAt = at + 16;
    this.l4At = at + headerBytes;
    const fragment = PACKET_VIEW.getUint16(at + 6);
    this.mayNotFragment = (fragment & DONT_FRAGMENT) !== 0;
    if ((fragment & (MORE_FRAGMENTS | OFFSET_MASK)) !== 0) {
      this.isFragment = true;
      this.hasMoreFragments = (fragment & MORE_FRAGMENTS) !== 0;
      this.fragmentOffset = (fragment & OFFSET_MASK) * 8;
      this.fragmentId = PACKET_VIEW.getUint16(at + 4);
    }
    if (headerBytes > IPV4_HEADER_BYTES) {
      const fault = ipv4OptionFault(PACKET_BYTES, at + IPV4_HEADER_BYTES, this.l4At);
      if (fault !== undefined) return fault;
    }
    if (this.ttl === 0) return "ttl_zero";
    const source = PACKET_VIEW.getUint32(at + 12);
    const first = source >>> 24;
    // Multicast, reserved and broadcast; loopback. 0.0.0.0 is a host that asks for an address.
    if (first >= 224 || first === 127 || source === IPV4_BROADCAST) return "martian";
    if (first === 0 && source !== 0) return "martian";
    return source === PACKET_VIEW.getUint32(at + 16) ? "martian" : undefined;
  }

  #aimV6(end: number): HostDropReason | undefined {
    const at = this.ipAt;
    if (at + IPV6_HEADER_BYTES > end || PACKET_BYTES[at]! >>> 4 !== 6) return "header";
    const packetEnd = at + IPV6_HEADER_BYTES + PACKET_VIEW.getUint16(at + 4);
    if (packetEnd > end) return "header";
    this.version = 6;
    this.addressBytes = 16;
    this.ipEnd = packetEnd;
    this.ttl = PACKET_BYTES[at + 7]!;
    this.sourceAt = at + 8;
    this.destinationAt = at + 24;
    this.mayNotFragment = true;
    const fault = this.#passHeaders(PACKET_BYTES[at + 6]!, at + IPV6_HEADER_BYTES, packetEnd);
    if (fault !== undefined) return fault;
    if (this.ttl === 0) return "ttl_zero";
    return isMartianV6(this.sourceAt, this.destinationAt) ? "martian" : undefined;
  }

  /** Finds the payload behind extension headers. */
  #passHeaders(first: number, from: number, end: number): HostDropReason | undefined {
    let next = first;
    let at = from;
    for (let headers = 0; ; headers += 1) {
      const isOptions = next === NEXT.HOP_BY_HOP || next === NEXT.DESTINATION;
      if (!isOptions && next !== NEXT.ROUTING && next !== NEXT.FRAGMENT) break;
      if (headers === MAX_EXTENSION_HEADERS) return "header_chain";
      if (at + EXTENSION_UNIT > end) return "header";
      // With segments left it asks for a way of its own; type 0 is dead (RFC 5095).
      if (next === NEXT.ROUTING && PACKET_BYTES[at + 3] !== 0) return "source_route";
      const isFragmentHeader = next === NEXT.FRAGMENT;
      if (isFragmentHeader) {
        const field = PACKET_VIEW.getUint16(at + 2);
        this.fragmentHeaderAt = at;
        this.fragmentOffset = field & ~7;
        this.hasMoreFragments = (field & 1) !== 0;
        // An atomic fragment is a whole packet (RFC 6946).
        this.isFragment = this.fragmentOffset > 0 || this.hasMoreFragments;
        this.fragmentId = PACKET_VIEW.getUint32(at + 4);
      }
      next = PACKET_BYTES[at]!;
      at += isFragmentHeader ? EXTENSION_UNIT : (PACKET_BYTES[at + 1]! + 1) * EXTENSION_UNIT;
      // Behind the header of a later fragment lie bytes, not headers.
      if (isFragmentHeader && this.fragmentOffset > 0) break;
    }
    if (at > end) return "header";
    this.protocol = next;
    this.l4At = at;
    return undefined;
  }
}

/** Group addresses and ::1 as source, and a source that is the destination. */
function isMartianV6(sourceAt: number, destinationAt: number): boolean {
  if (PACKET_BYTES[sourceAt] === 0xff) return true;
  const a = PACKET_VIEW.getUint32(sourceAt);
  const b = PACKET_VIEW.getUint32(sourceAt + 4);
  const c = PACKET_VIEW.getUint32(sourceAt + 8);
  const d = PACKET_VIEW.getUint32(sourceAt + 12);
  if (a === 0 && b === 0 && c === 0 && d === 1) return true;
  // IPv4-mapped sources have no place on a wire (RFC 4942 2.2).
  if (a === 0 && b === 0 && c === 0xffff) return true;
  return (
    a === PACKET_VIEW.getUint32(destinationAt) &&
    b === PACKET_VIEW.getUint32(destinationAt + 4) &&
    c === PACKET_VIEW.getUint32(destinationAt + 8) &&
    d === PACKET_VIEW.getUint32(destinationAt + 12)
  );
}

/** A sum over bytes with their own right checksum folds to all ones (RFC 1071). */
function foldsToOnes(sum: number): boolean {
  return sum > 0 && sum % 0xffff === 0;
}
