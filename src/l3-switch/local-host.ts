import type { IpAddress } from "../base/ip.ts";
import { readMac } from "../base/mac.ts";
import type { IcmpErrors } from "../ip-host/icmp-error.ts";
import { sendPacket } from "../ip-host/send-packet.ts";
import { readAddress } from "../ip-host/packet-address.ts";
import type { PacketView } from "../ip-host/packet-view.ts";
import { rangeSum } from "../platform/offload.ts";
import { PACKET_BYTES } from "../platform/packet-memory.ts";
import { ICMP_HEADER_BYTES, ICMP_TYPE, ICMPV6_TYPE } from "../wire/icmp.ts";
import { IP_PROTOCOL } from "../wire/ipv4.ts";
import { ICMPV6 } from "../wire/router-advertisement.ts";
import type { L3Interface } from "./l3-interface.ts";

/** hub.md 12.2. */
const REPLY_TTL = 255;

/**
 * A packet for one of the switch's own addresses, near or far: echo requests are answered. To others nobody listens,
 * which `errors` tell their senders, if they are given.
 */
export function answerLocal(
  packet: PacketView,
  from: L3Interface,
  errors: IcmpErrors | undefined,
): void {
  const { protocol, version } = packet;
  const address = readAddress(packet.destinationAt, packet.version);
  if (protocol === (version === 4 ? IP_PROTOCOL.ICMP : ICMPV6)) {
    return answerEcho(packet, from, address);
  }
  from.drops.not_served += 1;
  const isPort = protocol === IP_PROTOCOL.UDP || protocol === IP_PROTOCOL.TCP;
  const fault = isPort ? "port_unreachable" : "protocol_unreachable";
  errors?.about(packet, fault, { link: from, address });
}

/** An ICMPv6 message to all nodes: echo requests are answered in the interface's own name (RFC 4443 4.2). */
export function answerToAll(packet: PacketView, from: L3Interface): void {
  const asker = readAddress(packet.sourceAt, packet.version);
  const own = from.addressFor(asker);
  if (PACKET_BYTES[packet.l4At] !== ICMPV6_TYPE.ECHO_REQUEST || own === undefined) return;
  if (from.groupAnswers.take(readMac(PACKET_BYTES, packet.frameAt + 6)))
    answerEcho(packet, from, own);
  else from.drops.limit += 1;
}

function answerEcho(packet: PacketView, from: L3Interface, source: IpAddress): void {
  const { version, ipAt, ipEnd, l4At, frameAt } = packet;
  const bytes = ipEnd - l4At;
  const isV4 = version === 4;
  const [request, reply] = isV4
    ? [ICMP_TYPE.ECHO_REQUEST, ICMP_TYPE.ECHO_REPLY]
    : [ICMPV6_TYPE.ECHO_REQUEST, ICMPV6_TYPE.ECHO_REPLY];
  if (bytes < ICMP_HEADER_BYTES || PACKET_BYTES[l4At] !== request) {
    from.drops.not_served += 1;
    return;
  }
  const pseudo = isV4 ? 0 : rangeSum(ipAt + 8, 32) + bytes + ICMPV6;
  if ((rangeSum(l4At, bytes) + pseudo) % 0xffff !== 0) {
    from.drops.checksum += 1;
    return;
  }
  const header = {
    source,
    destination: readAddress(packet.sourceAt, packet.version),
    protocol: isV4 ? IP_PROTOCOL.ICMP : ICMPV6,
    ttl: REPLY_TTL,
  };
  PACKET_BYTES[l4At] = reply;
  const payload = { at: l4At, bytes, sum: isV4 ? "plain" : "pseudo" } as const;
  if (!sendPacket(from, readMac(PACKET_BYTES, frameAt + 6), header, payload)) {
    from.drops.outbox_full += 1;
  }
}
