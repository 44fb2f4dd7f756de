import { describe, expect, test } from "bun:test";
import type { Ipv4 } from "../../src/base/ip.ts";
import type { MacAddress } from "../../src/base/mac.ts";
import { encodeArp, tryParseArp } from "../../src/wire/arp.ts";
import { fromHex } from "../support/hex.ts";

/** A reply of the recorded server (data_stream.json). */
const REPLY = fromHex("0001 0800 06 04 0002 5e7af355d332 c0a81e01 5eaabbccdd01 c0a81ec8");

describe("tryParseArp()", () => {
  test("reads a recorded reply, with padding behind it", () => {
    const padded = new Uint8Array(46);
    padded.set(REPLY);
    expect(tryParseArp(padded)).toEqual({
      operation: 2,
      senderMac: 0x5e7af355d332 as MacAddress,
      senderIp: 0xc0a81e01 as Ipv4,
      targetMac: 0x5eaabbccdd01 as MacAddress,
      targetIp: 0xc0a81ec8 as Ipv4,
    });
  });

  test("IP-01 refuses a packet cut at each byte", () => {
    for (let end = 0; end < 28; end++) expect(tryParseArp(REPLY, 0, end)).toBeUndefined();
  });

  const wrong: readonly [what: string, at: number, value: number][] = [
    ["hardware type 0", 1, 0],
    ["hardware type 6", 1, 6],
    ["protocol IPv6", 2, 0x86],
    ["hardware address length 255", 4, 255],
    ["hardware address length 0", 4, 0],
    ["protocol address length 255", 5, 255],
    ["protocol address length 16", 5, 16],
    ["operation 0", 7, 0],
    ["operation 3, reverse ARP", 7, 3],
    ["operation 258", 6, 1],
  ];
  for (const [what, at, value] of wrong) {
    test(`IP-01 refuses ${what}`, () => {
      const bytes = REPLY.slice();
      bytes[at] = value;
      expect(tryParseArp(bytes)).toBeUndefined();
    });
  }
});

test("encodeArp() gives the recorded bytes back", () => {
  expect(encodeArp(tryParseArp(REPLY)!)).toEqual(REPLY);
});
