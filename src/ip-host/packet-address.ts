// Addresses that lie in packet memory.
import type { IpAddress } from "../base/ip.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../platform/packet-memory.ts";

/** A copy of the one at `at`. */
export function readAddress(at: number, family: 4 | 6): IpAddress {
  return { family, bytes: PACKET_BYTES.slice(at, at + (family === 4 ? 4 : 16)) };
}

/** Whether it is this one that lies at `at`. */
export function isAddressAt(address: Uint8Array, at: number): boolean {
  for (let n = 0; n < address.length; n += 1) {
    if (PACKET_BYTES[at + n] !== address[n]) return false;
  }
  return true;
}

/** Whether the IPv6 address at `at` means one link only (RFC 4291 2.5.6). */
export function isLinkLocalAt(at: number): boolean {
  return PACKET_VIEW.getInt32(at) >>> 22 === 0xfe80 >>> 6;
}
