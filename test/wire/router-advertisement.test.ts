import { describe, expect, test } from "bun:test";
import { formatAddress, tryParseAddress } from "../../src/base/ip.ts";
import { finishChecksum, sumWords } from "../../src/wire/checksum.ts";
import { tryParseRouterAdvertisement } from "../../src/wire/router-advertisement.ts";
import { fromHex } from "../support/hex.ts";

// Laid out as RFC 4861 4.2 draws it: high preference, 1800 s, with a prefix, an MTU and the link-layer address.
const HEADER = "6000000000403aff";
const SOURCE = "fe8000000000000000000000000000aa";
const TARGET = "ff020000000000000000000000000001";
const MESSAGE = "860000004008070800000000 00000000".replace(" ", "");
const PREFIX = "030440c000015180000038400000000020010db8003000000000000000000000";
const MTU = "05010000000005dc";
const LINK = "01015e0053010203";

/** The packet with a right checksum. */
function packet(change: (bytes: Uint8Array) => void = () => {}): Uint8Array {
  const bytes = fromHex(HEADER + SOURCE + TARGET + MESSAGE + PREFIX + MTU + LINK);
  change(bytes);
  const length = bytes.length - 40;
  bytes[4] = length >> 8;
  bytes[5] = length & 255;
  bytes.set([0, 0], 42);
  const checksum = finishChecksum(sumWords(bytes, 8, bytes.length, length + 58));
  bytes.set([checksum >> 8, checksum & 255], 42);
  return bytes;
}

describe("tryParseRouterAdvertisement()", () => {
  test("reads router, lifetime and preference", () => {
    const found = tryParseRouterAdvertisement(packet())!;
    expect(formatAddress(found.router.bytes)).toBe("fe80::aa");
    expect(found).toMatchObject({ lifetimeMs: 1_800_000, preference: "high" });
    const flags = [0x00, 0x08, 0x10, 0x18].map(
      (value) => tryParseRouterAdvertisement(packet((bytes) => (bytes[45] = value)))!.preference,
    );
    expect(flags).toEqual(["medium", "high", "medium", "low"]);
  });

  test("drops what a host must not believe (RFC 4861 6.1.2)", () => {
    const cases: Record<string, Uint8Array> = {
      "hop limit": packet((bytes) => (bytes[7] = 254)),
      code: packet((bytes) => (bytes[41] = 1)),
      type: packet((bytes) => (bytes[40] = 133)),
      protocol: packet((bytes) => (bytes[6] = 17)),
      version: packet((bytes) => (bytes[0] = 0x40)),
      "global source": packet((bytes) => bytes.set(tryParseAddress("2001:db8::1")!.bytes, 8)),
      "option of length 0": packet((bytes) => (bytes[57] = 0)),
      "option past the end": packet((bytes) => (bytes[bytes.length - 7] = 2)),
    };
    const broken = packet();
    broken[50]! ^= 1;
    cases["checksum"] = broken;
    for (const [why, bytes] of Object.entries(cases)) {
      expect([why, tryParseRouterAdvertisement(bytes)]).toEqual([why, undefined]);
    }
    const whole = packet();
    for (let length = 0; length < whole.length; length++) {
      expect(tryParseRouterAdvertisement(whole.subarray(0, length))).toBeUndefined();
    }
  });

  test("takes padding behind the packet", () => {
    const padded = new Uint8Array(packet().length + 6);
    padded.set(packet());
    expect(tryParseRouterAdvertisement(padded)?.lifetimeMs).toBe(1_800_000);
  });
});
