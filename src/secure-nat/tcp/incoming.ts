// The segment that is looked at, of which there is one at a time.
import type { PacketView } from "../../ip-host/packet-view.ts";
import { PACKET_BASE, PACKET_BYTES, PACKET_VIEW, reserve } from "../../platform/packet-memory.ts";
import { areTcpFlags, TCP_FIELD, TCP_FLAG, tcpHeaderBytes, TcpOptions } from "../../wire/tcp.ts";
import { VECTOR_BYTES } from "./receive-buffer.ts";

const HIGH_WORD = 0x1_0000_0000;
/** Of a payload that came without, as that of a packet put together from fragments. */
const loneVectorAt = reserve(VECTOR_BYTES);

class Incoming {
  readonly options = new TcpOptions();
  sequence = 0;
  acknowledgment = 0;
  flags = 0;
  /** As it stands in the field. */
  window = 0;
  payloadBytes = 0;
  vectorAt = 0;
  vectors = 0;

  /** False for a header, flags or options that do not hold together (robustness.md IP-10, IP-11). */
  read(packet: PacketView): boolean {
    const at = packet.l4At;
    const headerEnd = packet.isMerged ? Infinity : packet.ipEnd;
    const headerBytes = tcpHeaderBytes(PACKET_VIEW, at, headerEnd);
    if (headerBytes === 0) return false;
    this.flags = PACKET_BYTES[at + TCP_FIELD.FLAGS]!;
    if (!areTcpFlags(this.flags)) return false;
    const isSound = this.options.read(PACKET_VIEW, at + TCP_FIELD.OPTIONS, at + headerBytes);
    // Of a SYN what stands before the fault counts: it would only come again.
    if (!isSound && (this.flags & TCP_FLAG.SYN) === 0) return false;
    this.sequence = PACKET_VIEW.getUint32(at + TCP_FIELD.SEQUENCE);
    this.acknowledgment = PACKET_VIEW.getUint32(at + TCP_FIELD.ACKNOWLEDGMENT);
    this.window = PACKET_VIEW.getUint16(at + TCP_FIELD.WINDOW);
    this.payloadBytes = packet.isMerged ? packet.payloadBytes : packet.ipEnd - at - headerBytes;
    this.vectorAt = packet.vectorAt;
    this.vectors = packet.vectors;
    if (this.payloadBytes > 0 && packet.vectors === 0) this.#aim(at + headerBytes);
    return true;
  }

  isResetAt(sequence: number): boolean {
    return (this.flags & TCP_FLAG.RST) !== 0 && this.sequence === sequence;
  }

  #aim(at: number): void {
    const address = PACKET_BASE + at;
    PACKET_VIEW.setUint32(loneVectorAt, address >>> 0, true);
    PACKET_VIEW.setUint32(loneVectorAt + 4, Math.floor(address / HIGH_WORD), true);
    PACKET_VIEW.setUint32(loneVectorAt + 8, this.payloadBytes, true);
    PACKET_VIEW.setUint32(loneVectorAt + 12, 0, true);
    this.vectorAt = loneVectorAt;
    this.vectors = 1;
  }
}

export const incoming = new Incoming();
