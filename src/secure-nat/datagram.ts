// UDP between the virtual host's own services and guests.
import type { IpAddress } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";
import { sendPacket } from "../ip-host/send-packet.ts";
import type { HostDrops } from "../ip-host/host-drops.ts";
import type { HostLink } from "../ip-host/link.ts";
import type { PacketView } from "../ip-host/packet-view.ts";
import { PACKET_BYTES, PACKET_VIEW, reserve } from "../platform/packet-memory.ts";
import { IP_PROTOCOL } from "../wire/ipv4.ts";
import { UDP_HEADER_BYTES } from "../wire/udp.ts";

const MAX_DATAGRAM_BYTES = 65_535;
const scratchAt = reserve(MAX_DATAGRAM_BYTES);

/** A datagram of a guest; the payload is a view of packet memory. */
export interface GuestDatagram {
  readonly sourcePort: number;
  readonly payload: Uint8Array;
}

/** Reads a datagram to the host; undefined, and counted, if its length or checksum is wrong. */
export function readUdp(packet: PacketView, drops: HostDrops): GuestDatagram | undefined {
  const { l4At, ipEnd } = packet;
  const length = l4At + UDP_HEADER_BYTES > ipEnd ? 0 : PACKET_VIEW.getUint16(l4At + 4);
  const sourcePort = length === 0 ? 0 : PACKET_VIEW.getUint16(l4At);
  if (length < UDP_HEADER_BYTES || l4At + length > ipEnd || sourcePort === 0) {
    drops.header += 1;
    return undefined;
  }
  packet.ipEnd = l4At + length;
  const hasNone = PACKET_VIEW.getUint16(l4At + 6) === 0;
  if (hasNone ? packet.version === 6 : !packet.hasRightSum) {
    drops.checksum += 1;
    return undefined;
  }
  return {
    sourcePort,
    payload: PACKET_BYTES.subarray(l4At + UDP_HEADER_BYTES, l4At + length),
  };
}

/** Sends a datagram to a guest, in fragments if need be. Its payload may lie in packet memory. */
export function sendUdp(
  link: HostLink,
  to: MacAddress,
  datagram: {
    readonly source: IpAddress;
    readonly sourcePort: number;
    readonly destination: IpAddress;
    readonly destinationPort: number;
    readonly ttl: number;
    readonly payload: Uint8Array;
  },
): void {
  const { source, destination, ttl, payload } = datagram;
  const bytes = UDP_HEADER_BYTES + payload.length;
  if (bytes > MAX_DATAGRAM_BYTES) throw new RangeError(`Cannot send a datagram of ${bytes} bytes`);
  PACKET_BYTES.set(payload, scratchAt + UDP_HEADER_BYTES);
  PACKET_VIEW.setUint16(scratchAt, datagram.sourcePort);
  PACKET_VIEW.setUint16(scratchAt + 2, datagram.destinationPort);
  PACKET_VIEW.setUint16(scratchAt + 4, bytes);
  const header = { source, destination, protocol: IP_PROTOCOL.UDP, ttl };
  sendPacket(link, to, header, { at: scratchAt, bytes, sum: "udp" });
}
