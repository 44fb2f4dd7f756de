// Packets for the tests of software hosts, and a cable that keeps what they send.
import { tryParseAddress } from "../../src/base/ip.ts";
import type { MacAddress } from "../../src/base/mac.ts";
import { writeMac } from "../../src/base/mac.ts";
import type { FrameRun } from "../../src/hub/port.ts";
import type { HostLink } from "../../src/ip-host/link.ts";
import { outbox } from "../../src/ip-host/outbox.ts";
import { PacketView } from "../../src/ip-host/packet-view.ts";
import { PACKET_BYTES, reserve } from "../../src/platform/packet-memory.ts";
import { finishChecksum, internetChecksum, sumWords } from "../../src/wire/checksum.ts";
import { IP_PROTOCOL } from "../../src/wire/ipv4.ts";
import { ICMPV6 } from "../../src/wire/router-advertisement.ts";

export const HOST_MAC = 0x5e00_0000_0001 as MacAddress;
export const GUEST_MAC = 0x0200_0000_0002 as MacAddress;

export function bytesOf(address: string): Uint8Array {
  return tryParseAddress(address)!.bytes;
}

export interface PacketParts {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly payload: Uint8Array;
  readonly ttl?: number;
  readonly id?: number;
  /** Of a fragment, in bytes. */
  readonly offset?: number;
  readonly more?: boolean;
  readonly dontFragment?: boolean;
  /** Of the Ethernet frame. */
  readonly toMac?: MacAddress;
  /** IPv6: a fragment header even if the packet is whole. */
  readonly atomic?: boolean;
}

/** An Ethernet frame with an IP packet of the version of its addresses. */
export function ipFrame(parts: PacketParts): Uint8Array {
  const isV4 = !parts.source.includes(":");
  const packet = isV4 ? ipv4Packet(parts) : ipv6Packet(parts);
  const frame = new Uint8Array(14 + packet.length);
  writeMac(frame, 0, parts.toMac ?? HOST_MAC);
  writeMac(frame, 6, GUEST_MAC);
  new DataView(frame.buffer).setUint16(12, isV4 ? 0x0800 : 0x86dd);
  frame.set(packet, 14);
  return frame;
}

function ipv4Packet(parts: PacketParts): Uint8Array {
  const { source, destination, protocol, payload, ttl = 64, id = 0, offset = 0 } = parts;
  const packet = new Uint8Array(20 + payload.length);
  const view = new DataView(packet.buffer);
  packet[0] = 0x45;
  view.setUint16(2, packet.length);
  view.setUint16(4, id);
  const flags = (parts.dontFragment ? 0x4000 : 0) | (parts.more ? 0x2000 : 0);
  view.setUint16(6, flags | (offset >>> 3));
  packet[8] = ttl;
  packet[9] = protocol;
  packet.set(bytesOf(source), 12);
  packet.set(bytesOf(destination), 16);
  view.setUint16(10, internetChecksum(packet, 0, 20));
  packet.set(payload, 20);
  return packet;
}

function ipv6Packet(parts: PacketParts): Uint8Array {
  const { source, destination, protocol, payload, ttl = 64, id = 0, offset = 0 } = parts;
  const isFragment = parts.atomic === true || offset > 0 || parts.more === true;
  const extra = isFragment ? 8 : 0;
  const packet = new Uint8Array(40 + extra + payload.length);
  const view = new DataView(packet.buffer);
  packet[0] = 0x60;
  view.setUint16(4, extra + payload.length);
  packet[6] = isFragment ? 44 : protocol;
  packet[7] = ttl;
  packet.set(bytesOf(source), 8);
  packet.set(bytesOf(destination), 24);
  if (isFragment) {
    packet[40] = protocol;
    view.setUint16(42, offset | (parts.more ? 1 : 0));
    view.setUint32(44, id);
  }
  packet.set(payload, 40 + extra);
  return packet;
}

type Addresses = Pick<PacketParts, "source" | "destination">;

function pseudoSum({ source, destination }: Addresses, protocol: number, bytes: number): number {
  const [from, to] = [bytesOf(source), bytesOf(destination)];
  return sumWords(from, 0, from.length, sumWords(to, 0, to.length, protocol + bytes));
}

export function udpPayload(
  addresses: Addresses,
  sourcePort: number,
  destinationPort: number,
  bytes: Uint8Array,
  options: { readonly sum?: number; readonly length?: number } = {},
): Uint8Array {
  const datagram = new Uint8Array(8 + bytes.length);
  const view = new DataView(datagram.buffer);
  view.setUint16(0, sourcePort);
  view.setUint16(2, destinationPort);
  view.setUint16(4, options.length ?? datagram.length);
  datagram.set(bytes, 8);
  const pseudo = pseudoSum(addresses, IP_PROTOCOL.UDP, datagram.length);
  view.setUint16(
    6,
    options.sum ?? (finishChecksum(sumWords(datagram, 0, datagram.length, pseudo)) || 0xffff),
  );
  return datagram;
}

export function echoPayload(
  addresses: Addresses,
  id: number,
  sequence: number,
  bytes: Uint8Array,
  type?: number,
): Uint8Array {
  const isV6 = addresses.source.includes(":");
  const message = new Uint8Array(8 + bytes.length);
  const view = new DataView(message.buffer);
  message[0] = type ?? (isV6 ? 128 : 8);
  view.setUint16(4, id);
  view.setUint16(6, sequence);
  message.set(bytes, 8);
  const pseudo = isV6 ? pseudoSum(addresses, ICMPV6, message.length) : 0;
  view.setUint16(2, finishChecksum(sumWords(message, 0, message.length, pseudo)));
  return message;
}

const area = reserve(70_000);

/** A view of a frame that was put into packet memory; the next call overwrites it. */
export function aimed(frame: Uint8Array, view = new PacketView()): PacketView {
  PACKET_BYTES.set(frame, area);
  const fault = view.aim(area, area + frame.length);
  if (fault !== undefined) throw new Error(`The packet is refused: ${fault}`);
  return view;
}

/** A cable whose far end keeps frames. */
export class KeptFrames {
  readonly frames: Uint8Array[] = [];
  readonly link: HostLink;

  constructor(mtu = 1500) {
    const sink = {
      ready: true,
      onReady: undefined,
      flush: () => undefined,
      deliver: (run: FrameRun) => this.#keep(run),
    };
    this.link = { mac: HOST_MAC, mtu, sink };
  }

  /** What has been sent since the last call. */
  take(): Uint8Array[] {
    outbox.drain();
    return this.frames.splice(0);
  }

  /** As above, behind Ethernet headers. */
  takePackets(): Uint8Array[] {
    return this.take().map((frame) => frame.subarray(14));
  }

  #keep({ bytes, view, start, end }: FrameRun): void {
    for (let at = start; at < end;) {
      const size = view.getUint32(at);
      this.frames.push(bytes.slice(at + 4, at + 4 + size));
      at += 4 + size;
    }
  }
}

/** An IPv6 packet of this link with an ICMPv6 message, whose checksum is put in. */
export function icmpv6Packet(
  addresses: Addresses & { readonly ttl?: number; readonly toMac?: MacAddress },
  message: Uint8Array,
): Uint8Array {
  return icmpv6Frame(addresses, message).slice(14);
}

/** As above, with an Ethernet header. */
export function icmpv6Frame(
  addresses: Addresses & { readonly ttl?: number; readonly toMac?: MacAddress },
  message: Uint8Array,
): Uint8Array {
  const payload = message.slice();
  payload.fill(0, 2, 4);
  const pseudo = pseudoSum(addresses, ICMPV6, payload.length);
  const sum = finishChecksum(sumWords(payload, 0, payload.length, pseudo));
  new DataView(payload.buffer).setUint16(2, sum);
  return ipFrame({ ttl: 255, ...addresses, protocol: ICMPV6, payload });
}
