// Packets that are larger than a link takes, in parts (RFC 791 3.2, RFC 8200 4.5; hub.md 11.1).
import type { MacAddress } from "../base/mac.ts";
import { rangeSum } from "../platform/offload.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../platform/packet-memory.ts";
import { ETHER_TYPE } from "../wire/ethernet.ts";
import { IPV4_HEADER_BYTES } from "../wire/ipv4.ts";
import type { HostLink } from "./link.ts";
import { outbox } from "./outbox.ts";
import { IPV6_HEADER_BYTES } from "./packet-view.ts";

const MORE_FRAGMENTS = 0x2000;
const OFFSET_MASK = 0x1fff;
const FRAGMENT_HEADER = 44;
const FRAGMENT_HEADER_BYTES = 8;
const OPTION = { END: 0, NOP: 1 } as const;
/** Of an option's type: it goes into every fragment. */
const COPIED = 0x80;

/** Identifications of IPv6 packets that this process has cut, for all hosts (RFC 7739 5.1: told apart by addresses). */
const next = { identification: 0 };

/**
 * Sends the IP packet from `ipAt` to `ipEnd` in packet memory, in as many frames as the link's MTU makes of it. An IPv4
 * packet may have options and be a fragment itself; that it may be cut is the caller's to know. An IPv6 packet is one
 * of our own without extension headers. False if there was no room for all of it.
 */
export function sendCut(link: HostLink, to: MacAddress, ipAt: number, ipEnd: number): boolean {
  const isV6 = PACKET_BYTES[ipAt]! >>> 4 === 6;
  const type = isV6 ? ETHER_TYPE.IPV6 : ETHER_TYPE.IPV4;
  if (ipEnd - ipAt > link.mtu) {
    return isV6 ? cutV6(link, to, ipAt, ipEnd) : cutV4(link, to, ipAt, ipEnd);
  }
  const at = outbox.begin(link, to, type, ipEnd - ipAt);
  if (at < 0) return false;
  PACKET_BYTES.copyWithin(at, ipAt, ipEnd);
  outbox.end(ipEnd - ipAt);
  return true;
}

function cutV4(link: HostLink, to: MacAddress, ipAt: number, ipEnd: number): boolean {
  const headerBytes = (PACKET_BYTES[ipAt]! & 15) * 4;
  const partBytes = (link.mtu - headerBytes) & ~7;
  const field = PACKET_VIEW.getUint16(ipAt + 6);
  const offset = field & OFFSET_MASK;
  for (let from = ipAt + headerBytes; from < ipEnd; from += partBytes) {
    const end = Math.min(from + partBytes, ipEnd);
    const at = outbox.begin(link, to, ETHER_TYPE.IPV4, headerBytes + end - from);
    if (at < 0) return false;
    PACKET_BYTES.copyWithin(at, ipAt, ipAt + headerBytes);
    PACKET_BYTES.copyWithin(at + headerBytes, from, end);
    const done = from - ipAt - headerBytes;
    if (done > 0) blankOptions(at + IPV4_HEADER_BYTES, at + headerBytes);
    const more = end < ipEnd ? MORE_FRAGMENTS : field & MORE_FRAGMENTS;
    PACKET_VIEW.setUint16(at + 2, headerBytes + end - from);
    PACKET_VIEW.setUint16(at + 6, more | (offset + (done >>> 3)));
    PACKET_VIEW.setUint16(at + 10, 0);
    PACKET_VIEW.setUint16(at + 10, ~rangeSum(at, headerBytes) & 0xffff);
    outbox.end(headerBytes + end - from);
  }
  return true;
}

/** Options that belong to the first fragment only become padding. */
function blankOptions(from: number, end: number): void {
  for (let at = from; at < end;) {
    const kind = PACKET_BYTES[at]!;
    if (kind === OPTION.END) return;
    const length = kind === OPTION.NOP ? 1 : Math.max(PACKET_BYTES[at + 1]!, 2);
    const last = Math.min(at + length, end);
    if ((kind & COPIED) === 0) PACKET_BYTES.fill(OPTION.NOP, at, last);
    at = last;
  }
}

function cutV6(link: HostLink, to: MacAddress, ipAt: number, ipEnd: number): boolean {
  const headerBytes = IPV6_HEADER_BYTES + FRAGMENT_HEADER_BYTES;
  const partBytes = (link.mtu - headerBytes) & ~7;
  const payloadAt = ipAt + IPV6_HEADER_BYTES;
  next.identification = (next.identification + 1) >>> 0;
  for (let from = payloadAt; from < ipEnd; from += partBytes) {
    const end = Math.min(from + partBytes, ipEnd);
    const at = outbox.begin(link, to, ETHER_TYPE.IPV6, headerBytes + end - from);
    if (at < 0) return false;
    PACKET_BYTES.copyWithin(at, ipAt, payloadAt);
    const header = at + IPV6_HEADER_BYTES;
    PACKET_BYTES[header] = PACKET_BYTES[ipAt + 6]!;
    PACKET_BYTES[header + 1] = 0;
    PACKET_VIEW.setUint16(header + 2, (from - payloadAt) | (end < ipEnd ? 1 : 0));
    PACKET_VIEW.setUint32(header + 4, next.identification);
    PACKET_BYTES.copyWithin(at + headerBytes, from, end);
    PACKET_VIEW.setUint16(at + 4, FRAGMENT_HEADER_BYTES + end - from);
    PACKET_BYTES[at + 6] = FRAGMENT_HEADER;
    outbox.end(headerBytes + end - from);
  }
  return true;
}
