import { type MacAddress, readMac } from "../base/mac.ts";

/** ff02::1 and ff02::2 (RFC 4291 2.7.1), and where DHCPv6 clients ask (RFC 8415 7.1). */
export const ALL_NODES = group(0, 1);
export const ALL_ROUTERS = group(0, 2);
export const ALL_DHCP_SERVERS = group(1, 2);

function group(high: number, low: number): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.set([0xff, 0x02]);
  bytes.set([high, 0, low], 13);
  return bytes;
}

/** fe80::/64 with the interface identifier of RFC 4291 appendix A. */
export function linkLocalOf(mac: MacAddress): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.set([0xfe, 0x80]);
  const high = Math.floor(mac / 2 ** 32);
  // The bit that tells of a local address is kept the other way round.
  bytes.set([(high >>> 8) ^ 2, high & 255, (mac >>> 24) & 255, 0xff, 0xfe], 8);
  bytes.set([(mac >>> 16) & 255, (mac >>> 8) & 255, mac & 255], 13);
  return bytes;
}

export function isLinkLocal(address: Uint8Array): boolean {
  return address[0] === 0xfe && (address[1]! & 0xc0) === 0x80;
}

export function isUnspecified(address: Uint8Array): boolean {
  return address.every((octet) => octet === 0);
}

/** The MAC of an IPv6 group (RFC 2464 7). */
export function groupMacOf(address: Uint8Array): MacAddress {
  return readMac(Uint8Array.of(0x33, 0x33, ...address.subarray(12)), 0);
}

/** ff02::1:ff00:0/104 with the end of the address (RFC 4291 2.7.1). */
export function solicitedNodeOf(address: Uint8Array): Uint8Array {
  const bytes = group(0, 0);
  bytes.set([1, 0xff], 11);
  bytes.set(address.subarray(13), 13);
  return bytes;
}
