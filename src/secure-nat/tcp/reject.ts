// RST for segments that belong to nothing (RFC 9293 3.10.7.1).
import { readMac } from "../../base/mac.ts";
import type { HostLink } from "../../ip-host/link.ts";
import { readAddress } from "../../ip-host/packet-address.ts";
import type { PacketView } from "../../ip-host/packet-view.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../../platform/packet-memory.ts";
import { TCP_FIELD, TCP_FLAG, tcpHeaderBytes } from "../../wire/tcp.ts";
import { Outgoing, SegmentWriter } from "./segment-writer.ts";

const outgoing = new Outgoing();

/**
 * Answers the segment, whose checksum was found right, by RST.
 * @param isPlain without ACK, as the reference does it: a host that waits for SYN+ACK takes no notice of that
 * @returns false for an RST, which nobody answers, a header that is broken, or if there was no room
 */
export function rejectSegment(link: HostLink, packet: PacketView, isPlain: boolean): boolean {
  const at = packet.l4At;
  const headerBytes = packet.isMerged ? 20 : tcpHeaderBytes(PACKET_VIEW, at, packet.ipEnd);
  if (headerBytes === 0) return false;
  const flags = PACKET_BYTES[at + TCP_FIELD.FLAGS]!;
  if ((flags & TCP_FLAG.RST) !== 0) return false;
  const ends = {
    inner: readAddress(packet.sourceAt, packet.version),
    innerPort: PACKET_VIEW.getUint16(at + TCP_FIELD.SOURCE),
    outer: readAddress(packet.destinationAt, packet.version),
    outerPort: PACKET_VIEW.getUint16(at + TCP_FIELD.DESTINATION),
  };
  const writer = new SegmentWriter(link, ends, readMac(PACKET_BYTES, packet.frameAt + 6));
  outgoing.clear();
  if ((flags & TCP_FLAG.ACK) !== 0) {
    outgoing.sequence = PACKET_VIEW.getUint32(at + TCP_FIELD.ACKNOWLEDGMENT);
    outgoing.flags = TCP_FLAG.RST;
  } else {
    const counted = (flags & TCP_FLAG.SYN ? 1 : 0) + (flags & TCP_FLAG.FIN ? 1 : 0);
    const bytes = packet.isMerged ? packet.payloadBytes : packet.ipEnd - at - headerBytes;
    const sequence = PACKET_VIEW.getUint32(at + TCP_FIELD.SEQUENCE);
    outgoing.acknowledgment = isPlain ? 0 : (sequence + bytes + counted) >>> 0;
    outgoing.flags = isPlain ? TCP_FLAG.RST : TCP_FLAG.RST | TCP_FLAG.ACK;
  }
  return writer.end(writer.begin(outgoing), 0, 0) > 0;
}
