import { describe, expect, test } from "bun:test";
import {
  framedAddressAttribute,
  numberAttribute,
  RADIUS_ATTRIBUTE,
  readAll,
  readNumber,
  readText,
  readTunnelText,
  taggedNumberAttribute,
  textAttribute,
} from "../../src/wire/radius-attribute.ts";
import { encodeRadius, tryParseRadius, type RadiusPacket } from "../../src/wire/radius.ts";
import { fromHex, toHex } from "../support/hex.ts";

/** The request of RFC 2865 7.1. */
const REQUEST = fromHex(
  "01 00 0038 0f403f9473978057bd83d5cb98f4227a" +
    "01 06 6e656d6f 02 12 0dbe708d93d413ce3196e43f782a0aee 04 06 c0a80110 05 06 00000003",
);

describe("tryParseRadius()", () => {
  test("reads the request of RFC 2865 7.1, and encodeRadius() gives it back", () => {
    const packet = tryParseRadius(REQUEST)!;
    expect([packet.code, packet.identifier]).toEqual([1, 0]);
    expect(packet.attributes.map(({ type }) => type)).toEqual([1, 2, 4, 5]);
    expect(readText(packet, RADIUS_ATTRIBUTE.USER_NAME)).toBe("nemo");
    expect(readNumber(packet, RADIUS_ATTRIBUTE.NAS_PORT)).toBe(3);
    expect(toHex(encodeRadius(packet))).toBe(toHex(REQUEST));
  });

  test("leaves out what follows the packet's own length", () => {
    const padded = new Uint8Array(REQUEST.length + 7).fill(9);
    padded.set(REQUEST);
    expect(toHex(encodeRadius(tryParseRadius(padded)!))).toBe(toHex(REQUEST));
  });

  test("AU-01 refuses a packet cut at any place", () => {
    for (let end = 0; end < REQUEST.length; end++) {
      expect(tryParseRadius(REQUEST.subarray(0, end))).toBeUndefined();
    }
  });

  test("AU-01 refuses attribute lengths 0 and 1, and one that runs past the end", () => {
    // The length of the last attribute.
    for (const length of [0, 1, 7, 255]) {
      const flawed = REQUEST.slice();
      flawed[51] = length;
      expect(tryParseRadius(flawed)).toBeUndefined();
    }
    const single = REQUEST.slice(0, 21);
    single[3] = 21;
    expect(tryParseRadius(single)).toBeUndefined();
  });

  test("refuses lengths below 20 and above 4096", () => {
    for (const length of [0, 19, 4097]) {
      const flawed = new Uint8Array(5000);
      flawed[2] = length >> 8;
      flawed[3] = length & 255;
      expect(tryParseRadius(flawed)).toBeUndefined();
    }
  });
});

describe("encodeRadius()", () => {
  const packet = (attributes: RadiusPacket["attributes"]): RadiusPacket => ({
    code: 1,
    identifier: 255,
    authenticator: new Uint8Array(16),
    attributes,
  });

  test("refuses a value of 254 bytes and takes one of 253", () => {
    const value = (bytes: number) => packet([{ type: 25, value: new Uint8Array(bytes) }]);
    expect(encodeRadius(value(253))).toHaveLength(275);
    expect(() => encodeRadius(value(254))).toThrow(RangeError);
  });

  test("refuses a packet of more than 4096 bytes", () => {
    const attribute = { type: 25, value: new Uint8Array(253) };
    expect(encodeRadius(packet(Array(15).fill(attribute)))).toHaveLength(3845);
    expect(() => encodeRadius(packet(Array(16).fill(attribute)))).toThrow(RangeError);
  });

  test("refuses an authenticator that has not 16 bytes", () => {
    const short = { ...packet([]), authenticator: new Uint8Array(15) };
    expect(() => encodeRadius(short)).toThrow(RangeError);
  });
});

describe("radius attributes", () => {
  const packetOf = (...values: (string | Uint8Array)[]): RadiusPacket => ({
    code: 2,
    identifier: 0,
    authenticator: new Uint8Array(16),
    attributes: values.map((value) => ({
      type: 81,
      value: typeof value === "string" ? new TextEncoder().encode(value) : value,
    })),
  });

  test("textAttribute() cuts between characters and gives nothing for empty text", () => {
    expect(textAttribute(11, "é".repeat(200))?.value).toHaveLength(252);
    expect(textAttribute(11, "")).toBeUndefined();
  });

  test("numbers fill 32 bits, tagged ones leave the tag 0", () => {
    expect(toHex(numberAttribute(42, 0xfffffffe).value)).toBe("fffffffe");
    expect(toHex(taggedNumberAttribute(64, 1).value)).toBe("00000001");
  });

  test("framedAddressAttribute() takes the attribute of the family", () => {
    expect(framedAddressAttribute("10.1.2.3")).toEqual({ type: 8, value: fromHex("0a010203") });
    expect(framedAddressAttribute("2001:db8::1")?.type).toBe(168);
    expect(framedAddressAttribute("office")).toBeUndefined();
  });

  test("readNumber() refuses a value that has not four bytes", () => {
    expect(readNumber(packetOf(fromHex("ffffffff")), 81)).toBe(0xffffffff);
    expect(readNumber(packetOf(fromHex("ffffff")), 81)).toBeUndefined();
    expect(readNumber(packetOf(), 81)).toBeUndefined();
  });

  test("readTunnelText() cuts a tag off, and nothing else", () => {
    expect(readTunnelText(packetOf("\u000142"), 81)).toBe("42");
    expect(readTunnelText(packetOf("42"), 81)).toBe("42");
    expect(readTunnelText(packetOf(""), 81)).toBeUndefined();
  });

  test("readText() takes the first that is not empty, readAll() all", () => {
    const packet = packetOf("", "one", "two");
    expect(readText(packet, 81)).toBe("one");
    expect(readAll(packet, 81)).toHaveLength(3);
  });
});
