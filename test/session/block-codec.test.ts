import { describe, expect, test } from "bun:test";
import { deflateSync } from "node:zlib";
import type { FrameRun } from "../../src/hub/port.ts";
import { isPacketMemory } from "../../src/platform/packet-memory.ts";
import { createBlockCodec } from "../../src/session/block-codec.ts";
import { runOf } from "../support/array-port.ts";
import { toHex } from "../support/hex.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { lz4Block } from "./compression/lz4-twin.ts";
import {
  collected,
  decoded,
  encoded,
  letters,
  newFlow,
  noise,
  prose,
  runInPacketMemory,
} from "./compression/sample-frames.ts";

const CODECS = ["deflate", "lz4"] as const;
const STORED_OVERHEAD = { deflate: 11, lz4: 2 } as const;
/** Blocks as another program makes them, longer or shorter than ours. */
const FOREIGN = { deflate: (frame: Uint8Array) => deflateSync(frame), lz4: lz4Block } as const;
const EDGE_SIZES = [14, 15, 42, 60, 127, 128, 129, 255, 256, 1460, 1514, 1518, 1599, 1600];

describe.each(CODECS)("createBlockCodec() %s", (name) => {
  test("gives back frames of every kind and size, in their order", () => {
    const codec = createBlockCodec(name);
    const random = seededRandom(3);
    const sizes = Array.from({ length: 1500 }, () => 14 + random.below(1587));
    const frames = [...EDGE_SIZES, ...sizes].flatMap((size, index) => {
      if (index < EDGE_SIZES.length) return [noise(size), prose(size), letters(size)];
      return [[noise, prose, letters][index % 3]!(size)];
    });
    const blocks = encoded(codec, frames);
    expect(decoded(codec, blocks).map(toHex)).toEqual(frames.map(toHex));
    expect(codec.name).toBe(name);
    expect(codec.badBlocks).toBe(0);
  });

  test("hands over runs in packet memory, with room for a unit's count, however long the run", () => {
    const codec = createBlockCodec(name);
    let handed = 0;
    const expectRun = (run: FrameRun) => {
      handed += run.count;
      expect(isPacketMemory(run.bytes)).toBeTrue();
      expect(run.start).toBeGreaterThanOrEqual(4);
      expect(run.end - run.start).toBeLessThanOrEqual(49_152);
    };
    const frames = Array.from({ length: 400 }, () => noise(1514));
    codec.encode(runOf(frames), expectRun);
    codec.decode(runOf(encoded(codec, frames)), expectRun);
    expect(handed).toBe(2 * 400);
  });

  test("stores what does not shrink, and shrinks what does", () => {
    const codec = createBlockCodec(name);
    for (const size of EDGE_SIZES) {
      expect(encoded(codec, [noise(size)])[0]!.length).toBe(size + STORED_OVERHEAD[name]);
    }
    expect(encoded(codec, [prose(1514)])[0]!.length).toBeLessThan(1514 / 4);
  });

  test("stops trying a flow that never shrinks, and finds out when it does again", () => {
    const codec = createBlockCodec(name);
    const flow = newFlow();
    const ten = Array.from({ length: 10 }, () => noise(1514, flow));
    const more = Array.from({ length: 200 }, () => prose(1514, flow));
    encoded(codec, ten);
    const shrunk = encoded(codec, more).map((block) => block.length < 1514);
    const first = shrunk.indexOf(true);
    expect(first).toBeGreaterThan(30);
    expect(first).toBeLessThan(100);
    expect(shrunk.slice(first)).not.toContain(false);
  });

  test("passes over empty blocks, which are no fault", () => {
    const codec = createBlockCodec(name);
    const frame = prose(600);
    const none = new Uint8Array(0);
    const blocks = [none, ...encoded(codec, [frame]), none];
    expect(decoded(codec, blocks).map(toHex)).toEqual([toHex(frame)]);
    expect(codec.badBlocks).toBe(0);
  });

  test("FR-06 leaves out a block cut at any byte, and takes those around it", () => {
    const codec = createBlockCodec(name);
    const frame = prose(1000);
    const [block] = encoded(codec, [frame]);
    const cuts = Array.from({ length: block!.length - 1 }, (_, at) => block!.slice(0, at + 1));
    const frames = decoded(codec, [block!, ...cuts, block!]);
    expect(frames.map(toHex)).toEqual([toHex(frame), toHex(frame)]);
    expect(codec.badBlocks).toBe(cuts.length);
  });

  test("lets frames leave in the blocks that they came in, for as long as they are on their way", () => {
    const [from, to] = [createBlockCodec(name), createBlockCodec(name)];
    const frames = [prose(1514), letters(700), letters(900)];
    const blocks = frames.map((frame) => FOREIGN[name](frame));
    // Else nothing would be shown.
    expect(encoded(to, frames).map(toHex)).not.toEqual(blocks.map(toHex));
    let place = 0;
    from.decode(runOf(blocks), (run) => {
      expect(collected((each) => to.encode(run, each)).map(toHex)).toEqual(blocks.map(toHex));
      // A hub hands on what goes the same way, here the second alone.
      const start = run.start + 4 + frames[0]!.length;
      const part = { ...run, start, end: start + 4 + frames[1]!.length, count: 1 };
      expect(collected((each) => to.encode(part, each)).map(toHex)).toEqual([toHex(blocks[1]!)]);
      place = run.start;
    });
    const next = [prose(1514), letters(300)];
    const later = collected((each) => to.encode(runInPacketMemory(place, next), each));
    expect(decoded(to, later).map(toHex)).toEqual(next.map(toHex));
  });

  test("makes blocks anew where the other session compresses in another way", () => {
    const other = createBlockCodec(name === "lz4" ? "deflate" : "lz4");
    const frames = [prose(1514), noise(700)];
    const codec = createBlockCodec(name);
    let blocks: Uint8Array[] = [];
    codec.decode(runOf(encoded(codec, frames)), (run) => {
      blocks = collected((each) => other.encode(run, each));
    });
    expect(decoded(other, blocks).map(toHex)).toEqual(frames.map(toHex));
  });

  test("forgets what was on its way when taking it fails", () => {
    const codec = createBlockCodec(name);
    const frame = prose(1514);
    const foreign = FOREIGN[name](frame);
    let place = 0;
    const fail = () =>
      codec.decode(runOf([foreign]), (run) => {
        place = run.start;
        throw new Error("the sink is broken");
      });
    expect(fail).toThrow("the sink is broken");
    const blocks = collected((each) => codec.encode(runInPacketMemory(place, [frame]), each));
    expect(blocks.map(toHex)).toEqual(encoded(codec, [frame]).map(toHex));
    expect(toHex(blocks[0]!)).not.toBe(toHex(foreign));
  });
});
