import { describe, expect, test } from "bun:test";
import { ICMP_ERRORS } from "../../src/base/limits.ts";
import type { MacAddress } from "../../src/base/mac.ts";
import { IcmpErrors, type IcmpOrigin } from "../../src/ip-host/icmp-error.ts";
import { PACKET_BYTES } from "../../src/platform/packet-memory.ts";
import { internetChecksum } from "../../src/wire/checksum.ts";
import type { IcmpFault } from "../../src/wire/icmp.ts";
import { tryParseIpv4Packet } from "../../src/wire/ipv4.ts";
import { ManualClock } from "../support/manual-clock.ts";
import {
  aimed,
  bytesOf,
  echoPayload,
  GUEST_MAC,
  HOST_MAC,
  ipFrame,
  KeptFrames,
  udpPayload,
} from "./packets.ts";

const V4 = { source: "192.168.30.10", destination: "203.0.113.9" };
const V6 = { source: "fd00::10", destination: "2001:db8::9" };
const DATA = new Uint8Array(2000).fill(7);

function world(mtu = 1500) {
  const clock = new ManualClock();
  const cable = new KeptFrames(mtu);
  const errors = new IcmpErrors(clock);
  const v4: IcmpOrigin = {
    link: cable.link,
    address: { family: 4, bytes: bytesOf("192.168.30.1") },
  };
  const v6: IcmpOrigin = { link: cable.link, address: { family: 6, bytes: bytesOf("fd00::1") } };
  return { clock, cable, errors, v4, v6 };
}

function udpFrame(addresses: typeof V4, bytes: number, more: object = {}): Uint8Array {
  const payload = udpPayload(addresses, 5000, 53, DATA.subarray(0, bytes));
  return ipFrame({ ...addresses, protocol: 17, payload, ...more });
}

describe("IcmpErrors.about()", () => {
  test.each<[IcmpFault, number, number, number, number]>([
    ["no_route", 3, 0, 1, 0],
    ["host_unreachable", 3, 1, 1, 3],
    ["protocol_unreachable", 3, 2, 4, 1],
    ["port_unreachable", 3, 3, 1, 4],
    ["too_big", 3, 4, 2, 0],
    ["prohibited", 3, 13, 1, 1],
    ["time_exceeded", 11, 0, 3, 0],
    ["reassembly_time_exceeded", 11, 1, 3, 1],
  ])("%s has type and code of RFC 792 and RFC 4443", (fault, type4, code4, type6, code6) => {
    const { cable, errors, v4, v6 } = world();
    expect(errors.about(aimed(udpFrame(V4, 20)), fault, v4, 1400)).toBe(true);
    expect(errors.about(aimed(udpFrame(V6, 20)), fault, v6, 1400)).toBe(true);
    const [first, second] = cable.takePackets();
    const packet = tryParseIpv4Packet(first!)!;
    expect([...packet.payload.subarray(0, 2)]).toEqual([type4, code4]);
    expect(internetChecksum(packet.payload, 0, packet.payload.length)).toBe(0);
    expect(packet.payload.subarray(8)).toEqual(udpFrame(V4, 20).subarray(14));
    expect([...second!.subarray(40, 42)]).toEqual([type6, code6]);
    const word = new DataView(second!.buffer, second!.byteOffset).getUint32(44);
    expect(word).toBe(fault === "protocol_unreachable" ? 6 : 1400);
    expect(
      aimed(Uint8Array.from([...new Uint8Array(12), 0x86, 0xdd, ...second!])).hasRightSum,
    ).toBe(true);
  });

  test("goes to the station and address that sent the packet", () => {
    const { cable, errors, v4 } = world();
    errors.about(aimed(udpFrame(V4, 20)), "no_route", v4);
    const [frame] = cable.take();
    const mac = (at: number) => Buffer.from(frame!).readUIntBE(at, 6);
    expect([mac(0), mac(6)]).toEqual([GUEST_MAC, HOST_MAC]);
    expect(frame!.slice(26, 30)).toEqual(Uint8Array.from(bytesOf("192.168.30.1")));
    expect(frame!.slice(30, 34)).toEqual(Uint8Array.from(bytesOf("192.168.30.10")));
  });

  test.each([
    [1500, 576, 1280],
    [300, 300, 300],
  ])("quotes what fits with an MTU of %d", (mtu, most4, most6) => {
    const { cable, errors, v4, v6 } = world(mtu);
    errors.about(aimed(udpFrame(V4, 1400)), "no_route", v4);
    errors.about(aimed(udpFrame(V6, 1400)), "no_route", v6);
    expect(cable.takePackets().map(({ length }) => length)).toEqual([most4, most6]);
  });

  test("quotes the headers only of segments that were joined", () => {
    const { cable, errors, v4 } = world();
    const view = aimed(udpFrame(V4, 100));
    view.isMerged = true;
    view.payloadBytes = 100;
    errors.about(view, "no_route", v4);
    expect(cable.takePackets()[0]!.length).toBe(20 + 8 + 28);
  });

  const echoReply = echoPayload(V4, 1, 1, DATA.subarray(0, 8), 0);
  const about = (type: number) => echoPayload(V4, 1, 1, DATA.subarray(0, 8), type);
  test.each<[string, Uint8Array, boolean]>([
    ["a fragment other than the first", udpFrame(V4, 100, { offset: 800 }), false],
    ["the first fragment", udpFrame(V4, 100, { more: true }), true],
    ["an unreachable", ipFrame({ ...V4, protocol: 1, payload: about(3) }), false],
    ["a redirect", ipFrame({ ...V4, protocol: 1, payload: about(5) }), false],
    ["a time exceeded", ipFrame({ ...V4, protocol: 1, payload: about(11) }), false],
    [
      "an ICMP message of no bytes",
      ipFrame({ ...V4, protocol: 1, payload: new Uint8Array() }),
      false,
    ],
    ["an echo reply", ipFrame({ ...V4, protocol: 1, payload: echoReply }), true],
    ["a broadcast frame", udpFrame(V4, 20, { toMac: 0xffff_ffff_ffff as MacAddress }), false],
    ["a broadcast address", udpFrame({ ...V4, destination: "255.255.255.255" }, 20), false],
    ["a group", udpFrame({ ...V4, destination: "224.0.0.251" }, 20), false],
    ["no source", udpFrame({ ...V4, source: "0.0.0.0" }, 20), false],
  ])("IPv4: about %s", (_, frame, isTold) => {
    const { cable, errors, v4 } = world();
    expect(errors.about(aimed(frame), "time_exceeded", v4)).toBe(isTold);
    expect(cable.take().length).toBe(isTold ? 1 : 0);
    expect(errors.stats.withheld).toBe(isTold ? 0 : 1);
  });

  const message = (type: number) => echoPayload(V6, 1, 1, DATA.subarray(0, 8), type);
  test.each<[string, Uint8Array, IcmpFault, boolean]>([
    ["a fragment other than the first", udpFrame(V6, 104, { offset: 800 }), "no_route", false],
    ["a packet too big", ipFrame({ ...V6, protocol: 58, payload: message(2) }), "no_route", false],
    [
      "an unknown error",
      ipFrame({ ...V6, protocol: 58, payload: message(100) }),
      "no_route",
      false,
    ],
    ["a redirect", ipFrame({ ...V6, protocol: 58, payload: message(137) }), "no_route", false],
    ["an echo", ipFrame({ ...V6, protocol: 58, payload: message(128) }), "no_route", true],
    ["a group", udpFrame({ ...V6, destination: "ff0e::1" }, 20), "time_exceeded", false],
    ["the path MTU to a group", udpFrame({ ...V6, destination: "ff0e::1" }, 20), "too_big", true],
    ["no source", udpFrame({ ...V6, source: "::" }, 20), "no_route", false],
  ])("IPv6: about %s", (_, frame, fault, isTold) => {
    const { cable, errors, v6 } = world();
    expect(errors.about(aimed(frame), fault, v6)).toBe(isTold);
    expect(cable.take().length).toBe(isTold ? 1 : 0);
  });

  test("IP-08 TTL 1 gets time exceeded at a bounded rate", () => {
    const { clock, cable, errors, v4 } = world();
    const say = () => errors.about(aimed(udpFrame(V4, 20, { ttl: 1 })), "time_exceeded", v4);
    for (let n = 0; n < 1000; n += 1) say();
    expect(cable.take().length).toBe(ICMP_ERRORS.burst);
    expect(errors.stats.limited).toBe(1000 - ICMP_ERRORS.burst);
    clock.advance(50);
    for (let n = 0; n < 1000; n += 1) say();
    expect(cable.take().length).toBe(ICMP_ERRORS.perSecond / 20);
    clock.advance(60_000);
    for (let n = 0; n < 1000; n += 1) say();
    expect(cable.take().length).toBe(ICMP_ERRORS.burst);
  });
});

describe("IcmpErrors.aboutQuote()", () => {
  test("tells of a packet that is no longer there", () => {
    const { cable, errors, v4 } = world();
    const { ipAt } = aimed(udpFrame(V4, 20));
    const toMac = GUEST_MAC;
    const quote = { version: 4, at: ipAt, bytes: 28, toMac } as const;
    errors.aboutQuote(quote, "port_unreachable", v4);
    const [packet] = cable.takePackets();
    expect(packet!.slice(28)).toEqual(PACKET_BYTES.slice(ipAt, ipAt + 28));
  });
});
