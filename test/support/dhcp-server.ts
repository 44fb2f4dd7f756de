import type { Ipv4 } from "../../src/base/ip.ts";
import type { MacAddress } from "../../src/base/mac.ts";
import { DHCP_OPTION, encodeAddresses, encodeNumber } from "../../src/wire/dhcp-option.ts";
import {
  DHCP_PORT,
  DHCP_TYPE,
  encodeDhcp,
  tryParseDhcp,
  type DhcpMessage,
  type DhcpType,
} from "../../src/wire/dhcp.ts";
import { encodeEthernet, ETHER_TYPE, tryParseEthernet } from "../../src/wire/ethernet.ts";
import { encodeIpv4Packet, IP_PROTOCOL, tryParseIpv4Packet } from "../../src/wire/ipv4.ts";
import { encodeUdp, tryParseUdp } from "../../src/wire/udp.ts";

/** A client's message with the addresses that it travelled under. */
export interface SeenMessage {
  readonly message: DhcpMessage;
  readonly srcMac: MacAddress;
  readonly dstMac: MacAddress;
  readonly src: Ipv4;
  readonly dst: Ipv4;
}

/** Takes a client's frame apart; undefined if it is not a whole DHCP request from port 68 to port 67. */
export function readRequest(bytes: Uint8Array): SeenMessage | undefined {
  const frame = tryParseEthernet(bytes);
  const packet =
    frame?.etherType === ETHER_TYPE.IPV4 ? tryParseIpv4Packet(frame.payload) : undefined;
  const datagram = packet === undefined ? undefined : tryParseUdp(packet.payload, packet);
  if (datagram?.dstPort !== DHCP_PORT.SERVER || datagram.srcPort !== DHCP_PORT.CLIENT)
    return undefined;
  const message = tryParseDhcp(datagram.payload);
  if (message === undefined || message.op !== "request") return undefined;
  const { src: srcMac, dst: dstMac } = frame!;
  return { message, srcMac, dstMac, src: packet!.src, dst: packet!.dst };
}

export interface ReplyDraft {
  readonly type: DhcpType;
  readonly yiaddr: Ipv4;
  readonly server: Ipv4;
  readonly serverMac: MacAddress;
  readonly options?: readonly (readonly [number, Uint8Array])[];
  /** Fields that are to differ from what the request asks for. */
  readonly change?: Partial<DhcpMessage>;
}

/** The frame of a server's answer to a message. */
export function encodeReply(request: DhcpMessage, draft: ReplyDraft): Uint8Array {
  const message: DhcpMessage = {
    ...request,
    op: "reply",
    type: draft.type,
    secs: 0,
    yiaddr: draft.yiaddr,
    options: new Map([
      [DHCP_OPTION.SERVER_ID, encodeAddresses([draft.server])] as const,
      ...(draft.options ?? []),
    ]),
    ...draft.change,
  };
  const flow = { src: draft.server, dst: 0xffffffff as Ipv4 };
  const payload = encodeUdp(
    { srcPort: DHCP_PORT.SERVER, dstPort: DHCP_PORT.CLIENT, payload: encodeDhcp(message) },
    flow,
  );
  return encodeEthernet({
    dst: request.chaddr,
    src: draft.serverMac,
    tags: [],
    etherType: ETHER_TYPE.IPV4,
    payload: encodeIpv4Packet({ ...flow, protocol: IP_PROTOCOL.UDP, payload }),
  });
}

/** What a plain server grants: mask /24, one gateway, one resolver, a lease of an hour. */
export function usualOptions(server: Ipv4, leaseS = 3600): [number, Uint8Array][] {
  return [
    [DHCP_OPTION.LEASE_TIME, encodeNumber(leaseS, 4)],
    [DHCP_OPTION.SUBNET_MASK, encodeNumber(0xffffff00, 4)],
    [DHCP_OPTION.ROUTER, encodeAddresses([server])],
    [DHCP_OPTION.DNS, encodeAddresses([server])],
  ];
}

/** The type by its name, for what tests say they saw. */
export function typeName(type: DhcpType): string {
  return Object.entries(DHCP_TYPE).find(([, value]) => value === type)![0];
}
