import { describe, expect, test } from "bun:test";
import { DHCPV6_LIMITS } from "../../src/base/limits.ts";
import {
  DHCPV6_OPTION,
  DHCPV6_TYPE,
  dhcpv6Option,
  encodeDhcpv6,
  linkLayerDuid,
  requestedOptions,
  tryParseDhcpv6,
} from "../../src/wire/dhcpv6.ts";
import { fuzz } from "../fuzz/fuzz.ts";
import { fromHex } from "../support/hex.ts";
import { concatBytes } from "../support/layers.ts";

// Laid out as RFC 8415 8 and 21 draw it: an information-request with DUID, elapsed time and two options asked for.
const MESSAGE = fromHex(
  "0b abcdef 0001000a 00030001020000000002 00080002 0000 00060004 0017 0018".replaceAll(" ", ""),
);

describe("tryParseDhcpv6()", () => {
  test("reads type, transaction and options", () => {
    const message = tryParseDhcpv6(MESSAGE)!;
    expect(message).toMatchObject({ type: DHCPV6_TYPE.INFORMATION_REQUEST, transaction: 0xabcdef });
    expect(dhcpv6Option(message, DHCPV6_OPTION.CLIENT_ID)).toEqual(fromHex("00030001020000000002"));
    expect(dhcpv6Option(message, DHCPV6_OPTION.SERVER_ID)).toBeUndefined();
    expect([...requestedOptions(message)]).toEqual([23, 24]);
    expect(encodeDhcpv6(message)).toEqual(MESSAGE);
  });

  test("refuses a message that is cut within an option, or shorter than its header", () => {
    // Behind the header and behind each option it is a whole message again.
    const whole = new Set([4, 18, 24, 32]);
    for (let length = 0; length <= MESSAGE.length; length += 1) {
      const isRead = tryParseDhcpv6(MESSAGE.subarray(0, length)) !== undefined;
      expect([length, isRead]).toEqual([length, whole.has(length)]);
    }
  });

  test("refuses relayed messages, type 0, too many options and too many bytes", () => {
    for (const type of [0, 12, 13, 255]) {
      const bytes = MESSAGE.slice();
      bytes[0] = type;
      expect(tryParseDhcpv6(bytes)).toBeUndefined();
    }
    const empty = (count: number) =>
      concatBytes(fromHex("01000001"), ...Array.from({ length: count }, () => fromHex("00630000")));
    expect(tryParseDhcpv6(empty(DHCPV6_LIMITS.options))?.options.length).toBe(64);
    expect(tryParseDhcpv6(empty(DHCPV6_LIMITS.options + 1))).toBeUndefined();
    expect(tryParseDhcpv6(new Uint8Array(1501).fill(1))).toBeUndefined();
  });

  test("fuzz: what is taken is written again as it was", () => {
    const { accepted } = fuzz({
      name: "dhcpv6",
      seeds: [MESSAGE],
      target: (bytes) => {
        const message = tryParseDhcpv6(bytes);
        if (message === undefined) return false;
        expect(encodeDhcpv6(message)).toEqual(bytes);
        return true;
      },
    });
    expect(accepted).toBeGreaterThan(500);
  });
});

describe("linkLayerDuid()", () => {
  test("is of type 3 and hardware type 1", () => {
    expect(linkLayerDuid(fromHex("5e0000000001"))).toEqual(fromHex("000300015e0000000001"));
  });
});
