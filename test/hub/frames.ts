// Frames by hand for the tests of the switch: only what it looks at is filled in.
import { type MacAddress, writeMac } from "../../src/base/mac.ts";
import { finishChecksum, internetChecksum, sumWords } from "../../src/wire/checksum.ts";

export const BROADCAST = 0xffff_ffff_ffff as MacAddress;

/** A locally administered address: 02:00:00:00:xx:xx. */
export function mac(n: number): MacAddress {
  return (0x0200_0000_0000 + n) as MacAddress;
}

export interface FrameParts {
  readonly to: number;
  readonly from: number;
  readonly type?: number;
  /** VLAN ids of tags, the outer one first. */
  readonly tags?: readonly number[];
  readonly payload?: Uint8Array | readonly number[];
  /** Length of the whole frame, cut or filled with zeros. */
  readonly size?: number;
}

export function frame(parts: FrameParts): Uint8Array {
  const tags = (parts.tags ?? []).flatMap((id) => [0x81, 0x00, id >> 8, id & 0xff]);
  const type = parts.type ?? 0x88b5;
  const body = [...tags, type >> 8, type & 0xff, ...(parts.payload ?? [])];
  const bytes = new Uint8Array(Math.max(12 + body.length, 14));
  writeMac(bytes, 0, parts.to as MacAddress);
  writeMac(bytes, 6, parts.from as MacAddress);
  bytes.set(body, 12);
  if (parts.size === undefined) return bytes;
  const sized = new Uint8Array(parts.size);
  sized.set(bytes.subarray(0, parts.size));
  return sized;
}

type Addressing = Omit<FrameParts, "type" | "payload">;

export function ipv4(
  parts: Addressing & { ip: number; target?: number; protocol?: number; body?: Uint8Array },
): Uint8Array {
  const body = parts.body ?? new Uint8Array(8);
  const payload = new Uint8Array(20 + body.length);
  const view = new DataView(payload.buffer);
  view.setUint8(0, 0x45);
  view.setUint16(2, payload.length);
  view.setUint8(8, 64);
  view.setUint8(9, parts.protocol ?? 1);
  view.setUint32(12, parts.ip);
  view.setUint32(16, parts.target ?? 0xc0a80001);
  view.setUint16(10, internetChecksum(payload, 0, 20));
  payload.set(body, 20);
  return frame({ ...parts, type: 0x0800, payload });
}

/** A request for `target`, without one for nobody. */
export function arp(parts: Addressing & { ip: number; target?: number }): Uint8Array {
  const payload = new Uint8Array(28);
  const view = new DataView(payload.buffer);
  payload.set([0, 1, 8, 0, 6, 4, 0, 1]);
  writeMac(payload, 8, parts.from as MacAddress);
  view.setUint32(14, parts.ip);
  view.setUint32(24, parts.target ?? 0);
  return frame({ ...parts, type: 0x0806, payload });
}

/** `ip` are the eight groups of the address. */
export function ipv6(
  parts: Addressing & { ip: readonly number[]; next?: number; body?: Uint8Array },
): Uint8Array {
  const body = parts.body ?? new Uint8Array(8);
  const payload = new Uint8Array(40 + body.length);
  const view = new DataView(payload.buffer);
  view.setUint8(0, 0x60);
  view.setUint16(4, body.length);
  view.setUint8(6, parts.next ?? 59);
  parts.ip.forEach((group, i) => view.setUint16(8 + i * 2, group));
  payload.set(body, 40);
  return frame({ ...parts, type: 0x86dd, payload });
}

export function udp(from: number, to: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, from);
  view.setUint16(2, to);
  view.setUint16(4, bytes.length);
  bytes.set(data, 8);
  return bytes;
}

/** The fixed part of a DHCP message with its magic cookie. */
export function bootp(): Uint8Array {
  const bytes = new Uint8Array(240);
  bytes.set([1, 1, 6, 0]);
  bytes.set([0x63, 0x82, 0x53, 0x63], 236);
  return bytes;
}

/** 192.168.0.n */
export function lan(n: number): number {
  return 0xc0a80000 + n;
}

/** A TCP header with some payload; its checksum is wrong, but there. */
export function tcp(flags: number, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(20 + payload.length);
  bytes.set([0, 80, 0x9c, 0x40]);
  bytes.set([0x50, flags, 1, 0, 0x12, 0x34], 12);
  bytes.set(payload, 20);
  return bytes;
}

/** A DHCPv4 message to a server or from one. */
export function dhcp(parts: Addressing, from: "client" | "server"): Uint8Array {
  const message = bootp();
  if (from === "server") message[0] = 2;
  const body = from === "client" ? udp(68, 67, message) : udp(67, 68, message);
  return ipv4({ ...parts, ip: from === "client" ? 0 : lan(1), protocol: 17, body });
}

/** fe80::n */
export function linkLocal(n: number): number[] {
  return [0xfe80, 0, 0, 0, 0, 0, 0, n];
}

/** A DHCPv6 message to a server or from one. */
export function dhcpv6(parts: Addressing, from: "client" | "server"): Uint8Array {
  const message = new Uint8Array(4);
  const body = from === "client" ? udp(546, 547, message) : udp(547, 546, message);
  return ipv6({ ...parts, ip: linkLocal(1), next: 17, body });
}

/** An ICMPv6 message of this type without options (RFC 4861 section 4). */
export function icmpv6(parts: Addressing, type: number): Uint8Array {
  const body = new Uint8Array(type === 134 ? 16 : type >= 135 ? 24 : 8);
  body[0] = type;
  return ipv6({ ...parts, ip: linkLocal(1), next: 58, body });
}

export interface Advertisement {
  /** Seconds that the sender is a default router. */
  readonly lifetime?: number;
  /** Of the message, where it is to look like one only. */
  readonly type?: number;
  /** An empty options header in front (RFC 8200 section 4.6). */
  readonly hasOptions?: boolean;
}

/** A router advertisement with a prefix option and a checksum that is right. */
export function routerAdvertisement(
  parts: Addressing,
  { lifetime = 1800, type = 134, hasOptions = false }: Advertisement = {},
): Uint8Array {
  const message = new Uint8Array(16 + 32);
  message.set([type, 0, 0, 0, 64, 0, lifetime >> 8, lifetime & 0xff]);
  message.set([3, 4, 64, 0xc0], 16);
  const options = hasOptions ? [58, 0, 1, 4, 0, 0, 0, 0] : [];
  const bytes = ipv6({
    ...parts,
    ip: linkLocal(1),
    next: hasOptions ? 60 : 58,
    body: Uint8Array.from([...options, ...message]),
  });
  const ip = 14 + (parts.tags?.length ?? 0) * 4;
  const at = ip + 40 + options.length;
  const pseudo = sumWords(bytes, ip + 8, ip + 40, 58 + message.length);
  const sum = finishChecksum(sumWords(bytes, at, bytes.length, pseudo));
  bytes.set([sum >> 8, sum & 0xff], at + 2);
  return bytes;
}
