import { type MacAddress, tryParseMac, writeMac } from "../../../src/base/mac.ts";
import { tryParseAddress } from "../../../src/base/ip.ts";

// Frames of every kind that a capture filter tells apart, each unlike all others.

const STATIONS = ["5e:00:53:00:00:01", "5e:00:53:00:00:02", "00:00:5e:00:53:af"];
const BROADCAST = "ff:ff:ff:ff:ff:ff";
const IPV4 = [
  "10.1.2.3",
  "10.1.3.4",
  "192.168.7.1",
  "172.16.0.9",
  "224.0.0.251",
  "255.255.255.255",
];
const IPV6 = ["fd00::1", "fd00:0:0:1::2", "2001:db8::5", "ff02::1", "fe80::1"];
const PORTS = [22, 53, 80, 443, 5060, 5075, 40_000];

const macOf = (text: string) => tryParseMac(text)!;
const bytesOf = (text: string) => tryParseAddress(text)!.bytes;
const u16 = (value: number) => [value >>> 8, value & 255];

let serial = 0;

/** `tags` are types and ids of VLAN tags, the outer one first. */
export function ether(
  to: string,
  from: string,
  type: number,
  payload: readonly number[],
  tags: readonly (readonly [number, number])[] = [],
): Uint8Array {
  serial += 1;
  const head = tags.flatMap(([kind, id]) => [...u16(kind), ...u16(id)]);
  const body = [...head, ...u16(type), ...payload, ...u16(serial)];
  const bytes = new Uint8Array(12 + body.length);
  writeMac(bytes, 0, macOf(to) as MacAddress);
  writeMac(bytes, 6, macOf(from) as MacAddress);
  bytes.set(body, 12);
  return bytes;
}

function ipv4(src: string, dst: string, protocol: number, body: number[], fragment = 0, words = 5) {
  const options = Array<number>(4 * (words - 5)).fill(1);
  const length = u16(4 * words + body.length);
  const head = [0x40 | words, 0, ...length, 0, 0, ...u16(fragment), 64, protocol, 0, 0];
  return [...head, ...bytesOf(src), ...bytesOf(dst), ...options, ...body];
}

function ipv6(src: string, dst: string, next: number, body: number[]) {
  return [0x60, 0, 0, 0, ...u16(body.length), next, 64, ...bytesOf(src), ...bytesOf(dst), ...body];
}

function ported(src: number, dst: number, size = 16) {
  return [...u16(src), ...u16(dst), ...Array<number>(size).fill(0x50)];
}

function arp(sender: string, target: string, operation = 1) {
  const station = [0x5e, 0, 0x53, 0, 0, 1];
  const head = [0, 1, 8, 0, 6, 4, 0, operation, ...station];
  return [...head, ...bytesOf(sender), 0, 0, 0, 0, 0, 0, ...bytesOf(target)];
}

/** Some hundreds of frames: IPv4 and IPv6 of all protocols, fragments, options, ARP, RARP, tags, LLC, cut ones. */
export function mixedFrames(): Uint8Array[] {
  serial = 0;
  const frames: Uint8Array[] = [];
  const [a, b, c] = STATIONS as [string, string, string];
  const plain = [[]] as (readonly (readonly [number, number])[])[];
  const tagged = [
    [[0x8100, 10]],
    [[0x8100, 0x6014]],
    [
      [0x88a8, 100],
      [0x8100, 10],
    ],
    [[0x9100, 7]],
  ];
  const tags = [...plain, ...tagged] as (readonly (readonly [number, number])[])[];
  for (const [n, src] of IPV4.slice(0, 4).entries()) {
    for (const [m, dst] of IPV4.entries()) {
      const to = m >= 4 ? (m === 5 ? BROADCAST : "01:00:5e:00:00:fb") : [a, b, c][m % 3]!;
      for (const protocol of [6, 17, 132]) {
        const body = ported(PORTS[(n + m) % 7]!, PORTS[(n * m + protocol) % 7]!);
        frames.push(ether(to, [b, c][n % 2]!, 0x0800, ipv4(src, dst, protocol, body)));
      }
      for (const protocol of [1, 2, 50, 51, 58, 103, 112]) {
        frames.push(ether(to, a, 0x0800, ipv4(src, dst, protocol, [8, 0, 0, 0])));
      }
    }
  }
  for (const src of IPV6) {
    for (const [m, dst] of IPV6.entries()) {
      const to = dst.startsWith("ff") ? "33:33:00:00:00:01" : [a, b, c][m % 3]!;
      for (const next of [6, 17, 132]) {
        const body = ported(PORTS[m % 7]!, PORTS[(m + next) % 7]!);
        frames.push(ether(to, b, 0x86dd, ipv6(src, dst, next, body)));
      }
      frames.push(ether(to, b, 0x86dd, ipv6(src, dst, 58, [128, 0, 0, 0])));
      // Behind a fragment header, and behind hop-by-hop options.
      frames.push(
        ether(to, c, 0x86dd, ipv6(src, dst, 44, [6, 0, 0, 1, 0, 0, 0, 9, ...ported(80, 22)])),
      );
      frames.push(ether(to, c, 0x86dd, ipv6(src, dst, 0, [58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0])));
    }
  }
  for (const stack of tags) {
    const dns = ipv4("10.1.2.3", "192.168.7.1", 17, ported(40_000, 53));
    frames.push(ether(a, b, 0x0800, dns, stack));
    frames.push(ether(a, b, 0x0800, ipv4("10.1.2.3", "10.9.9.9", 6, ported(80, 443), 0, 8), stack));
    frames.push(
      ether(a, b, 0x0800, ipv4("10.1.2.3", "10.9.9.9", 6, ported(80, 443), 0x2000), stack),
    );
    frames.push(ether(a, b, 0x0800, ipv4("10.1.2.3", "10.9.9.9", 6, ported(80, 443), 185), stack));
    frames.push(ether(BROADCAST, a, 0x0806, arp("10.1.2.3", "10.1.3.4"), stack));
    frames.push(ether(a, b, 0x86dd, ipv6("fd00::1", "2001:db8::5", 6, ported(443, 40_000)), stack));
  }
  for (const sender of IPV4.slice(0, 4)) {
    for (const target of IPV4.slice(0, 4)) {
      frames.push(ether(BROADCAST, a, 0x0806, arp(sender, target)));
      frames.push(ether(a, b, 0x0806, arp(sender, target, 2)));
      frames.push(ether(BROADCAST, c, 0x8035, arp(sender, target, 3)));
    }
  }
  frames.push(ether(a, b, 0x0800, ipv4("10.1.2.3", "10.1.3.4", 6, ported(80, 80))));
  frames.push(ether("01:80:c2:00:00:00", a, 38, [0x42, 0x42, 3, ...Array<number>(35).fill(0)]));
  frames.push(ether("01:80:c2:00:00:0e", a, 0x88cc, Array<number>(40).fill(2)));
  for (const size of [60, 100, 576, 1000, 1400, 1514]) {
    const body = ported(5060, 5075, size - 14 - 20 - 4 - 2);
    frames.push(ether(a, b, 0x0800, ipv4("10.1.2.3", "10.1.3.4", 17, body)));
  }
  // Cut anywhere: what a filter cannot read it does not let pass.
  const whole = ether(a, b, 0x0800, ipv4("10.1.2.3", "10.1.3.4", 6, ported(80, 443)));
  for (let size = 14; size < whole.length; size += 1) frames.push(whole.slice(0, size));
  const whole6 = ether(a, b, 0x86dd, ipv6("fd00::1", "2001:db8::5", 17, ported(53, 40_000)));
  for (let size = 14; size < whole6.length; size += 1) frames.push(whole6.slice(0, size));
  return frames;
}
