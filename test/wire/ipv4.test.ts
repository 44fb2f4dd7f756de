import { describe, expect, test } from "bun:test";
import type { Ipv4 } from "../../src/base/ip.ts";
import { internetChecksum } from "../../src/wire/checksum.ts";
import { encodeIpv4Packet, tryParseIpv4Packet, type Ipv4Draft } from "../../src/wire/ipv4.ts";
import { fromHex, toHex } from "../support/hex.ts";

const DRAFT: Ipv4Draft = {
  src: 0xc0a81e01 as Ipv4,
  dst: 0xffffffff as Ipv4,
  protocol: 17,
  payload: fromHex("0102030405"),
};

/** The packet with bytes changed and its header checksum made right again. */
function changed(packet: Uint8Array, changes: Readonly<Record<number, number>>): Uint8Array {
  const bytes = packet.slice();
  for (const [at, value] of Object.entries(changes)) bytes[Number(at)] = value;
  const view = new DataView(bytes.buffer);
  view.setUint16(10, 0);
  const header = Math.min((bytes[0]! & 15) * 4, bytes.length);
  view.setUint16(10, internetChecksum(bytes, 0, header));
  return bytes;
}

describe("tryParseIpv4Packet()", () => {
  const packet = encodeIpv4Packet(DRAFT);

  test("reads a recorded header and drops the padding behind the total length", () => {
    const bytes = fromHex(
      "4500 001d 00bb 0000 80 11 5b69 c0a81e01 ffffffff 0102030405060708 09 eeeeee",
    );
    expect(tryParseIpv4Packet(changed(bytes, {}))).toEqual({
      src: 0xc0a81e01 as Ipv4,
      dst: 0xffffffff as Ipv4,
      protocol: 17,
      ttl: 128,
      tos: 0,
      identification: 0xbb,
      dontFragment: false,
      moreFragments: false,
      fragmentOffset: 0,
      options: new Uint8Array(),
      payload: fromHex("010203040506070809"),
    });
  });

  test("IP-04 refuses a packet cut at each byte", () => {
    for (let end = 0; end < packet.length; end++) {
      expect(tryParseIpv4Packet(packet, 0, end)).toBeUndefined();
    }
    expect(tryParseIpv4Packet(packet)).toBeDefined();
  });

  for (const [what, changes] of [
    ["version 5", { 0: 0x55 }],
    ["version 6", { 0: 0x65 }],
    ["header length 4", { 0: 0x44 }],
    ["a header longer than the packet", { 0: 0x4f }],
    ["a total length under the header", { 3: 19 }],
    ["a total length over the frame", { 3: 26 }],
    ["a total length of 65,535", { 2: 255, 3: 255 }],
  ] as const) {
    test(`IP-04 refuses ${what}`, () => {
      expect(tryParseIpv4Packet(changed(packet, changes))).toBeUndefined();
    });
  }

  test("IP-06 refuses a wrong header checksum, whichever bit is wrong", () => {
    for (let bit = 0; bit < 160; bit++) {
      const bytes = packet.slice();
      bytes[bit >>> 3]! ^= 1 << (bit & 7);
      expect(tryParseIpv4Packet(bytes)).toBeUndefined();
    }
  });

  const withOptions = (options: string) =>
    tryParseIpv4Packet(encodeIpv4Packet({ ...DRAFT, options: fromHex(options) }));
  test("IP-05 takes 40 bytes of options and record route", () => {
    expect(withOptions("01".repeat(40))?.options).toHaveLength(40);
    expect(withOptions("07 07 04 00000000 00")?.payload).toEqual(DRAFT.payload);
    expect(withOptions("94 04 0000")).toBeDefined();
  });
  test("IP-05 refuses source routes, also behind other options", () => {
    expect(withOptions("83 07 04 0a000001 00")).toBeUndefined();
    expect(withOptions("89 07 04 0a000001 00")).toBeUndefined();
    expect(withOptions("01 94040000 83 03 04")).toBeUndefined();
    expect(withOptions("00 83 03 04")).toBeDefined();
  });
  test("IP-05 refuses option lengths 0, 1 and past the header", () => {
    for (const options of ["44 00 0000", "44 01 0000", "44 05 0000", "010101 44"]) {
      expect(withOptions(options)).toBeUndefined();
    }
  });

  test("IP-07 reads fragments and refuses one that ends past 65,535 bytes", () => {
    const fragment = (fragmentOffset: number, payload: Uint8Array) =>
      tryParseIpv4Packet(
        encodeIpv4Packet({ ...DRAFT, payload, fragmentOffset, moreFragments: true }),
      );
    expect(fragment(8, new Uint8Array(8))).toMatchObject({
      fragmentOffset: 8,
      moreFragments: true,
    });
    expect(fragment(65_504, new Uint8Array(11))).toBeDefined();
    expect(fragment(65_504, new Uint8Array(12))).toBeUndefined();
    expect(fragment(65_528, new Uint8Array(8))).toBeUndefined();
  });
});

describe("encodeIpv4Packet()", () => {
  test("keeps every field", () => {
    const full = {
      ...DRAFT,
      ttl: 1,
      tos: 0xb8,
      identification: 0xfffe,
      dontFragment: true,
      moreFragments: true,
      fragmentOffset: 1480,
      options: fromHex("94040000"),
    };
    expect(tryParseIpv4Packet(encodeIpv4Packet(full))).toEqual(full);
  });
  test("fills options up to a multiple of four and takes the usual for what is not given", () => {
    const bytes = encodeIpv4Packet({ ...DRAFT, options: fromHex("01") });
    expect(toHex(bytes.subarray(0, 10))).toBe("4600001d000000004011");
    expect(toHex(bytes.subarray(20, 24))).toBe("01000000");
  });
  test("refuses what the length fields cannot say", () => {
    expect(() => encodeIpv4Packet({ ...DRAFT, payload: new Uint8Array(65_516) })).toThrow(
      RangeError,
    );
    expect(() => encodeIpv4Packet({ ...DRAFT, options: new Uint8Array(41) })).toThrow(RangeError);
    expect(encodeIpv4Packet({ ...DRAFT, payload: new Uint8Array(65_515) })).toHaveLength(65_535);
  });
});
