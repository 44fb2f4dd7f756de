// UDP of the user-mode NAT. Packets of the guest are gathered for one call a mapping (datagram-stage.ts); what comes back
// joined by the kernel is cut into frames by one call as well.
import { writeMac } from "../base/mac.ts";
import { sendPacket } from "../ip-host/send-packet.ts";
import type { IcmpErrors } from "../ip-host/icmp-error.ts";
import { finishIpHeader, type IpHeader, writeIpHeader } from "../ip-host/ip-writer.ts";
import { outbox } from "../ip-host/outbox.ts";
import { IPV6_HEADER_BYTES, type PacketView } from "../ip-host/packet-view.ts";
import { DatagramSocket } from "../platform/datagram-socket.ts";
import { rangeSum, VNET_HEADER_BYTES } from "../platform/offload.ts";
import { PACKET_VIEW, PACKET_BYTES } from "../platform/packet-memory.ts";
import type { IncomingMessage } from "../platform/receive-messages.ts";
import { ETHER_TYPE, ETHERNET_HEADER_BYTES } from "../wire/ethernet.ts";
import { IP_PROTOCOL, IPV4_HEADER_BYTES } from "../wire/ipv4.ts";
import { UDP_HEADER_BYTES } from "../wire/udp.ts";
import { DatagramFlow, DatagramFlows, tryMapping } from "./datagram-flow.ts";
import type { FlowEnds, FlowFactory, FlowHost } from "./flow.ts";
import { Mappings } from "./mapping.ts";
import { HOST_TTL } from "./virtual-host.ts";

/** Ports below are services of this machine: no guest takes one, though it may be free at the moment. */
const LEAST_KEPT_PORT = 1024;
const UDP_SUM_AT = 6;

/* struct virtio_net_hdr (virtio 1.2, 5.1.6). */
const NEEDS_CHECKSUM = 1;
const GSO_UDP = 5;

/** The maker of UDP flows of one SecureNAT. */
export function udpFlows(errors: IcmpErrors): FlowFactory {
  const mappings = new Mappings({
    open: (family, port, ttl) =>
      DatagramSocket.openUdp(family, port < LEAST_KEPT_PORT ? 0 : port, ttl),
    close: (socket) => socket.close(),
  });
  const shared = new DatagramFlows(errors, mappings);
  return (ends, host, first, innerMac) => {
    const mapping = tryMapping(shared, ends, host, first);
    return mapping && new UdpFlow(ends, host, shared, { mapping, innerMac });
  };
}

class UdpFlow extends DatagramFlow {
  readonly #header: IpHeader;

  constructor(
    ends: FlowEnds,
    host: FlowHost,
    shared: DatagramFlows,
    at: ConstructorParameters<typeof DatagramFlow>[3],
  ) {
    super(ends, host, shared, at);
    this.#header = {
      source: ends.outer,
      destination: ends.inner,
      protocol: IP_PROTOCOL.UDP,
      ttl: HOST_TTL[ends.inner.family],
      // What fits the link is not cut on it.
      mayNotFragment: true,
    };
  }

  protected get idleMs(): number {
    return this.host.config.udpTimeoutMs;
  }

  receive(packet: PacketView): void {
    const at = packet.l4At + UDP_HEADER_BYTES;
    this.send(packet, at, packet.ipEnd - at);
  }

  came(message: IncomingMessage): void {
    const { at, bytes, segment } = message;
    this.wasAnswered(bytes);
    const isV4 = this.ends.inner.family === 4;
    const ipBytes = isV4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    if (ipBytes + UDP_HEADER_BYTES + segment <= this.host.link.mtu) {
      this.#sendFrames(at, bytes, segment);
      return;
    }
    for (let from = at; from < at + bytes; from += segment) {
      this.#sendFragments(from, Math.min(segment, at + bytes - from));
    }
  }

  /** Datagrams that fit: headers go before the first, and all are cut and summed at once. */
  #sendFrames(at: number, bytes: number, segment: number): void {
    const { link } = this.host;
    const isV4 = this.ends.inner.family === 4;
    const ipBytes = isV4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    const l4Bytes = UDP_HEADER_BYTES + bytes;
    const l4At = this.#writeHeader(at, bytes);
    const ipAt = l4At - ipBytes;
    writeIpHeader(ipAt, this.#header, l4Bytes);
    finishIpHeader(ipAt, l4Bytes);
    const addresses = isV4 ? rangeSum(ipAt + 12, 8) : rangeSum(ipAt + 8, 32);
    const sum = addresses + IP_PROTOCOL.UDP + l4Bytes;
    PACKET_VIEW.setUint16(l4At + UDP_SUM_AT, (sum & 0xffff) + (sum >>> 16));
    const frameAt = ipAt - ETHERNET_HEADER_BYTES;
    writeMac(PACKET_BYTES, frameAt, this.innerMac);
    writeMac(PACKET_BYTES, frameAt + 6, link.mac);
    PACKET_VIEW.setUint16(frameAt + 12, isV4 ? ETHER_TYPE.IPV4 : ETHER_TYPE.IPV6);
    const vnet = frameAt - VNET_HEADER_BYTES;
    const isJoined = segment < bytes;
    const headerBytes = ETHERNET_HEADER_BYTES + ipBytes;
    PACKET_BYTES[vnet] = NEEDS_CHECKSUM;
    PACKET_BYTES[vnet + 1] = isJoined ? GSO_UDP : 0;
    PACKET_VIEW.setUint16(vnet + 2, headerBytes + UDP_HEADER_BYTES, true);
    PACKET_VIEW.setUint16(vnet + 4, isJoined ? segment : 0, true);
    PACKET_VIEW.setUint16(vnet + 6, headerBytes, true);
    PACKET_VIEW.setUint16(vnet + 8, UDP_SUM_AT, true);
    outbox.sendSuper(link, vnet, at + bytes - vnet);
  }

  #sendFragments(at: number, bytes: number): void {
    const l4At = this.#writeHeader(at, bytes);
    sendPacket(
      this.host.link,
      this.innerMac,
      { ...this.#header, mayNotFragment: false },
      { at: l4At, bytes: UDP_HEADER_BYTES + bytes, sum: "udp" },
    );
  }

  /** The header of a datagram to the guest, before its bytes. */
  #writeHeader(at: number, bytes: number): number {
    const { innerPort, outerPort } = this.ends;
    return writeUdpHeader(at, { from: outerPort, to: innerPort, bytes });
  }

  protected quoteHeader(at: number, bytes: number): number {
    const { innerPort, outerPort } = this.ends;
    return writeUdpHeader(at, { from: innerPort, to: outerPort, bytes });
  }
}

/** Gives where it begins. */
function writeUdpHeader(
  payloadAt: number,
  of: { readonly from: number; readonly to: number; readonly bytes: number },
): number {
  const at = payloadAt - UDP_HEADER_BYTES;
  PACKET_VIEW.setUint16(at, of.from);
  PACKET_VIEW.setUint16(at + 2, of.to);
  PACKET_VIEW.setUint16(at + 4, UDP_HEADER_BYTES + of.bytes);
  PACKET_VIEW.setUint16(at + UDP_SUM_AT, 0);
  return at;
}
