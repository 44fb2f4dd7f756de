import { describe, expect, test } from "bun:test";
import type { MacAddress } from "../../src/base/mac.ts";
import { encodeEthernet, readEtherType, tryParseEthernet } from "../../src/wire/ethernet.ts";
import { fromHex, toHex } from "../support/hex.ts";

const ADDRESSES = "ffffffffffff 5e7af355d332";

describe("tryParseEthernet()", () => {
  test("reads addresses, type and payload inside a larger buffer", () => {
    const bytes = fromHex(`eeee ${ADDRESSES} 0806 0102 ee`);
    const frame = tryParseEthernet(bytes, 2, bytes.length - 1)!;
    expect(frame).toEqual({
      dst: 0xffffffffffff as MacAddress,
      src: 0x5e7af355d332 as MacAddress,
      tags: [],
      etherType: 0x0806,
      payload: fromHex("0102"),
    });
    expect(readEtherType(bytes, 2)).toBe(0x0806);
  });

  test("refuses a frame cut at each byte of its header", () => {
    const bytes = fromHex(`${ADDRESSES} 0800`);
    for (let end = 0; end < 14; end++) expect(tryParseEthernet(bytes, 0, end)).toBeUndefined();
    expect(tryParseEthernet(bytes)?.payload).toHaveLength(0);
  });

  test("FR-13 refuses a tag cut anywhere", () => {
    const bytes = fromHex(`${ADDRESSES} 8100 0064 0800`);
    for (let end = 14; end < 18; end++) expect(tryParseEthernet(bytes, 0, end)).toBeUndefined();
    expect(tryParseEthernet(bytes)?.etherType).toBe(0x0800);
  });

  test("FR-13 reads VID 0 and 4095, priority and drop eligibility", () => {
    const tag = (control: string) =>
      tryParseEthernet(fromHex(`${ADDRESSES} 8100 ${control} 0800`))?.tags[0];
    expect(tag("0000")).toEqual({ type: 0x8100, id: 0, priority: 0, isDropEligible: false });
    expect(tag("ffff")).toEqual({ type: 0x8100, id: 4095, priority: 7, isDropEligible: true });
    expect(tag("a064")).toEqual({ type: 0x8100, id: 100, priority: 5, isDropEligible: false });
  });

  test("FR-13 reads two tags and takes a third for the payload", () => {
    const frame = tryParseEthernet(fromHex(`${ADDRESSES} 88a8 0001 8100 0002 8100 0003 0800 aa`))!;
    expect(frame.tags.map(({ id }) => id)).toEqual([1, 2]);
    expect(frame.etherType).toBe(0x8100);
    expect(toHex(frame.payload)).toBe("00030800aa");
  });

  test("FR-14 cuts padding behind an LLC payload and refuses a length past the end", () => {
    const stp = (length: string) => fromHex(`0180c2000000 5e7af355d332 ${length} 424203 0000 ee`);
    expect(toHex(tryParseEthernet(stp("0005"))!.payload)).toBe("4242030000");
    expect(tryParseEthernet(stp("0006"))!.payload).toHaveLength(6);
    expect(tryParseEthernet(stp("0007"))).toBeUndefined();
    expect(tryParseEthernet(stp("05dd"))).toBeUndefined();
  });

  test("FR-14 refuses cut LLC and SNAP headers, and lengths that 802.3 does not know", () => {
    expect(tryParseEthernet(fromHex(`${ADDRESSES} 0002 4242`))).toBeUndefined();
    expect(tryParseEthernet(fromHex(`${ADDRESSES} 0007 aaaa03 000000 88`))).toBeUndefined();
    expect(tryParseEthernet(fromHex(`${ADDRESSES} 0008 aaaa03 000000 88a2`))).toBeDefined();
    const long = new Uint8Array(1600);
    new DataView(long.buffer).setUint16(12, 1501);
    expect(tryParseEthernet(long)).toBeUndefined();
  });
});

describe("encodeEthernet()", () => {
  for (const [what, hex] of [
    ["an untagged frame", `${ADDRESSES} 0806 0102`],
    ["two tags", `${ADDRESSES} 88a8 b001 8100 0002 86dd 6000`],
    ["an LLC frame", "0180c2000000 5e7af355d332 0005 4242030000"],
  ] as const) {
    test(`gives the bytes of ${what} back`, () => {
      expect(encodeEthernet(tryParseEthernet(fromHex(hex))!)).toEqual(fromHex(hex));
    });
  }
  test("writes the length of an LLC payload", () => {
    const frame = tryParseEthernet(fromHex("0180c2000000 5e7af355d332 0003 424203"))!;
    const longer = encodeEthernet({ ...frame, payload: fromHex("424203 0000") });
    expect(readEtherType(longer, 0)).toBe(5);
  });
});
