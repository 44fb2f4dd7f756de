import { readIpv4, writeIpv4, type Ipv4 } from "../base/ip.ts";
import { readMac, writeMac, type MacAddress } from "../base/mac.ts";
import { ETHER_TYPE } from "./ethernet.ts";

/** Operations of RFC 826. Those of other RFCs (reverse, inverse ARP) are not for an IPv4 host. */
export const ARP_OPERATION = { REQUEST: 1, REPLY: 2 } as const;

export const ARP_BYTES = 28;
const HARDWARE_ETHERNET = 1;
const MAC_BYTES = 6;
const IPV4_BYTES = 4;

export interface ArpPacket {
  readonly operation: (typeof ARP_OPERATION)[keyof typeof ARP_OPERATION];
  readonly senderMac: MacAddress;
  readonly senderIp: Ipv4;
  readonly targetMac: MacAddress;
  readonly targetIp: Ipv4;
}

/** Reads ARP for IPv4 on Ethernet; undefined for any other kind or a cut packet. Padding is ignored. */
export function tryParseArp(
  bytes: Uint8Array,
  start = 0,
  end = bytes.length,
): ArpPacket | undefined {
  if (end - start < ARP_BYTES) return undefined;
  const u16 = (at: number) => (bytes[start + at]! << 8) | bytes[start + at + 1]!;
  if (u16(0) !== HARDWARE_ETHERNET || u16(2) !== ETHER_TYPE.IPV4) return undefined;
  if (bytes[start + 4] !== MAC_BYTES || bytes[start + 5] !== IPV4_BYTES) return undefined;
  const operation = u16(6);
  if (operation !== ARP_OPERATION.REQUEST && operation !== ARP_OPERATION.REPLY) return undefined;
  return {
    operation,
    senderMac: readMac(bytes, start + 8),
    senderIp: readIpv4(bytes, start + 14),
    targetMac: readMac(bytes, start + 18),
    targetIp: readIpv4(bytes, start + 24),
  };
}

export function encodeArp(packet: ArpPacket): Uint8Array {
  const bytes = new Uint8Array(ARP_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, HARDWARE_ETHERNET);
  view.setUint16(2, ETHER_TYPE.IPV4);
  bytes[4] = MAC_BYTES;
  bytes[5] = IPV4_BYTES;
  view.setUint16(6, packet.operation);
  writeMac(bytes, 8, packet.senderMac);
  writeIpv4(bytes, 14, packet.senderIp);
  writeMac(bytes, 18, packet.targetMac);
  writeIpv4(bytes, 24, packet.targetIp);
  return bytes;
}
