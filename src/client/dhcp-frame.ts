import type { Ipv4 } from "../base/ip.ts";
import { readMac, type MacAddress } from "../base/mac.ts";
import {
  DHCP_CHADDR_AT,
  DHCP_PORT,
  encodeDhcp,
  tryParseDhcp,
  type DhcpMessage,
} from "../wire/dhcp.ts";
import {
  encodeEthernet,
  ETHER_TYPE,
  ETHERNET_HEADER_BYTES,
  readEtherType,
  tryParseEthernet,
} from "../wire/ethernet.ts";
import {
  encodeIpv4Packet,
  IP_PROTOCOL,
  IPV4_HEADER_BYTES,
  tryParseIpv4Packet,
} from "../wire/ipv4.ts";
import { encodeUdp, tryParseUdp, UDP_HEADER_BYTES } from "../wire/udp.ts";

const CHADDR_BYTES = 6;
const LEAST_FRAME_BYTES =
  ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES + UDP_HEADER_BYTES + DHCP_CHADDR_AT + CHADDR_BYTES;

/** Where a message of a client goes. */
export interface DhcpPath {
  readonly srcMac: MacAddress;
  readonly dstMac: MacAddress;
  readonly src: Ipv4;
  readonly dst: Ipv4;
}

/** The Ethernet frame that carries a client's message. */
export function encodeDhcpFrame(message: DhcpMessage, path: DhcpPath): Uint8Array {
  const datagram = {
    srcPort: DHCP_PORT.CLIENT,
    dstPort: DHCP_PORT.SERVER,
    payload: encodeDhcp(message),
  };
  const packet = encodeIpv4Packet({
    src: path.src,
    dst: path.dst,
    protocol: IP_PROTOCOL.UDP,
    dontFragment: true,
    payload: encodeUdp(datagram, path),
  });
  const { dstMac: dst, srcMac: src } = path;
  return encodeEthernet({ dst, src, tags: [], etherType: ETHER_TYPE.IPV4, payload: packet });
}

/**
 * True if the frame looks like a message to the DHCP client of this MAC: a look at a few bytes, since it is
 * asked for every frame of the cable. Tags and later fragments are never that.
 */
export function looksLikeReply(
  bytes: Uint8Array,
  start: number,
  end: number,
  mac: MacAddress,
): boolean {
  if (end - start < LEAST_FRAME_BYTES || readEtherType(bytes, start) !== ETHER_TYPE.IPV4)
    return false;
  const ip = start + ETHERNET_HEADER_BYTES;
  if (bytes[ip + 9] !== IP_PROTOCOL.UDP) return false;
  const udp = ip + (bytes[ip]! & 15) * 4;
  if (bytes[udp + 3] !== DHCP_PORT.CLIENT || bytes[udp + 2] !== 0) return false;
  const isLaterFragment = (bytes[ip + 6]! & 0x1f) !== 0 || bytes[ip + 7] !== 0;
  const chaddr = udp + UDP_HEADER_BYTES + DHCP_CHADDR_AT;
  return !isLaterFragment && chaddr + CHADDR_BYTES <= end && readMac(bytes, chaddr) === mac;
}

/** The message in such a frame and the MAC that it came from; undefined if any layer refuses it. */
export function tryReadReply(
  bytes: Uint8Array,
  start: number,
  end: number,
  mac: MacAddress,
): { message: DhcpMessage; from: MacAddress } | undefined {
  const frame = tryParseEthernet(bytes, start, end);
  const packet = frame === undefined ? undefined : tryParseIpv4Packet(frame.payload);
  if (frame === undefined || packet === undefined || packet.moreFragments) return undefined;
  const datagram = tryParseUdp(packet.payload, packet);
  if (datagram?.srcPort !== DHCP_PORT.SERVER) return undefined;
  const message = tryParseDhcp(datagram.payload);
  const isForUs = message?.op === "reply" && message.chaddr === mac;
  return isForUs ? { message, from: frame.src } : undefined;
}
