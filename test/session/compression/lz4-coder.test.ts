import { describe, expect, test } from "bun:test";
import { createBlockCodec } from "../../../src/session/block-codec.ts";
import { toHex } from "../../support/hex.ts";
import { lz4Block, lz4Frame } from "./lz4-twin.ts";
import { decoded, encoded, letters, noise, prose } from "./sample-frames.ts";

const SIZES = Array.from({ length: 400 }, (_, index) => 14 + ((index * 37) % 1587));
const FRAMES = SIZES.flatMap((size) => [noise(size), prose(size), letters(size)]);

describe("Lz4Coder", () => {
  test("writes what another library reads", () => {
    const blocks = encoded(createBlockCodec("lz4"), FRAMES);
    expect(blocks.map((block) => toHex(lz4Frame(block)))).toEqual(FRAMES.map(toHex));
    // Not only those stored as they are.
    expect(blocks.filter((block) => block[0] !== 0).length).toBeGreaterThan(200);
  });

  test("reads what another library writes", () => {
    const codec = createBlockCodec("lz4");
    expect(decoded(codec, FRAMES.map(lz4Block)).map(toHex)).toEqual(FRAMES.map(toHex));
    expect(codec.badBlocks).toBe(0);
  });

  const [good] = encoded(createBlockCodec("lz4"), [prose(1000)]);
  const withSize = (size: number) => {
    const block = good!.slice();
    block.set([size >> 8, size & 0xff]);
    return block;
  };
  test.each([
    ["of one byte", Uint8Array.of(0)],
    ["with nothing behind its size", Uint8Array.of(0, 0)],
    ["with a frame of 1601 bytes as it is", new Uint8Array(2 + 1601)],
    ["that says to be shorter than it is", withSize(999)],
    ["that says to be longer than it is", withSize(1001)],
    ["that says to be 1601 bytes", withSize(1601)],
    ["that says to be 65535 bytes", withSize(65_535)],
    // The library would give what its memory held last.
    [
      "with a match of offset 0",
      Uint8Array.of(0, 28, 0x4f, 1, 2, 3, 4, 0, 0, 0, 0x50, 1, 2, 3, 4, 5),
    ],
    ["with a match before its beginning", Uint8Array.of(0, 100, 0x1f, 0x41, 9, 0, 80, 0)],
    // 3,193 bytes of length stand for 814,215 bytes of one letter.
    [
      "that swells to as much as a block can hold",
      Uint8Array.of(6, 64, 0x1f, 0x41, 1, 0, ...new Uint8Array(3193).fill(255), 0, 0),
    ],
  ])("FR-06 leaves out a block %s", (_, block) => {
    const codec = createBlockCodec("lz4");
    expect(decoded(codec, [block])).toEqual([]);
    expect(codec.badBlocks).toBe(1);
    expect(decoded(codec, [good!]).length).toBe(1);
  });
});
