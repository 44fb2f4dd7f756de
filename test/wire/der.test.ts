import { describe, expect, test } from "bun:test";
import { DER_TAG, DerReader, hexOfInteger, readDerTime } from "../../src/wire/der.ts";

const bytes = (hex: string) => Uint8Array.fromHex(hex.replaceAll(" ", ""));

describe("DerReader", () => {
  test("walks over values and into them", () => {
    const reader = new DerReader(bytes("30 06 02 01 05 04 01 ff 05 00"));
    const inside = reader.enter();
    expect(inside.tryNext(DER_TAG.BOOLEAN)).toBeUndefined();
    expect(inside.expect(DER_TAG.INTEGER).content).toEqual(bytes("05"));
    expect(inside.next()).toMatchObject({ tag: DER_TAG.OCTET_STRING, whole: bytes("0401ff") });
    expect(inside.isAtEnd).toBe(true);
    expect(reader.next().tag).toBe(5);
    expect(reader.isAtEnd).toBe(true);
  });

  test("reads long lengths in their shortest form only", () => {
    const long = new Uint8Array(3 + 200);
    long.set([4, 0x81, 200]);
    expect(new DerReader(long).next().content).toHaveLength(200);
    for (const hex of [
      "04 81 05 0000000000",
      "04 82 00 ff",
      "04 80 00 00",
      "04 85 01 00 00 00 00",
    ]) {
      expect(() => new DerReader(bytes(hex)).next()).toThrow();
    }
  });

  test.each(["", "30", "30 01", "30 05 02", "04 84 ff ff ff ff", "1f 81 00", "02 01 05"])(
    "refuses %j where a SEQUENCE is due",
    (hex) => {
      expect(() => new DerReader(bytes(hex)).enter()).toThrow(
        expect.objectContaining({ code: "der" }),
      );
    },
  );
});

test.each([
  ["00", "0"],
  ["00ff", "ff"],
  ["0a1b", "a1b"],
  ["7f", "7f"],
])("hexOfInteger() of %s is %s", (hex, expected) => {
  expect(hexOfInteger(bytes(hex))).toBe(expected);
});

describe("readDerTime()", () => {
  const time = (tag: number, text: string) => {
    const content = new TextEncoder().encode(text);
    return readDerTime({ tag, content, whole: content });
  };

  test("reads both forms, and the century of RFC 5280", () => {
    expect(time(DER_TAG.UTC_TIME, "261122101530Z")).toBe(Date.UTC(2026, 10, 22, 10, 15, 30));
    expect(time(DER_TAG.UTC_TIME, "500101000000Z")).toBe(Date.UTC(1950, 0, 1));
    expect(time(DER_TAG.UTC_TIME, "491231235959Z")).toBe(Date.UTC(2049, 11, 31, 23, 59, 59));
    expect(time(DER_TAG.GENERALIZED_TIME, "21261122101530Z")).toBe(
      Date.UTC(2126, 10, 22, 10, 15, 30),
    );
  });

  test.each([
    [DER_TAG.UTC_TIME, "2611221015Z"],
    [DER_TAG.UTC_TIME, "261122101530+0100"],
    [DER_TAG.UTC_TIME, "261322101530Z"],
    [DER_TAG.GENERALIZED_TIME, "20261122101530"],
    [DER_TAG.GENERALIZED_TIME, "20261122101530.5Z"],
    [DER_TAG.INTEGER, "261122101530Z"],
  ])("refuses tag %d with %j", (tag, text) => {
    expect(() => time(tag, text)).toThrow("not a time");
  });
});
