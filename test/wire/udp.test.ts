import { describe, expect, test } from "bun:test";
import type { Ipv4 } from "../../src/base/ip.ts";
import { encodeUdp, tryParseUdp } from "../../src/wire/udp.ts";
import { fromHex, toHex } from "../support/hex.ts";

/** The beacon that the recorded server sends (data_stream.json), with its odd byte of padding cut off. */
const FLOW = { src: 0xc0a81e01 as Ipv4, dst: 0xc0a81eff as Ipv4 };
const BEACON = fromHex(
  "0007 0007 002e 8e3b 5365637572654e4154205669727475616c205443502f495020537461636b20426561636f6e00",
);

describe("tryParseUdp()", () => {
  test("reads a recorded datagram and drops what lies behind its length", () => {
    const longer = new Uint8Array(BEACON.length + 3);
    longer.set(BEACON);
    const datagram = tryParseUdp(longer, FLOW)!;
    expect([datagram.srcPort, datagram.dstPort]).toEqual([7, 7]);
    expect(new TextDecoder().decode(datagram.payload)).toBe(
      "SecureNAT Virtual TCP/IP Stack Beacon\0",
    );
  });

  test("IP-15 refuses length 7, a length past the packet, and port 0", () => {
    const flawed = (changes: Readonly<Record<number, number>>) => {
      // Without a checksum, so that nothing but the change is wrong.
      const bytes = BEACON.slice();
      for (const [at, value] of Object.entries({ 6: 0, 7: 0, ...changes }))
        bytes[Number(at)] = value;
      return tryParseUdp(bytes, FLOW);
    };
    expect(flawed({})).toBeDefined();
    expect(flawed({ 5: 8 })?.payload).toHaveLength(0);
    for (const changes of [{ 5: 7 }, { 5: 0 }, { 5: 0x2f }, { 4: 255 }, { 1: 0 }, { 3: 0 }]) {
      expect(flawed(changes)).toBeUndefined();
    }
    for (let end = 0; end < 8; end++) {
      expect(tryParseUdp(BEACON.subarray(0, end), FLOW)).toBeUndefined();
    }
  });

  test("IP-06 refuses a wrong checksum and takes 0 for none", () => {
    const bytes = BEACON.slice();
    bytes[20]! ^= 1;
    expect(tryParseUdp(bytes, FLOW)).toBeUndefined();
    bytes.fill(0, 6, 8);
    expect(tryParseUdp(bytes, FLOW)).toBeDefined();
    expect(tryParseUdp(BEACON, { ...FLOW, dst: 0xc0a81efe as Ipv4 })).toBeUndefined();
  });
});

describe("encodeUdp()", () => {
  test("gives the recorded bytes back", () => {
    expect(toHex(encodeUdp(tryParseUdp(BEACON, FLOW)!, FLOW))).toBe(toHex(BEACON));
  });
  test("writes a sum of 0 as 0xffff", () => {
    const flow = { src: 0 as Ipv4, dst: 0 as Ipv4 };
    // 0x11 + twice the length 10 + ports 1 and 2 + payload = 0xffff.
    const payload = fromHex("ffd7");
    const bytes = encodeUdp({ srcPort: 1, dstPort: 2, payload }, flow);
    expect(toHex(bytes.subarray(6, 8))).toBe("ffff");
    expect(tryParseUdp(bytes, flow)?.payload).toEqual(payload);
  });
  test("refuses a payload that the length field cannot say", () => {
    const datagram = { srcPort: 1, dstPort: 2, payload: new Uint8Array(65_528) };
    expect(() => encodeUdp(datagram, FLOW)).toThrow(RangeError);
  });
});
