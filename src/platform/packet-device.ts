// The frames of a packet socket, many a call, with the tags that the kernel keeps beside them (packet(7)).
//
// Figures of a veth, for frames of 200 bytes and super-frames of 50 KB. Reading: one recvmmsg of 4 to 16 takes 1.4 us a
// frame and one of 1 takes 1.9; super-frames cost the same either way, 8.4 us, and less cache when read one by one. A
// ring (TPACKET_V3) takes a small part of that for small frames, but hands them over by the millisecond, which a ping of
// 0.2 ms would feel, and lost super-frames where recvmmsg lost none. Writing: 2.0 us a frame by sendmmsg, 2.9 by writev.
import type { MacAddress } from "../base/mac.ts";
import { DescriptorDevice, type VectorList } from "./frame-device.ts";
import { errno, libc } from "./libc.ts";
import type { Link } from "./link.ts";
import { setPacketFilter } from "./packet-filter.ts";
import { PACKET_BASE, PACKET_BYTES, PACKET_VIEW, reserve } from "./packet-memory.ts";

/* <linux/if_packet.h>, <sys/socket.h> */
const SOL_PACKET = 263;
const PACKET_STATISTICS = 6;
const TP_STATUS_VLAN_VALID = 0x10;
const TP_STATUS_VLAN_TPID_VALID = 0x40;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const EINVAL = 22;

/* Frames as they are on the wire. */
const MACS_BYTES = 12;
const TAG_BYTES = 4;
const TPID_8021Q = 0x8100;

/* The virtio-net header of 10 bytes: what a tag that is put back moves. */
const VNET_BYTES = 10;
const VNET_HEADER_LENGTH = 2;
const VNET_CHECKSUM_START = 6;

/* Tables for recvmmsg(2): struct mmsghdr, struct iovec, and control data with one struct tpacket_auxdata. */
const MESSAGES = 8;
const MAX_OUTGOING = 128;
const MESSAGE_BYTES = 64;
const MESSAGE_VECTOR = 16;
const MESSAGE_VECTORS = 24;
const MESSAGE_CONTROL = 32;
const MESSAGE_CONTROL_LENGTH = 40;
const MESSAGE_FLAGS = 48;
const MESSAGE_LENGTH = 56;
const VECTOR_BYTES = 16;
const CONTROL_BYTES = 64;
const AUXDATA = 16;
const AUXDATA_BYTES = 20;
const AUXDATA_TCI = AUXDATA + 16;
const AUXDATA_TPID = AUXDATA + 18;
/** Not a multiple of a page, or small frames would all compete for the same places of the cache. */
const FRAME_BYTES = 65_728;
/** From this size on a frame is a super-frame, and the next is likely to be one. */
const LARGE_BYTES = 8192;

// One set of tables for all sockets: what one has received is taken before another receives (frame-device.ts).
const messagesAt = reserve(MESSAGES * MESSAGE_BYTES);
const outgoingAt = reserve(MAX_OUTGOING * MESSAGE_BYTES);
const vectorsAt = reserve(MESSAGES * VECTOR_BYTES);
const controlAt = reserve(MESSAGES * CONTROL_BYTES);
const framesAt = reserve(MESSAGES * FRAME_BYTES);
prepareTables();

/** A socket that is bound to an interface. */
export class PacketDevice extends DescriptorDevice {
  readonly link: Link;
  readonly #refusesOutgoing: boolean;
  /** Messages received and not given yet are those from `#next` to `#received`. */
  #received = 0;
  #next = 0;
  #wasLarge = false;

  constructor(link: Link, fd: number, refusesOutgoing: boolean) {
    super(link.name, fd, true);
    this.link = link;
    this.#refusesOutgoing = refusesOutgoing;
  }

  refuseDhcp(mac: MacAddress | undefined): void {
    setPacketFilter(this.fd, { outgoing: this.#refusesOutgoing, dhcpOf: mac });
  }

  override get hasMore(): boolean {
    return this.#next < this.#received;
  }

  override read(): number {
    if (this.#next === this.#received) {
      const received = this.#receive(this.#wasLarge ? 1 : MESSAGES);
      this.#next = 0;
      this.#received = Math.max(received, 0);
      if (received < 0) return received === -EINVAL ? 0 : received;
    }
    const length = this.#take(this.#next++);
    this.#wasLarge = length >= LARGE_BYTES;
    return length;
  }

  override writev(frames: VectorList, from: number, to: number): number {
    const count = Math.min(to - from, MAX_OUTGOING);
    for (let n = 0; n < count; n += 1) {
      const message = outgoingAt + n * MESSAGE_BYTES;
      setAddress(message + MESSAGE_VECTOR, frames.at(from + n));
      PACKET_VIEW.setUint32(message + MESSAGE_VECTORS, frames.count(from + n), true);
    }
    const result = libc.sendmmsg(this.fd, PACKET_BASE + outgoingAt, count, MSG_DONTWAIT);
    return result < 0 ? -errno() : result;
  }

  override takeDropped(): number {
    // struct tpacket_stats: packets, drops; reading sets both to zero.
    const counts = new Uint32Array(2);
    const size = new Uint32Array([counts.byteLength]);
    if (libc.getsockopt(this.fd, SOL_PACKET, PACKET_STATISTICS, counts, size) < 0) return 0;
    return counts[1]!;
  }

  #receive(count: number): number {
    for (let n = 0; n < count; n += 1) {
      // The kernel has put there what it used.
      const message = messagesAt + n * MESSAGE_BYTES;
      PACKET_VIEW.setUint32(message + MESSAGE_CONTROL_LENGTH, CONTROL_BYTES, true);
    }
    const at = PACKET_BASE + messagesAt;
    const result = libc.recvmmsg(this.fd, at, count, MSG_DONTWAIT, 0);
    return result < 0 ? -errno() : result;
  }

  /** Length of one message with its header, at `frameAt`; 0 if it did not fit. */
  #take(index: number): number {
    const message = messagesAt + index * MESSAGE_BYTES;
    const length = PACKET_VIEW.getUint32(message + MESSAGE_LENGTH, true);
    this.frameAt = framesAt + index * FRAME_BYTES + TAG_BYTES;
    if ((PACKET_VIEW.getUint32(message + MESSAGE_FLAGS, true) & MSG_TRUNC) !== 0) return 0;
    const control = controlAt + index * CONTROL_BYTES;
    if (PACKET_VIEW.getUint32(message + MESSAGE_CONTROL_LENGTH, true) < AUXDATA + AUXDATA_BYTES)
      return length;
    const status = PACKET_VIEW.getUint32(control + AUXDATA, true);
    if ((status & TP_STATUS_VLAN_VALID) === 0) return length;
    this.#putTagBack(control, status);
    return length + TAG_BYTES;
  }

  /** The tag that the hardware or the kernel has taken out goes behind the MACs, which move into the room before. */
  #putTagBack(control: number, status: number): void {
    const from = this.frameAt;
    const at = from - TAG_BYTES;
    PACKET_BYTES.copyWithin(at, from, from + VNET_BYTES + MACS_BYTES);
    const hasTpid = (status & TP_STATUS_VLAN_TPID_VALID) !== 0;
    const tpid = hasTpid ? PACKET_VIEW.getUint16(control + AUXDATA_TPID, true) : TPID_8021Q;
    const tag = at + VNET_BYTES + MACS_BYTES;
    PACKET_VIEW.setUint16(tag, tpid);
    PACKET_VIEW.setUint16(tag + 2, PACKET_VIEW.getUint16(control + AUXDATA_TCI, true));
    for (const field of [VNET_HEADER_LENGTH, VNET_CHECKSUM_START]) {
      const value = PACKET_VIEW.getUint16(at + field, true);
      if (value > 0) PACKET_VIEW.setUint16(at + field, value + TAG_BYTES, true);
    }
    this.frameAt = at;
  }
}

function prepareTables(): void {
  for (let n = 0; n < MESSAGES; n += 1) {
    const message = messagesAt + n * MESSAGE_BYTES;
    const vector = vectorsAt + n * VECTOR_BYTES;
    // struct msghdr: name and its length, vector and its count, control data and its length, flags; then the length.
    setAddress(message + MESSAGE_VECTOR, vector);
    PACKET_VIEW.setUint32(message + MESSAGE_VECTORS, 1, true);
    setAddress(message + MESSAGE_CONTROL, controlAt + n * CONTROL_BYTES);
    setAddress(vector, framesAt + n * FRAME_BYTES + TAG_BYTES);
    PACKET_VIEW.setUint32(vector + 8, FRAME_BYTES - TAG_BYTES, true);
  }
}

function setAddress(field: number, at: number): void {
  const address = PACKET_BASE + at;
  PACKET_VIEW.setUint32(field, address % 2 ** 32, true);
  PACKET_VIEW.setUint32(field + 4, Math.floor(address / 2 ** 32), true);
}
