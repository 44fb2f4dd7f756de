import type { Ipv4 } from "../base/ip.ts";
import { finishChecksum, pseudoHeaderSum, sumWords } from "./checksum.ts";
import { IP_PROTOCOL } from "./ipv4.ts";

export const UDP_HEADER_BYTES = 8;
const MAX_DATAGRAM_BYTES = 65_535;

export interface UdpDatagram {
  readonly srcPort: number;
  readonly dstPort: number;
  /** A view of the packet's bytes. */
  readonly payload: Uint8Array;
}

/** The addresses that the checksum covers. */
export interface Ipv4Flow {
  readonly src: Ipv4;
  readonly dst: Ipv4;
}

/**
 * Reads the payload of an IPv4 packet. Undefined for a wrong length or checksum, or port 0; a checksum of 0
 * says that there is none (RFC 768).
 */
export function tryParseUdp(bytes: Uint8Array, flow: Ipv4Flow): UdpDatagram | undefined {
  if (bytes.length < UDP_HEADER_BYTES) return undefined;
  const u16 = (at: number) => (bytes[at]! << 8) | bytes[at + 1]!;
  const length = u16(4);
  if (length < UDP_HEADER_BYTES || length > bytes.length) return undefined;
  const srcPort = u16(0);
  const dstPort = u16(2);
  if (srcPort === 0 || dstPort === 0) return undefined;
  if (u16(6) !== 0 && checksum(bytes, length, flow) !== 0) return undefined;
  return { srcPort, dstPort, payload: bytes.subarray(UDP_HEADER_BYTES, length) };
}

/** The bytes of a datagram with its checksum. Too long for its length field: a RangeError. */
export function encodeUdp(datagram: UdpDatagram, flow: Ipv4Flow): Uint8Array {
  const length = UDP_HEADER_BYTES + datagram.payload.length;
  if (length > MAX_DATAGRAM_BYTES)
    throw new RangeError(`Cannot encode a datagram of ${length} bytes`);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, datagram.srcPort);
  view.setUint16(2, datagram.dstPort);
  view.setUint16(4, length);
  bytes.set(datagram.payload, UDP_HEADER_BYTES);
  // A sum of 0 goes out as its other form, since 0 stands for "none".
  view.setUint16(6, checksum(bytes, length, flow) || 0xffff);
  return bytes;
}

function checksum(bytes: Uint8Array, length: number, flow: Ipv4Flow): number {
  const pseudo = pseudoHeaderSum(flow.src, flow.dst, IP_PROTOCOL.UDP, length);
  return finishChecksum(sumWords(bytes, 0, length, pseudo));
}
