import { describe, expect, test } from "bun:test";
import type { Ipv4 } from "../../src/base/ip.ts";
import type { MacAddress } from "../../src/base/mac.ts";
import { tryReadLease } from "../../src/client/dhcp-lease.ts";
import { encodeArp, tryParseArp } from "../../src/wire/arp.ts";
import { internetChecksum } from "../../src/wire/checksum.ts";
import { encodeRoutes, tryParseRoutes } from "../../src/wire/dhcp-option.ts";
import { encodeDhcp, tryParseDhcp, type DhcpMessage } from "../../src/wire/dhcp.ts";
import { encodeEthernet, tryParseEthernet } from "../../src/wire/ethernet.ts";
import { encodeIpv4Packet, tryParseIpv4Packet } from "../../src/wire/ipv4.ts";
import { Pack } from "../../src/wire/pack.ts";
import { encodeUdp, tryParseUdp } from "../../src/wire/udp.ts";
import stream from "../vectors/data_stream.json" with { type: "json" };
import login from "../vectors/login_password_welcome.json" with { type: "json" };
import packs from "../vectors/pack.json" with { type: "json" };
import { usualOptions } from "../support/dhcp-server.ts";
import { fromHex, toHex } from "../support/hex.ts";
import { fuzz, type FuzzOptions } from "./fuzz.ts";

const SERVER = 0xc0a81e01 as Ipv4;
const FLOW = { src: SERVER, dst: 0xc0a81e0a as Ipv4 };
const FRAMES = stream.s2c_units
  .filter(({ kind }) => kind === "blocks")
  .flatMap(({ payload }) => payload)
  .map((hex) => fromHex(hex));
const PACKETS = FRAMES.map((frame) => frame.subarray(14));
const MESSAGE: DhcpMessage = {
  op: "reply",
  type: 5,
  xid: 0x12345678,
  secs: 0,
  wantsBroadcast: false,
  ciaddr: 0 as Ipv4,
  yiaddr: 0xc0a81e0a as Ipv4,
  siaddr: SERVER,
  giaddr: 0 as Ipv4,
  chaddr: 0x5eaabbccdd01 as MacAddress,
  options: new Map([
    ...usualOptions(SERVER),
    [15, fromHex("6c616e")],
    [54, fromHex("c0a81e01")],
    [121, fromHex("00 c0a81e01 18 0a0000 c0a81e02")],
  ]),
};

/** What a parser took must encode to what parses to the same value. */
function roundTrip<T extends object>(
  parse: (bytes: Uint8Array) => T | undefined,
  encode: (value: T) => Uint8Array,
): (bytes: Uint8Array) => boolean {
  return (bytes) => {
    const value = parse(bytes);
    if (value === undefined) return false;
    const again = parse(encode(value));
    if (!Bun.deepEquals(again, value, true)) throw new Error(`read again as ${Bun.inspect(again)}`);
    return true;
  };
}

function packTarget(bytes: Uint8Array): boolean {
  const pack = Pack.parse(bytes, { maxElements: 1024 });
  const encoded = pack.encode();
  const length = bytes.length - pack.trailingBytes;
  if (Buffer.compare(encoded, bytes.subarray(0, length)) !== 0) {
    throw new Error(`encoded as ${toHex(encoded)}`);
  }
  for (const name of pack.names) {
    const index = pack.valueCount(name) - 1;
    pack.str(name, index);
    pack.unistr(name, index);
    pack.address(name, index);
    if (index < 0 || pack.int(name, index + 1) !== undefined) throw new Error(`count of ${name}`);
  }
  return true;
}

function dhcpTarget(bytes: Uint8Array): boolean {
  const message = tryParseDhcp(bytes);
  if (message !== undefined) tryReadLease(message);
  return roundTrip(tryParseDhcp, encodeDhcp)(bytes);
}

function repairIpv4(bytes: Uint8Array): void {
  if (bytes.length < 20) return;
  const header = Math.min((bytes[0]! & 15) * 4, bytes.length);
  bytes.fill(0, 10, 12);
  new DataView(bytes.buffer, bytes.byteOffset).setUint16(10, internetChecksum(bytes, 0, header));
}

const TARGETS: readonly FuzzOptions[] = [
  {
    name: "pack",
    seeds: [...packs.map(({ hex }) => fromHex(hex)), fromHex(login.reply.body_hex)],
    target: packTarget,
  },
  {
    name: "ethernet",
    seeds: [
      ...FRAMES,
      fromHex("ffffffffffff 5e7af355d332 88a8 b001 8100 0002 86dd 6000"),
      fromHex("0180c2000000 5e7af355d332 0005 4242030000 eeee"),
      fromHex("0180c2000000 5e7af355d332 0008 aaaa03 000000 88a2"),
    ],
    target: roundTrip(tryParseEthernet, encodeEthernet),
  },
  { name: "arp", seeds: PACKETS, target: roundTrip(tryParseArp, encodeArp) },
  {
    name: "ipv4",
    seeds: [
      ...PACKETS,
      encodeIpv4Packet({
        ...FLOW,
        protocol: 1,
        payload: fromHex("0800f7ff"),
        options: fromHex("94040000"),
      }),
      encodeIpv4Packet({
        ...FLOW,
        protocol: 17,
        payload: new Uint8Array(64),
        fragmentOffset: 1480,
        moreFragments: true,
      }),
    ],
    target: roundTrip(tryParseIpv4Packet, encodeIpv4Packet),
    repair: repairIpv4,
  },
  {
    name: "udp",
    seeds: [encodeUdp({ srcPort: 67, dstPort: 68, payload: fromHex("0102030405") }, FLOW)],
    target: roundTrip(
      (bytes) => tryParseUdp(bytes, FLOW),
      (datagram) => encodeUdp(datagram, FLOW),
    ),
    repair: (bytes) => void (bytes.length >= 8 && bytes.fill(0, 6, 8)),
  },
  {
    name: "dhcp",
    seeds: [
      encodeDhcp(MESSAGE),
      encodeDhcp({ ...MESSAGE, op: "request", type: 1, options: new Map() }),
    ],
    target: dhcpTarget,
  },
  {
    name: "dhcp-routes",
    seeds: [fromHex("00 c0a81e01 18 0a0000 c0a81e02 11 0a1b80 0a1b8001 20 c0a80005 00000000")],
    target: roundTrip(tryParseRoutes, encodeRoutes),
  },
];

/** The driver ends by itself after FUZZ_SECONDS; the runner must not be quicker. */
const TIMEOUT_MS = (Number(process.env["FUZZ_SECONDS"] ?? 0) + 60) * 1000;

describe("fuzz", () => {
  test("fuzz() finds a fault behind one byte and tells its input", () => {
    const faulty = {
      name: "none",
      seeds: [fromHex("00010203")],
      target: (bytes: Uint8Array) => {
        if (bytes[2] === 0xff) throw new RangeError("index out of range");
        return bytes[0] === 0;
      },
    };
    expect(() => fuzz(faulty)).toThrow(/^Cannot take [0-9a-f]{4}ff/);
  });

  for (const options of TARGETS) {
    test(
      `wire/${options.name} returns or refuses, and what parses encodes to what parses`,
      () => {
        const { rounds, accepted } = fuzz(options);
        // Mutation that nothing survives, or that changes nothing, would test nothing.
        expect(accepted).toBeGreaterThan(rounds / 200);
        expect(accepted).toBeLessThan(rounds);
      },
      TIMEOUT_MS,
    );
  }
});
