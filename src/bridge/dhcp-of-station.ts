import type { MacAddress } from "../base/mac.ts";

/* From the first byte of an untagged frame; those behind an IPv4 header from where that ends. */
const SOURCE = 6;
const ETHERTYPE = 12;
const IPV4 = 14;
const IPV4_FRAGMENT = IPV4 + 6;
const IPV4_PROTOCOL = IPV4 + 9;
const IPV4_BYTES = 20;
const TARGET_PORT = 2;
const CLIENT_MAC = 8 + 28;
const ETHERTYPE_IPV4 = 0x0800;
const PROTOCOL_UDP = 17;
const FRAGMENT_OFFSET = 0x1fff;
const DHCP_SERVER = 67;
const DHCP_CLIENT = 68;

/**
 * True for a DHCP message over IPv4 that this station sends, gets or asks for (hub.md 14.2): what the filter of the
 * socket says of frames that arrive (packet-filter.ts), for those to be sent.
 */
export function isDhcpOf(station: MacAddress, view: DataView, at: number, length: number): boolean {
  if (length < IPV4 + IPV4_BYTES || view.getUint8(at + IPV4_PROTOCOL) !== PROTOCOL_UDP)
    return false;
  if (view.getUint16(at + ETHERTYPE) !== ETHERTYPE_IPV4) return false;
  if ((view.getUint16(at + IPV4_FRAGMENT) & FRAGMENT_OFFSET) !== 0) return false;
  const udp = at + IPV4 + (view.getUint8(at + IPV4) & 15) * 4;
  if (udp + CLIENT_MAC + 6 > at + length) return false;
  if (!isDhcpPort(view.getUint16(udp)) && !isDhcpPort(view.getUint16(udp + TARGET_PORT)))
    return false;
  return [at, at + SOURCE, udp + CLIENT_MAC].some(
    (mac) => view.getUint16(mac) * 2 ** 32 + view.getUint32(mac + 2) === station,
  );
}

function isDhcpPort(port: number): boolean {
  return port === DHCP_SERVER || port === DHCP_CLIENT;
}
