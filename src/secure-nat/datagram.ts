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

/**
 * True if lengths, ports and checksum of a guest's datagram are right; the packet then ends where the datagram does.
 * Otherwise it is counted.
 */
export function isSoundUdp(packet: PacketView, drops: HostDrops): boolean {
  const { l4At, ipEnd } = packet;
  const length = l4At + UDP_HEADER_BYTES > ipEnd ? 0 : PACKET_VIEW.getUint16(l4At + 4);
  const hasLength = length >= UDP_HEADER_BYTES && l4At + length <= ipEnd;
  if (!hasLength || isPortless(l4At)) {
    drops.header += 1;
    return false;
  }
  packet.ipEnd = l4At + length;
  // Zero says that there is no sum, which IPv6 does not allow (RFC 8200 8.1).
  const hasNone = PACKET_VIEW.getUint16(l4At + 6) === 0;
  if (hasNone ? packet.version === 6 : !packet.hasRightSum) {
    drops.checksum += 1;
    return false;
  }
  packet.isVerified = true;
  return true;
}

function isPortless(l4At: number): boolean {
  return PACKET_VIEW.getUint16(l4At) === 0 || PACKET_VIEW.getUint16(l4At + 2) === 0;
}

/** Reads a datagram to the host; undefined, and counted, if it is not sound. */
export function readUdp(packet: PacketView, drops: HostDrops): GuestDatagram | undefined {
  if (!isSoundUdp(packet, drops)) return undefined;
  const { l4At, ipEnd } = packet;
  return {
    sourcePort: PACKET_VIEW.getUint16(l4At),
    payload: PACKET_BYTES.subarray(l4At + UDP_HEADER_BYTES, ipEnd),
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
