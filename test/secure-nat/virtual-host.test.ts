import { describe, expect, test } from "bun:test";
import { formatAddress, tryParseIpv4 } from "../../src/base/ip.ts";
import type { MacAddress } from "../../src/base/mac.ts";
import { MAC_BROADCAST, readMac } from "../../src/base/mac.ts";
import { noHostDrops } from "../../src/ip-host/host-drops.ts";
import { IcmpErrors } from "../../src/ip-host/icmp-error.ts";
import { SoftwarePort } from "../../src/ip-host/software-port.ts";
import { Reassembly } from "../../src/ip-host/reassembly.ts";
import { type HostServices, VirtualHost } from "../../src/secure-nat/virtual-host.ts";
import { type ArpPacket, encodeArp, tryParseArp } from "../../src/wire/arp.ts";
import { internetChecksum } from "../../src/wire/checksum.ts";
import { tryParseEthernet } from "../../src/wire/ethernet.ts";
import { tryParseIpv4Packet } from "../../src/wire/ipv4.ts";
import { tryParseUdp } from "../../src/wire/udp.ts";
import {
  bytesOf,
  echoPayload,
  GUEST_MAC,
  HOST_MAC,
  ipFrame,
  KeptFrames,
  type PacketParts,
  udpPayload,
} from "../ip-host/packets.ts";
import { runOf } from "../support/array-port.ts";
import { ManualClock } from "../support/manual-clock.ts";

const HOST = "192.168.30.1";
const GUEST = "192.168.30.10";
const HOST_V6 = "fd11::1";
const GUEST_V6 = "fd11::10";
const ALL_NODES_MAC = 0x3333_0000_0001 as MacAddress;
const v4 = (text: string) => tryParseIpv4(text)!;

interface Options {
  readonly isPlain?: boolean;
  readonly hasNat?: boolean;
  readonly withoutNat?: HostServices["withoutNat"];
  readonly mtu?: number;
}

function open(options: Options = {}) {
  const { isPlain = false, hasNat = true, mtu = 1500, withoutNat = "no_route" } = options;
  const clock = new ManualClock();
  const cable = new KeptFrames(mtu);
  const drops = noHostDrops();
  const seen: string[] = [];
  const warnings: string[] = [];
  const nat = {
    receive: () => void seen.push("nat"),
    handled: () => undefined,
    reconfigure: () => undefined,
    entries: [],
    counts: { tcp: 0, udp: 0, icmp: 0 },
    remove: () => false,
    close: () => undefined,
  };
  const services: HostServices = {
    dhcp: {
      receive: (bytes, from) =>
        void seen.push(`dhcp ${bytes.length} ${from.mac} ${from.sourcePort}`),
    },
    dns: { ask: (question, from, answer) => answer(Uint8Array.of(...question, from.port & 255)) },
    ipv6: {
      receiveIcmp(packet) {
        if (packet.ttl !== 255) return false;
        seen.push("nd");
        return true;
      },
      receiveDhcp: () => void seen.push("dhcp6"),
    },
    nat: hasNat ? nat : undefined,
    withoutNat,
    dnsStreams: { ...nat, receive: () => void seen.push("dns stream") },
  };
  const host = new VirtualHost({
    clock,
    log: {
      debug: () => undefined,
      info: () => undefined,
      warn: (event) => void warnings.push(event),
      error: () => undefined,
    },
    hub: "H",
    link: cable.link,
    addresses: {
      v4: v4(HOST),
      prefix: 24,
      v6: { linkLocal: bytesOf("fe80::1"), global: bytesOf(HOST_V6) },
    },
    drops,
    icmp: new IcmpErrors(clock),
    reassembly: new Reassembly({ clock, drops }),
    services,
    reset: () => void seen.push("reset"),
    isPlain,
    handled: () => undefined,
  });
  const port = new SoftwarePort("nat", host, { drops });
  const give = (...frames: Uint8Array[]) => {
    port.deliver(runOf(frames));
    port.flush();
    return cable.take();
  };
  return { clock, cable, drops, seen, warnings, host, give };
}

function datagram(
  parts: Partial<PacketParts> & { readonly ports?: [number, number] } = {},
): Uint8Array {
  const ends = { source: GUEST, destination: HOST, ...parts };
  const [from, to] = parts.ports ?? [1000, 2000];
  const payload = udpPayload(ends, from, to, Uint8Array.of(7));
  return ipFrame({ ...ends, protocol: 17, payload });
}

function arpFrame(packet: Partial<ArpPacket>, to: MacAddress = MAC_BROADCAST): Uint8Array {
  const arp = encodeArp({
    operation: 1,
    senderMac: GUEST_MAC,
    senderIp: v4(GUEST),
    targetMac: 0 as MacAddress,
    targetIp: v4(HOST),
    ...packet,
  });
  const frame = new Uint8Array(14 + arp.length);
  frame.set(
    ipFrame({ source: GUEST, destination: HOST, protocol: 0, payload: arp, toMac: to }).subarray(
      0,
      12,
    ),
  );
  frame.set([0x08, 0x06], 12);
  frame.set(arp, 14);
  return frame;
}

function arpOf(frame: Uint8Array): ArpPacket {
  return tryParseArp(tryParseEthernet(frame)!.payload)!;
}

function ipv4Of(frame: Uint8Array) {
  return tryParseIpv4Packet(tryParseEthernet(frame)!.payload)!;
}

describe("VirtualHost", () => {
  test("answers ARP for its own address and for no other", () => {
    const { give, drops } = open();
    const answers = give(arpFrame({}), arpFrame({ targetIp: v4("192.168.30.2") }));
    expect(answers).toHaveLength(1);
    expect(arpOf(answers[0]!)).toEqual({
      operation: 2,
      senderMac: HOST_MAC,
      senderIp: v4(HOST),
      targetMac: GUEST_MAC,
      targetIp: v4(GUEST),
    });
    expect(drops.arp_spoof).toBe(0);
  });

  test("IP-01: drops ARP that is cut or not for IPv4 on Ethernet", () => {
    const { give, drops } = open();
    const whole = arpFrame({});
    for (let length = 14; length < whole.length; length += 1) {
      expect(give(whole.subarray(0, length))).toEqual([]);
    }
    const odd = whole.slice();
    odd[14 + 4] = 255;
    const hardware = whole.slice();
    hardware.set([0, 0], 14);
    expect(give(odd, hardware)).toEqual([]);
    expect(drops.header).toBe(30);
  });

  test("IP-02: does not believe who claims its address, warns of it and tells others the truth", () => {
    const { give, drops, warnings, clock } = open();
    const claim = arpFrame({ operation: 2, senderIp: v4(HOST) }, HOST_MAC);
    const answers = give(claim);
    expect(drops.arp_spoof).toBe(1);
    expect(warnings).toEqual(["nat_address_conflict"]);
    expect(arpOf(answers[0]!)).toMatchObject({ senderMac: HOST_MAC, senderIp: v4(HOST) });
    expect(give(claim)).toEqual([]);
    clock.advance(10_000);
    expect(give(claim)).toHaveLength(1);
    expect(drops.arp_spoof).toBe(3);
  });

  test("finds out whether somebody has an address", () => {
    const { give, host, clock, cable } = open();
    const found: unknown[] = [];
    host.probe(v4("192.168.30.20"), 200, (owner) => void found.push(owner));
    const [question] = cable.take();
    expect(arpOf(question!)).toMatchObject({
      operation: 1,
      senderIp: 0,
      targetIp: v4("192.168.30.20"),
    });
    give(arpFrame({ operation: 2, senderIp: v4("192.168.30.20") }, HOST_MAC));
    expect(found).toEqual([GUEST_MAC]);
    host.probe(v4("192.168.30.21"), 200, (owner) => void found.push(owner));
    clock.advance(200);
    expect(found).toEqual([GUEST_MAC, undefined]);
    expect(clock.pending).toBe(0);
  });

  test("one waits for an address at a time, the last who asked", () => {
    const { give, host, cable } = open();
    const found: unknown[] = [];
    const address = v4("192.168.30.20");
    for (let n = 1; n <= 3; n += 1) host.probe(address, 200, (owner) => void found.push(n, owner));
    expect(cable.take()).toHaveLength(1);
    expect(found).toEqual([1, undefined, 2, undefined]);
    give(arpFrame({ operation: 2, senderIp: address }, HOST_MAC));
    expect(found.slice(4)).toEqual([3, GUEST_MAC]);
  });

  for (const [name, source, destination, version] of [
    ["v4", GUEST, HOST, 4],
    ["v6", GUEST_V6, HOST_V6, 6],
  ] as const) {
    test(`answers ping to itself (${name})`, () => {
      const { give } = open();
      const ends = { source, destination };
      const payload = echoPayload(ends, 7, 9, Uint8Array.of(1, 2, 3));
      const [answer] = give(ipFrame({ ...ends, protocol: version === 4 ? 1 : 58, payload }));
      const back = { source: destination, destination: source };
      const type = version === 4 ? 0 : 129;
      expect(answer!.subarray(version === 4 ? 34 : 54)).toEqual(
        echoPayload(back, 7, 9, Uint8Array.of(1, 2, 3), type),
      );
      if (version === 4) expect(ipv4Of(answer!).ttl).toBe(128);
    });
  }

  test("answers who asks all nodes of IPv6, from the address of his scope, 32 times a second at most", () => {
    const { give, drops, clock } = open();
    const ask = (source: string, change = 0) => {
      const ends = { source, destination: "ff02::1" };
      const payload = echoPayload(ends, 7, 9, Uint8Array.of(1));
      payload[8]! += change;
      return ipFrame({ ...ends, toMac: ALL_NODES_MAC, protocol: 58, payload });
    };
    for (const [source, own] of [
      ["fe80::10", "fe80::1"],
      [GUEST_V6, HOST_V6],
    ] as const) {
      const [answer, ...more] = give(ask(source));
      const back = { source: own, destination: source };
      expect(more).toEqual([]);
      expect(readMac(answer!, 0)).toBe(GUEST_MAC);
      expect([22, 38].map((at) => answer!.subarray(at, at + 16).toHex())).toEqual([
        bytesOf(own).toHex(),
        bytesOf(source).toHex(),
      ]);
      expect(answer!.subarray(54)).toEqual(echoPayload(back, 7, 9, Uint8Array.of(1), 129));
    }
    expect([give(ask(GUEST_V6, 1)), drops.checksum]).toEqual([[], 1]);
    clock.advance(1_000);
    expect(give(...Array.from({ length: 40 }, () => ask(GUEST_V6)))).toHaveLength(32);
    expect(drops.limit).toBe(8);
    clock.advance(1_000);
    expect(give(ask(GUEST_V6))).toHaveLength(1);
  });

  test("IP-16: answers a ping that comes in fragments in fragments", () => {
    const { give } = open();
    const ends = { source: GUEST, destination: HOST };
    const echo = echoPayload(ends, 1, 1, new Uint8Array(4000).fill(9));
    const parts = [0, 1480, 2960].map((offset) =>
      ipFrame({
        ...ends,
        protocol: 1,
        id: 5,
        offset,
        more: offset + 1480 < echo.length,
        payload: echo.subarray(offset, offset + 1480),
      }),
    );
    const answers = give(parts[2]!, parts[0]!, parts[1]!).map(ipv4Of);
    expect(answers.map(({ fragmentOffset }) => fragmentOffset)).toEqual([0, 1480, 2960]);
    const whole = Uint8Array.from(answers.flatMap(({ payload }) => [...payload]));
    expect(internetChecksum(whole, 0, whole.length)).toBe(0);
    expect(whole).toHaveLength(echo.length);
  });

  test("gives DHCP what is sent to port 67, to itself or to all", () => {
    const { give, seen, drops } = open();
    give(
      datagram({
        source: "0.0.0.0",
        destination: "255.255.255.255",
        ports: [68, 67],
        toMac: MAC_BROADCAST,
      }),
      datagram({ ports: [68, 67] }),
      datagram({ destination: "192.168.30.255", ports: [137, 137], toMac: MAC_BROADCAST }),
    );
    expect(seen).toEqual([`dhcp 1 ${GUEST_MAC} 68`, `dhcp 1 ${GUEST_MAC} 68`]);
    expect(drops.not_served).toBe(1);
  });

  test("counts what it hears of groups, and ICMP to itself, that is not its affair", () => {
    const { give, seen, drops } = open();
    const toGroup = { source: GUEST_V6, destination: "ff02::1" };
    const toRouters = { source: GUEST_V6, destination: "ff02::2" };
    const ofNobody = { source: "::", destination: "ff02::1" };
    const reply = { source: GUEST, destination: HOST };
    const replyV6 = { source: GUEST_V6, destination: HOST_V6 };
    const none = new Uint8Array();
    const answers = give(
      datagram({ ...toGroup, ports: [5353, 5353] }),
      ipFrame({ ...toGroup, protocol: 58, payload: echoPayload(toGroup, 1, 1, none, 129) }),
      ipFrame({ ...toRouters, protocol: 58, payload: echoPayload(toRouters, 1, 1, none) }),
      ipFrame({ ...ofNobody, protocol: 58, payload: echoPayload(ofNobody, 1, 1, none) }),
      ipFrame({ ...reply, protocol: 1, payload: echoPayload(reply, 1, 1, none, 0) }),
      ipFrame({ ...replyV6, protocol: 58, payload: echoPayload(replyV6, 1, 1, none, 129) }),
    );
    expect([drops.not_served, seen, answers]).toEqual([6, [], []]);
    give(datagram({ ...toGroup, ports: [546, 547] }));
    expect([drops.not_served, seen]).toEqual([6, ["dhcp6"]]);
  });

  test("announces itself to all", () => {
    const { host, cable } = open();
    host.announce();
    const [frame] = cable.take();
    expect(tryParseEthernet(frame!)!.dst).toBe(MAC_BROADCAST);
    expect(arpOf(frame!)).toMatchObject({
      operation: 1,
      senderMac: HOST_MAC,
      senderIp: v4(HOST),
      targetIp: v4(HOST),
    });
  });

  test("carries questions to port 53 and their answers, and streams to it", () => {
    const { give, seen } = open();
    const [answer] = give(datagram({ ports: [4711, 53] }));
    const ip = ipv4Of(answer!);
    const udp = tryParseUdp(ip.payload, ip)!;
    expect(udp).toMatchObject({ srcPort: 53, dstPort: 4711 });
    expect([...udp.payload]).toEqual([7, 4711 & 255]);
    const segment = new Uint8Array(20);
    segment.set([0x12, 0x34, 0, 53]);
    segment[12] = 0x50;
    const ends = { source: GUEST, destination: HOST };
    give(ipFrame({ ...ends, protocol: 6, payload: segment }));
    segment.set([0, 80], 2);
    give(ipFrame({ ...ends, protocol: 6, payload: segment }));
    expect(seen).toEqual(["dns stream", "reset"]);
  });

  test("says that nobody is at other ports, unless nat-errors is switched off", () => {
    const [answer] = open().give(datagram());
    expect([...ipv4Of(answer!).payload.subarray(0, 2)]).toEqual([3, 3]);
    const plain = open({ isPlain: true });
    expect(plain.give(datagram())).toEqual([]);
    expect(plain.drops.not_served).toBe(1);
  });

  test("sends out what is for nobody in its network", () => {
    const { give, seen, drops } = open();
    give(
      datagram({ destination: "198.51.100.1" }),
      datagram({ source: GUEST_V6, destination: "2001:db8::1" }),
      datagram({ destination: "192.168.30.99" }),
      datagram({ source: GUEST_V6, destination: "fd11::99" }),
      datagram({ source: "fe80::5", destination: "2001:db8::1" }),
      datagram({ destination: "198.51.100.1", toMac: MAC_BROADCAST }),
      datagram({ destination: "239.1.1.1", toMac: 0x0100_5e01_0101 as MacAddress }),
      datagram({ source: "0.0.0.0", destination: "198.51.100.1" }),
      datagram({ source: "::", destination: "2001:db8::1" }),
    );
    expect(seen).toEqual(["nat", "nat"]);
    expect(drops.not_served).toBe(7);
  });

  test("IP-08: says time exceeded for a TTL of 1, in its own name", () => {
    const { give, seen } = open();
    const [answer] = give(datagram({ destination: "198.51.100.1", ttl: 1 }));
    const ip = ipv4Of(answer!);
    expect([...ip.payload.subarray(0, 2)]).toEqual([11, 0]);
    expect(formatAddress(bytesOf(HOST))).toBe(HOST);
    expect(ip.src).toBe(v4(HOST));
    expect(seen).toEqual([]);
  });

  test("says that there is no way out where NAT is off", () => {
    const { give } = open({ hasNat: false });
    const [answer] = give(datagram({ destination: "198.51.100.1" }));
    expect([...ipv4Of(answer!).payload.subarray(0, 2)]).toEqual([3, 0]);
  });

  test("refuses TCP and ignores the rest where NAT by sockets is forbidden", () => {
    const { give, seen, drops } = open({ hasNat: false, withoutNat: "reset" });
    const away = { source: GUEST, destination: "198.51.100.1" };
    const segment = ipFrame({ ...away, protocol: 6, payload: new Uint8Array(20) });
    expect(give(datagram(away), segment)).toEqual([]);
    expect(seen).toEqual(["reset"]);
    expect(drops.not_served).toBe(2);
  });

  test("IP-09: drops packets with its own addresses as source, or the broadcast address", () => {
    const { give, drops } = open();
    give(
      datagram({ source: HOST, destination: "198.51.100.1" }),
      datagram({ source: "192.168.30.255", destination: "198.51.100.1" }),
      datagram({ source: HOST_V6, destination: "2001:db8::1" }),
      datagram({ source: "fe80::1", destination: "2001:db8::1" }),
    );
    expect(drops.martian).toBe(4);
  });
});
