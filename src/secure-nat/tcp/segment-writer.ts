// Segments to the inside host. The headers of a connection are kept ready; a segment is the headers, what changes in
// them, and the payload behind, in one staging area. Cutting into segments and checksums are the offload module's.
import { type MacAddress, writeMac } from "../../base/mac.ts";
import type { HostLink } from "../../ip-host/link.ts";
import { outbox } from "../../ip-host/outbox.ts";
import { IPV6_HEADER_BYTES } from "../../ip-host/packet-view.ts";
import { rangeSum, VNET_HEADER_BYTES } from "../../platform/offload.ts";
import { PACKET_BYTES, PACKET_VIEW, reserve } from "../../platform/packet-memory.ts";
import { ETHER_TYPE, ETHERNET_HEADER_BYTES } from "../../wire/ethernet.ts";
import { IP_PROTOCOL, IPV4_HEADER_BYTES } from "../../wire/ipv4.ts";
import { MAX_TCP_OPTION_BYTES, TCP_FIELD, TCP_HEADER_BYTES, TCP_OPTION } from "../../wire/tcp.ts";
import type { TcpEndpoints } from "./endpoints.ts";

/** What one super-frame carries at most: with headers and options its IP packet stays under 64 KiB. */
export const MAX_SUPER_BYTES = 65_535 - IPV6_HEADER_BYTES - TCP_HEADER_BYTES - MAX_TCP_OPTION_BYTES;
const TTL = 128;
const DONT_FRAGMENT = 0x4000;

/* struct virtio_net_hdr, little-endian (virtio 1.2, 5.1.6). */
const VNET = { FLAGS: 0, GSO_TYPE: 1, HEADER_BYTES: 2, GSO_SIZE: 4, START: 6, OFFSET: 8 } as const;
const NEEDS_CHECKSUM = 1;
const GSO = { NONE: 0, TCPV4: 1, TCPV6: 4 } as const;

const MAX_HEADER_BYTES =
  ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES + TCP_HEADER_BYTES + MAX_TCP_OPTION_BYTES;
// One area for all connections: a segment is cut into the outbox before the next is made.
const stageAt = reserve(VNET_HEADER_BYTES + MAX_HEADER_BYTES + MAX_SUPER_BYTES);

// Where the headers of a connection are put together: a copy of bytes alone takes half the memory of one with a view.
const template = new Uint8Array(ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES + TCP_HEADER_BYTES);
const templateView = new DataView(template.buffer);

const TIMESTAMPS_WORD = 0x0101_080a;
const SACK_PREFIX = (TCP_OPTION.NOP << 24) | (TCP_OPTION.NOP << 16) | (TCP_OPTION.SACK << 8);
const NO_OPTIONS = new Uint8Array(0);

/** What a segment says, but for its payload. One object is filled again and again. */
export class Outgoing {
  sequence = 0;
  acknowledgment = 0;
  flags = 0;
  /** As it stands in the field. */
  window = 0;
  hasTimestamps = false;
  timestampValue = 0;
  timestampEcho = 0;
  /** SACK blocks, as sequence numbers. */
  blocks = 0;
  readonly edges = new Uint32Array(8);
  /** Of a SYN, a multiple of 4 bytes; empty otherwise. */
  options: Uint8Array = NO_OPTIONS;

  clear(): void {
    this.sequence = 0;
    this.acknowledgment = 0;
    this.window = 0;
    this.hasTimestamps = false;
    this.blocks = 0;
    this.options = NO_OPTIONS;
  }
}

export class SegmentWriter {
  readonly #link: HostLink;
  readonly #isV6: boolean;
  readonly #ipBytes: number;
  /** Ethernet, IP and TCP headers. */
  readonly #template: Uint8Array;
  /** Sum of addresses and protocol, for checksums: the length comes on top. */
  #pseudoSum = 0;
  /** Counts segments: what is joined again behind the tunnel must count up (RFC 6864 lets it). */
  #identification = 0;

  constructor(link: HostLink, ends: TcpEndpoints, to: MacAddress) {
    this.#link = link;
    this.#isV6 = ends.inner.family === 6;
    this.#ipBytes = this.#isV6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES;
    const bytes = template;
    const view = templateView;
    bytes.fill(0);
    writeMac(bytes, 0, to);
    writeMac(bytes, 6, link.mac);
    view.setUint16(12, this.#isV6 ? ETHER_TYPE.IPV6 : ETHER_TYPE.IPV4);
    const ip = ETHERNET_HEADER_BYTES;
    if (this.#isV6) {
      view.setUint32(ip, 0x6000_0000);
      bytes[ip + 6] = IP_PROTOCOL.TCP;
      bytes[ip + 7] = TTL;
    } else {
      view.setUint16(ip, 0x4500);
      view.setUint16(ip + 6, DONT_FRAGMENT);
      bytes[ip + 8] = TTL;
      bytes[ip + 9] = IP_PROTOCOL.TCP;
    }
    const addresses = ip + (this.#isV6 ? 8 : 12);
    bytes.set(ends.outer.bytes, addresses);
    bytes.set(ends.inner.bytes, addresses + ends.outer.bytes.length);
    for (let at = addresses; at < ip + this.#ipBytes; at += 2) {
      this.#pseudoSum += view.getUint16(at);
    }
    this.#pseudoSum += IP_PROTOCOL.TCP;
    const tcp = ip + this.#ipBytes;
    view.setUint16(tcp + TCP_FIELD.SOURCE, ends.outerPort);
    view.setUint16(tcp + TCP_FIELD.DESTINATION, ends.innerPort);
    this.#template = bytes.slice(0, tcp + TCP_HEADER_BYTES);
  }

  /** Bytes that fit a segment without options. */
  get maxSegmentBytes(): number {
    return this.#link.mtu - this.#ipBytes - TCP_HEADER_BYTES;
  }

  /** The inside host is where its last frame came from: the six octets at `at` of packet memory. */
  follow(at: number): void {
    const template = this.#template;
    for (let n = 0; n < 6; n += 1) template[n] = PACKET_BYTES[at + n]!;
  }

  /** Stages the headers; gives the offset in packet memory where the payload belongs. */
  begin(segment: Outgoing): number {
    const frameAt = stageAt + VNET_HEADER_BYTES;
    PACKET_BYTES.set(this.#template, frameAt);
    const tcp = frameAt + ETHERNET_HEADER_BYTES + this.#ipBytes;
    PACKET_VIEW.setUint32(tcp + TCP_FIELD.SEQUENCE, segment.sequence);
    PACKET_VIEW.setUint32(tcp + TCP_FIELD.ACKNOWLEDGMENT, segment.acknowledgment);
    PACKET_BYTES[tcp + TCP_FIELD.FLAGS] = segment.flags;
    PACKET_VIEW.setUint16(tcp + TCP_FIELD.WINDOW, segment.window);
    const end = writeOptions(segment, tcp + TCP_FIELD.OPTIONS);
    PACKET_BYTES[tcp + TCP_FIELD.DATA_OFFSET] = ((end - tcp) >>> 2) << 4;
    return end;
  }

  /**
   * Sends what was staged, in segments of `segmentBytes` at most. Gives how many; 0 if the outbox has no room.
   * @param payloadAt what `begin` gave
   */
  end(payloadAt: number, payloadBytes: number, segmentBytes: number): number {
    const frameAt = stageAt + VNET_HEADER_BYTES;
    const ip = frameAt + ETHERNET_HEADER_BYTES;
    const tcp = ip + this.#ipBytes;
    const end = payloadAt + payloadBytes;
    const isSuper = payloadBytes > segmentBytes;
    if (this.#isV6) PACKET_VIEW.setUint16(ip + 4, end - tcp);
    else {
      PACKET_VIEW.setUint16(ip + 2, end - ip);
      PACKET_VIEW.setUint16(ip + 4, this.#identification);
      PACKET_VIEW.setUint16(ip + 10, ~rangeSum(ip, IPV4_HEADER_BYTES) & 0xffff);
    }
    PACKET_VIEW.setUint16(tcp + TCP_FIELD.CHECKSUM, fold(this.#pseudoSum + end - tcp));
    PACKET_BYTES[stageAt + VNET.FLAGS] = NEEDS_CHECKSUM;
    PACKET_BYTES[stageAt + VNET.GSO_TYPE] = !isSuper
      ? GSO.NONE
      : this.#isV6
        ? GSO.TCPV6
        : GSO.TCPV4;
    PACKET_VIEW.setUint16(stageAt + VNET.HEADER_BYTES, payloadAt - frameAt, true);
    PACKET_VIEW.setUint16(stageAt + VNET.GSO_SIZE, isSuper ? segmentBytes : 0, true);
    PACKET_VIEW.setUint16(stageAt + VNET.START, tcp - frameAt, true);
    PACKET_VIEW.setUint16(stageAt + VNET.OFFSET, TCP_FIELD.CHECKSUM, true);
    const sent = outbox.sendSuper(this.#link, stageAt, end - stageAt);
    this.#identification = (this.#identification + sent) & 0xffff;
    return sent;
  }
}

/** Gives the offset behind them. */
function writeOptions(segment: Outgoing, at: number): number {
  let next = at;
  if (segment.options.length > 0) {
    PACKET_BYTES.set(segment.options, next);
    next += segment.options.length;
  }
  if (segment.hasTimestamps) {
    PACKET_VIEW.setUint32(next, TIMESTAMPS_WORD);
    PACKET_VIEW.setUint32(next + 4, segment.timestampValue);
    PACKET_VIEW.setUint32(next + 8, segment.timestampEcho);
    next += 12;
  }
  if (segment.blocks > 0) {
    PACKET_VIEW.setUint32(next, SACK_PREFIX | (2 + 8 * segment.blocks));
    next += 4;
    for (let n = 0; n < 2 * segment.blocks; n += 1, next += 4) {
      PACKET_VIEW.setUint32(next, segment.edges[n]!);
    }
  }
  return next;
}

function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}
