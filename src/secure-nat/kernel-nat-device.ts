// Between guests and the kernel: IP packets go into a TUN as they are, super-frames included, and what comes out of it
// gets an Ethernet header, so that it enters the hub as what comes from any device does (bridge/device-ingress.ts).
import { type Ipv4, readIpv4 } from "../base/ip.ts";
import { type MacAddress, writeMac } from "../base/mac.ts";
import { ETHERNET_HEADER_BYTES, ETHER_TYPE } from "../wire/ethernet.ts";
import { DEVICE_ERROR, type FrameDevice } from "../platform/frame-device.ts";
import { VNET_HEADER_BYTES } from "../platform/offload.ts";
import { PACKET_BASE, PACKET_BYTES, PACKET_VIEW, reserve } from "../platform/packet-memory.ts";
import type { PacketView } from "../ip-host/packet-view.ts";
import type { GuestTable } from "./kernel-nat-guests.ts";

/* struct virtio_net_hdr, little-endian. */
const VNET = { FLAGS: 0, TYPE: 1, HEADER_BYTES: 2, SUM_FROM: 6 } as const;
const NEEDS_SUM = 1;
/* struct iovec; a merged packet has up to 64 payloads (platform/offload.ts). */
const VECTOR_BYTES = 16;
const MAX_PAYLOADS = 64;
/** Vectors before the payloads: the virtio-net header, and the headers of the packet. */
const HEAD_VECTORS = 2;

// One of each for all: a packet is written before the next is looked at.
const plainHeaderAt = reserve(VNET_HEADER_BYTES);
const mergedHeaderAt = reserve(VNET_HEADER_BYTES);
const vectorsAt = reserve((HEAD_VECTORS + MAX_PAYLOADS) * VECTOR_BYTES);

/** A TUN as a device of frames for the guests of one hub. Closing it closes the TUN. */
export class GuestDevice implements FrameDevice {
  readonly name: string;
  readonly fd: number;
  readonly hasVnetHeader = true;
  readonly #tun: FrameDevice;
  readonly #guests: GuestTable;
  readonly #mac: MacAddress;
  readonly #onUnknown: (address: Ipv4 | undefined) => void;

  /**
   * @param mac whom the guests' frames come from
   * @param onUnknown there was a packet for an address, undefined of IPv6, that no guest is known to have
   */
  constructor(
    tun: FrameDevice,
    guests: GuestTable,
    mac: MacAddress,
    onUnknown: (address: Ipv4 | undefined) => void,
  ) {
    this.name = tun.name;
    this.fd = tun.fd;
    this.#tun = tun;
    this.#guests = guests;
    this.#mac = mac;
    this.#onUnknown = onUnknown;
  }

  frameAt = 0;

  get hasMore(): boolean {
    return false;
  }

  /** Reads a packet and makes a frame of it. One for nobody, and what is no IP, is lost: 0. */
  read(at: number, bytes: number): number {
    const from = at + ETHERNET_HEADER_BYTES;
    const length = this.#tun.read(from, bytes - ETHERNET_HEADER_BYTES);
    this.frameAt = at;
    if (length <= VNET_HEADER_BYTES) return Math.min(length, 0);
    const ipAt = from + VNET_HEADER_BYTES;
    const isV4 = PACKET_BYTES[ipAt]! >>> 4 === 4;
    if (length < VNET_HEADER_BYTES + (isV4 ? 20 : 40)) return 0;
    const to = isV4
      ? this.#guests.macOf(PACKET_BYTES, ipAt + 16, 4)
      : this.#guests.macOf(PACKET_BYTES, ipAt + 24, 16);
    if (to === undefined) {
      this.#onUnknown(isV4 ? readIpv4(PACKET_BYTES, ipAt + 16) : undefined);
      return 0;
    }
    PACKET_BYTES.copyWithin(at, from, ipAt);
    moveOffsets(at, ETHERNET_HEADER_BYTES);
    const ethernet = at + VNET_HEADER_BYTES;
    writeMac(PACKET_BYTES, ethernet, to);
    writeMac(PACKET_BYTES, ethernet + 6, this.#mac);
    PACKET_VIEW.setUint16(ethernet + 12, isV4 ? ETHER_TYPE.IPV4 : ETHER_TYPE.IPV6);
    return length + ETHERNET_HEADER_BYTES;
  }

  /** Gives a guest's packet to the kernel: 0, or the errno. */
  send(packet: PacketView): number {
    const { ipAt, ipEnd, isMerged, payloadBytes, vectorAt, vectors } = packet;
    let headerAt = plainHeaderAt;
    let payloads = 0;
    let end = ipEnd;
    if (isMerged) {
      // The header before the Ethernet one, which counts from there.
      headerAt = mergedHeaderAt;
      const from = packet.frameAt - VNET_HEADER_BYTES;
      PACKET_BYTES.copyWithin(headerAt, from, from + VNET_HEADER_BYTES);
      moveOffsets(headerAt, -ETHERNET_HEADER_BYTES);
      end = ipEnd - payloadBytes;
      payloads = vectors;
      const to = vectorsAt + HEAD_VECTORS * VECTOR_BYTES;
      PACKET_BYTES.copyWithin(to, vectorAt, vectorAt + vectors * VECTOR_BYTES);
    }
    setVector(0, headerAt, VNET_HEADER_BYTES);
    setVector(1, ipAt, end - ipAt);
    return Math.min(0, this.#tun.writev(ONE_PACKET.of(HEAD_VECTORS + payloads), 0, 1));
  }

  /** Frames do not go this way. */
  write(): number {
    return -DEVICE_ERROR.EIO;
  }

  writev(): number {
    return -DEVICE_ERROR.EIO;
  }

  takeDropped(): number {
    return 0;
  }

  close(): void {
    this.#tun.close();
  }
}

/** The vectors above as a list of one. */
const ONE_PACKET = {
  vectors: 0,
  of(vectors: number) {
    this.vectors = vectors;
    return this;
  },
  at: () => vectorsAt,
  count(): number {
    return this.vectors;
  },
};

/** Headers are counted from the beginning of the packet, which moves. */
function moveOffsets(header: number, by: number): void {
  if (PACKET_BYTES[header + VNET.TYPE] !== 0) moveOffset(header + VNET.HEADER_BYTES, by);
  if ((PACKET_BYTES[header + VNET.FLAGS]! & NEEDS_SUM) !== 0)
    moveOffset(header + VNET.SUM_FROM, by);
}

function moveOffset(field: number, by: number): void {
  PACKET_VIEW.setUint16(field, PACKET_VIEW.getUint16(field, true) + by, true);
}

function setVector(index: number, at: number, bytes: number): void {
  const field = vectorsAt + index * VECTOR_BYTES;
  const address = PACKET_BASE + at;
  PACKET_VIEW.setUint32(field, address >>> 0, true);
  PACKET_VIEW.setUint32(field + 4, Math.floor(address / 2 ** 32), true);
  PACKET_VIEW.setUint32(field + 8, bytes, true);
}
