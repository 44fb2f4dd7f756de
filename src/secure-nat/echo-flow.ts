// Echoes of the user-mode NAT: real ones, by ping sockets or raw ones, with the guest's TTL. The guest's identifier is
// kept towards the guest; outside it is the socket's (hub.md 11.3).
import { NAT_ECHO_TIMEOUT_MS } from "../base/limits.ts";
import { sendPacket } from "../ip-host/send-packet.ts";
import type { IcmpErrors } from "../ip-host/icmp-error.ts";
import type { PacketView } from "../ip-host/packet-view.ts";
import type { DatagramError } from "../platform/error-queue.ts";
import { rangeSum } from "../platform/offload.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../platform/packet-memory.ts";
import { closePing, openPing } from "../platform/ping-socket.ts";
import type { IncomingMessage } from "../platform/receive-messages.ts";
import { ICMP_HEADER_BYTES, ICMP_ID_AT, ICMP_TYPE, ICMPV6_TYPE } from "../wire/icmp.ts";
import { IP_PROTOCOL, IPV4_HEADER_BYTES } from "../wire/ipv4.ts";
import { ICMPV6 } from "../wire/router-advertisement.ts";
import { DatagramFlow, DatagramFlows, tryMapping } from "./datagram-flow.ts";
import type { FlowFactory } from "./flow.ts";
import { Mappings } from "./mapping.ts";
import { HOST_TTL } from "./virtual-host.ts";

const ICMP_SUM_AT = 2;

/** The maker of echo flows of one SecureNAT. */
export function echoFlows(errors: IcmpErrors, open: typeof openPing = openPing): FlowFactory {
  const shared = new DatagramFlows(errors, new Mappings({ open, close: closePing }));
  return (ends, host, first, innerMac) => {
    const mapping = tryMapping(shared, ends, host, first);
    return mapping && new EchoFlow(ends, host, shared, { mapping, innerMac });
  };
}

class EchoFlow extends DatagramFlow {
  protected get idleMs(): number {
    return NAT_ECHO_TIMEOUT_MS;
  }

  receive(packet: PacketView): void {
    const { l4At, ipEnd, version } = packet;
    PACKET_VIEW.setUint16(l4At + ICMP_ID_AT, this.mapping.socket.port);
    // Only raw sockets of IPv4 need it; the kernel sums up what the others send.
    if (version === 4) {
      PACKET_VIEW.setUint16(l4At + ICMP_SUM_AT, 0);
      PACKET_VIEW.setUint16(l4At + ICMP_SUM_AT, ~rangeSum(l4At, ipEnd - l4At) & 0xffff);
    }
    this.send(packet, l4At, ipEnd - l4At);
  }

  came(message: IncomingMessage): void {
    const { inner, innerPort, outer } = this.ends;
    const isV4 = inner.family === 4;
    const { kind, port } = this.mapping.socket;
    // Raw sockets of IPv4 give the IP header as well.
    const skipped = kind === "raw" && isV4 ? (PACKET_BYTES[message.at]! & 15) * 4 : 0;
    const at = message.at + skipped;
    const bytes = message.bytes - skipped;
    if (bytes < ICMP_HEADER_BYTES || (skipped > 0 && skipped < IPV4_HEADER_BYTES)) return;
    const reply = isV4 ? ICMP_TYPE.ECHO_REPLY : ICMPV6_TYPE.ECHO_REPLY;
    if (PACKET_BYTES[at] !== reply || PACKET_VIEW.getUint16(at + ICMP_ID_AT) !== port) return;
    this.wasAnswered(bytes);
    PACKET_VIEW.setUint16(at + ICMP_ID_AT, innerPort);
    const protocol = isV4 ? IP_PROTOCOL.ICMP : ICMPV6;
    sendPacket(
      this.host.link,
      this.innerMac,
      { source: outer, destination: inner, protocol, ttl: HOST_TTL[inner.family] },
      { at, bytes, sum: isV4 ? "plain" : "pseudo" },
    );
  }

  override failed(error: DatagramError): void {
    // Raw sockets hear of everybody's echoes.
    const isOurs =
      error.bytes >= ICMP_HEADER_BYTES &&
      PACKET_VIEW.getUint16(error.at + ICMP_ID_AT) === this.mapping.socket.port;
    if (isOurs) super.failed(error);
  }

  /** The message is quoted with its own header. */
  protected quoteHeader(at: number): number {
    PACKET_VIEW.setUint16(at + ICMP_ID_AT, this.ends.innerPort);
    return at;
  }
}
