import { describe, expect, test } from "bun:test";
import { deflateRawSync, deflateSync, gzipSync, inflateSync } from "node:zlib";
import { MAX_BLOCK_BYTES, MAX_FRAME_BYTES } from "../../../src/base/limits.ts";
import { createBlockCodec } from "../../../src/session/block-codec.ts";
import { AREA_BYTES, DECODING } from "../../../src/session/compression/block-coder.ts";
import { DeflateCoder } from "../../../src/session/compression/deflate-coder.ts";
import { PACKET_BYTES } from "../../../src/platform/packet-memory.ts";
import { StreamParser } from "../../../src/session/stream-parser.ts";
import { ArrayPort, runOf } from "../../support/array-port.ts";
import { fromHex, toHex } from "../../support/hex.ts";
import vectors from "../../vectors/data_stream_compressed.json" with { type: "json" };
import { collected, decoded, encoded, letters, noise, prose } from "./sample-frames.ts";

const SIZES = Array.from({ length: 400 }, (_, index) => 14 + ((index * 37) % 1587));
const FRAMES = SIZES.flatMap((size) => [noise(size), prose(size), letters(size)]);

/** A valid stream around a frame, with that many empty stored blocks before it. */
function swelled(frame: Uint8Array, emptyBlocks: number): Uint8Array {
  const plain = deflateSync(frame);
  const empty = Uint8Array.from({ length: 5 * emptyBlocks }, (_, at) => (at % 5 > 2 ? 0xff : 0));
  return Uint8Array.from(Buffer.concat([plain.subarray(0, 2), empty, plain.subarray(2)]));
}

/** The stream with its sum, the last four bytes, off by one bit. */
function withWrongSum(block: Uint8Array): Uint8Array {
  const changed = Uint8Array.from(block);
  changed[changed.length - 1]! ^= 1;
  return changed;
}

describe("DeflateCoder", () => {
  test("reads the blocks that real peers sent", () => {
    const codec = createBlockCodec("deflate");
    const frames: string[] = [];
    const port = new ArrayPort("frames");
    port.onDeliver = (run) => {
      for (const frame of collected((each) => codec.decode(run, each))) frames.push(toHex(frame));
    };
    const parser = new StreamParser({ inFrames: 0, inBytes: 0 }, () => {});
    parser.feed(fromHex(vectors.s2c_stream_hex), port);
    for (const { hex } of vectors.c2s) parser.feed(fromHex(hex), port);
    const sent = vectors.s2c_units.flatMap(({ payload }) =>
      typeof payload === "string" ? [] : payload.map(({ frame }) => frame),
    );
    expect(frames).toEqual([...sent, ...vectors.c2s.map(({ frame }) => frame)]);
    expect(sent.length).toBe(2);
    expect(codec.badBlocks).toBe(0);
  });

  test("writes what zlib reads", () => {
    const blocks = encoded(createBlockCodec("deflate"), FRAMES);
    expect(blocks.map((block) => toHex(inflateSync(block)))).toEqual(FRAMES.map(toHex));
  });

  test.each([0, 1, 2, 6, 9])("reads what zlib writes at level %i", (level) => {
    const codec = createBlockCodec("deflate");
    const blocks = FRAMES.map((frame) => deflateSync(frame, { level }));
    expect(decoded(codec, blocks).map(toHex)).toEqual(FRAMES.map(toHex));
    expect(codec.badBlocks).toBe(0);
  });

  const frame = prose(1000);
  const good = deflateSync(frame);
  const flipped = (at: number, bits: number) => {
    const block = Uint8Array.from(good);
    block[at]! ^= bits;
    return block;
  };
  test.each([
    ["of one byte", good.subarray(0, 1)],
    ["without its sum", good.subarray(0, -4)],
    ["with a wrong sum", withWrongSum(good)],
    ["with a wrong sum, stored", withWrongSum(deflateSync(noise(500), { level: 0 }))],
    ["of 1600 bytes with a wrong sum", withWrongSum(deflateSync(prose(1600)))],
    ["of 1600 bytes without its sum", deflateSync(prose(1600)).subarray(0, -4)],
    ["with another method", flipped(0, 1)],
    ["with a wrong header", flipped(1, 1)],
    ["with a dictionary", deflateSync(frame, { dictionary: frame.subarray(0, 40) })],
    ["with bytes behind its end", Buffer.concat([good, Buffer.of(0)])],
    ["of 1600 bytes with bytes behind its end", Buffer.concat([deflateSync(prose(1600)), good])],
    ["that is gzip", gzipSync(frame)],
    ["that has no header", deflateRawSync(frame)],
    ["that is no compression at all", noise(1000)],
    ["that swells to 1601 bytes", deflateSync(prose(1601))],
    ["that swells to 3 MB", deflateSync(new Uint8Array(3_000_000))],
    ["that is the beginning of 1 GiB", beginningOfGibibyte()],
  ])("FR-06 leaves out a block %s, and writes no more than 1600 bytes", (_, block) => {
    expect(block.length).toBeLessThanOrEqual(MAX_BLOCK_BYTES);
    const codec = createBlockCodec("deflate");
    const area = PACKET_BYTES.subarray(DECODING.output, DECODING.output + AREA_BYTES);
    area.fill(0xa5);
    expect(decoded(codec, [block])).toEqual([]);
    expect(codec.badBlocks).toBe(1);
    expect(area.subarray(8 + MAX_FRAME_BYTES).every((byte) => byte === 0xa5)).toBeTrue();
    expect(decoded(codec, [good]).map(toHex)).toEqual([toHex(frame)]);
  });

  test("takes a frame of exactly 1600 bytes", () => {
    const codec = createBlockCodec("deflate");
    const whole = prose(1600);
    expect(decoded(codec, [deflateSync(whole)]).map(toHex)).toEqual([toHex(whole)]);
  });

  test("does not pass on a block that its sender swelled", () => {
    const codec = createBlockCodec("deflate");
    const small = noise(300);
    const block = swelled(small, 400);
    expect(toHex(inflateSync(block))).toBe(toHex(small));
    const out = collected((each) => codec.decode(runOf([block]), (run) => codec.encode(run, each)));
    expect(out.map(({ length }) => length)).toEqual([311]);
  });

  test("expand() does not need its areas: any place of packet memory will do", () => {
    const coder = new DeflateCoder();
    PACKET_BYTES.set(good, DECODING.input + 77);
    const to = DECODING.output + 1;
    expect(coder.expand(DECODING.input + 77, good.length, to)).toBe(frame.length);
    expect(toHex(PACKET_BYTES.subarray(to, to + frame.length))).toBe(toHex(frame));
  });
});

/** As much of 1 GiB of zeros, compressed, as a block can hold: all such streams begin alike. */
function beginningOfGibibyte(): Uint8Array {
  return deflateSync(new Uint8Array(1 << 24), { level: 9 }).subarray(0, MAX_BLOCK_BYTES);
}
