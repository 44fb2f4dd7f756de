// IP packets of software hosts, written where they leave from.
import type { IpAddress } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";
import { rangeSum } from "../platform/offload.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../platform/packet-memory.ts";
import { finishChecksum } from "../wire/checksum.ts";
import { ETHER_TYPE } from "../wire/ethernet.ts";
import { IPV4_HEADER_BYTES } from "../wire/ipv4.ts";
import type { HostLink } from "./link.ts";
import { outbox } from "./outbox.ts";
import { IPV6_HEADER_BYTES } from "./packet-view.ts";

export interface IpHeader {
  /** Both of one family. */
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly protocol: number;
  readonly ttl: number;
  /** Routers may not cut it; IPv6 never lets them. */
  readonly mayNotFragment?: boolean;
}

/** Which checksum the payload has, and where: none, over the payload alone, or with the pseudo-header. */
export type PayloadSum = "none" | "plain" | "pseudo" | "udp";

const ICMP_SUM_AT = 2;
const UDP_SUM_AT = 6;
const DONT_FRAGMENT = 0x4000;

/** Identifications of IPv4 packets that may be cut count up through all hosts. */
const begun = { at: -1, version: 4 as 4 | 6, identification: 0 };

/**
 * Begins an IP packet to a station and gives the offset in packet memory where its payload of up to `payloadBytes`
 * belongs; -1 if there is no room for it now. It must fit the link's MTU (fragment.ts cuts what does not).
 */
export function beginIp(
  link: HostLink,
  to: MacAddress,
  header: IpHeader,
  payloadBytes: number,
): number {
  const isV4 = header.source.family === 4;
  const headerBytes = isV4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
  const type = isV4 ? ETHER_TYPE.IPV4 : ETHER_TYPE.IPV6;
  const at = outbox.begin(link, to, type, headerBytes + payloadBytes);
  begun.at = at;
  if (at < 0) return -1;
  begun.version = isV4 ? 4 : 6;
  writeIpHeader(at, header, 0);
  return at + headerBytes;
}

/** Ends the packet that was begun: lengths and checksums are written, and the frame waits in the outbox. */
export function endIp(payloadBytes: number, sum: PayloadSum): void {
  const { at, version } = begun;
  if (at < 0) throw new Error("Cannot end a packet: none was begun");
  begun.at = -1;
  const headerBytes = version === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
  finishIpHeader(at, payloadBytes);
  writePayloadSum(at, payloadBytes, sum);
  outbox.end(headerBytes + payloadBytes);
}

/** Writes an IP header at `at`; gives the offset behind it. An IPv4 header gets its checksum by `finishIpHeader`. */
export function writeIpHeader(at: number, header: IpHeader, payloadBytes: number): number {
  const { source, destination, protocol, ttl } = header;
  if (source.family === 6) {
    PACKET_VIEW.setUint32(at, 0x6000_0000);
    PACKET_VIEW.setUint16(at + 4, payloadBytes);
    PACKET_BYTES[at + 6] = protocol;
    PACKET_BYTES[at + 7] = ttl;
    PACKET_BYTES.set(source.bytes, at + 8);
    PACKET_BYTES.set(destination.bytes, at + 24);
    return at + IPV6_HEADER_BYTES;
  }
  const mayNot = header.mayNotFragment === true;
  if (!mayNot) begun.identification = (begun.identification + 1) & 0xffff;
  PACKET_VIEW.setUint16(at, 0x4500);
  PACKET_VIEW.setUint16(at + 2, IPV4_HEADER_BYTES + payloadBytes);
  // What nobody cuts needs no identification (RFC 6864 4.1).
  PACKET_VIEW.setUint16(at + 4, mayNot ? 0 : begun.identification);
  PACKET_VIEW.setUint16(at + 6, mayNot ? DONT_FRAGMENT : 0);
  PACKET_BYTES[at + 8] = ttl;
  PACKET_BYTES[at + 9] = protocol;
  PACKET_VIEW.setUint16(at + 10, 0);
  PACKET_BYTES.set(source.bytes, at + 12);
  PACKET_BYTES.set(destination.bytes, at + 16);
  return at + IPV4_HEADER_BYTES;
}

/** Writes the length into the header at `at`, and into an IPv4 header its checksum. */
export function finishIpHeader(at: number, payloadBytes: number): void {
  if (PACKET_BYTES[at]! >>> 4 === 6) {
    PACKET_VIEW.setUint16(at + 4, payloadBytes);
    return;
  }
  PACKET_VIEW.setUint16(at + 2, IPV4_HEADER_BYTES + payloadBytes);
  PACKET_VIEW.setUint16(at + 10, 0);
  PACKET_VIEW.setUint16(at + 10, finishChecksum(rangeSum(at, IPV4_HEADER_BYTES)));
}

/** Writes the checksum of a payload without extension headers behind the IP header at `at`. */
export function writePayloadSum(at: number, payloadBytes: number, kind: PayloadSum): void {
  if (kind === "none") return;
  const isV6 = PACKET_BYTES[at]! >>> 4 === 6;
  const payloadAt = at + (isV6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES);
  const isUdp = kind === "udp";
  const field = payloadAt + (isUdp ? UDP_SUM_AT : ICMP_SUM_AT);
  PACKET_VIEW.setUint16(field, 0);
  let sum = rangeSum(payloadAt, payloadBytes);
  if (kind !== "plain") {
    const addresses = isV6 ? rangeSum(at + 8, 32) : rangeSum(at + 12, 8);
    sum += addresses + payloadBytes + PACKET_BYTES[at + (isV6 ? 6 : 9)]!;
  }
  const checksum = finishChecksum(sum);
  // UDP sends zero as all ones, zero meaning "none" (RFC 768).
  PACKET_VIEW.setUint16(field, isUdp && checksum === 0 ? 0xffff : checksum);
}
