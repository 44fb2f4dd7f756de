import { expect, test } from "bun:test";
import { ProtocolError } from "../../src/base/errors.ts";
import { ByteReader } from "../../src/wire/reader.ts";
import { ByteWriter } from "../../src/wire/writer.ts";
import { fromHex, toHex } from "../support/hex.ts";

test("ByteWriter writes big-endian numbers and grows", () => {
  const writer = new ByteWriter(1)
    .writeU8(0x101)
    .writeU16(0x0203)
    .writeU32(0xfffefdfc)
    .writeU64(0x0102030405060708n)
    .writeZeros(2)
    .writeBytes(fromHex("aabb"));
  expect(writer.length).toBe(19);
  expect(toHex(writer.finish())).toBe("010203fffefdfc01020304050607080000aabb");
});

test("finish() gives bytes that later writes do not change", () => {
  const writer = new ByteWriter().writeU8(1);
  const first = writer.finish();
  writer.writeU8(2);
  expect(toHex(first)).toBe("01");
  expect(toHex(writer.finish())).toBe("0102");
});

test("ByteReader reads back what was written, inside a larger buffer", () => {
  const outer = fromHex("ffff 01 0203 fffefdfc 0102030405060708 aabb ff");
  const reader = new ByteReader(outer.subarray(2, outer.length - 1), "x_short");
  expect(reader.readU8()).toBe(1);
  expect(reader.readU16()).toBe(0x0203);
  expect(reader.readU32()).toBe(0xfffefdfc);
  expect(reader.readU64()).toBe(0x0102030405060708n);
  expect([reader.position, reader.remaining]).toEqual([15, 2]);
  expect(toHex(reader.readBytes(2))).toBe("aabb");
  expect(reader.remaining).toBe(0);
});

test("ByteReader throws its code at the end and stays where it was", () => {
  const reader = new ByteReader(fromHex("010203"), "x_short");
  for (const read of [
    () => reader.readU32(),
    () => reader.readU64(),
    () => reader.readBytes(4),
    () => reader.readBytes(0xffff_ffff),
  ]) {
    expect(read).toThrow(ProtocolError);
  }
  expect(reader.remaining).toBe(3);
  expect(reader.readBytes(3)).toHaveLength(3);
  try {
    reader.readU8();
    expect.unreachable();
  } catch (thrown) {
    expect((thrown as ProtocolError).code).toBe("x_short");
  }
});
