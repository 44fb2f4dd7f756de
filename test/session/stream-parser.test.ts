import { describe, expect, test } from "bun:test";
import { ProtocolError } from "../../src/base/errors.ts";
import type { FrameRun } from "../../src/hub/port.ts";
import { StreamParser } from "../../src/session/stream-parser.ts";
import vectors from "../vectors/data_stream.json" with { type: "json" };
import { ArrayPort } from "../support/array-port.ts";
import { fromHex, toHex } from "../support/hex.ts";
import { seededRandom } from "../support/seeded-random.ts";

const KEEPALIVE = 0xffff_ffff;

function u32(...words: number[]): Uint8Array {
  const bytes = new Uint8Array(4 * words.length);
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => view.setUint32(4 * i, word));
  return bytes;
}

/** Feeds pieces of these sizes, the last as long as need be, and says what came out. */
function parse(bytes: Uint8Array, sizes: Iterable<number>) {
  const port = new ArrayPort("sink");
  const counts = { inFrames: 0, inBytes: 0 };
  const parser = new StreamParser(counts, () => {});
  let at = 0;
  for (const size of sizes) {
    // A copy that is wiped: nothing of a chunk may be used after its event.
    const chunk = new Uint8Array(bytes.subarray(at, at + size));
    parser.feed(chunk, port);
    chunk.fill(0xee);
    at += size;
    if (at >= bytes.length) break;
  }
  return { frames: port.frames.map(toHex), items: parser.items, counts };
}

function* endless(next: () => number): Iterable<number> {
  for (;;) yield next();
}

const whole = (bytes: Uint8Array) => parse(bytes, [bytes.length]);

const recorded = fromHex(vectors.s2c_stream_hex);
const recordedFrames = vectors.s2c_units
  .filter((unit) => unit.kind === "blocks")
  .flatMap((unit) => unit.payload as string[]);

/** Every kind of item and every edge of its size, once. */
const body = seededRandom(9);
const everything = Buffer.concat([
  u32(0, 0, 1, 60),
  body.bytes(60),
  u32(KEEPALIVE, 0),
  u32(KEEPALIVE, 512),
  body.bytes(512),
  u32(4, 0, 14),
  body.bytes(14),
  u32(0, 3_200),
  body.bytes(3_200),
  u32(KEEPALIVE, 1),
  body.bytes(1),
  u32(1, 0, 2, 1_514),
  body.bytes(1_514),
  u32(1_600),
  body.bytes(1_600),
]);

describe("StreamParser", () => {
  test("feed() gives the units that were recorded", () => {
    expect(recordedFrames.length).toBeGreaterThan(1);
    expect(whole(recorded).frames).toEqual(recordedFrames);
    expect(whole(recorded).items).toBe(
      recordedFrames.length + vectors.s2c_units.filter(({ kind }) => kind === "keepalive").length,
    );
  });

  test("feed() gives what our own side of the recording sent", () => {
    const bytes = Buffer.concat(vectors.c2s.map(({ hex }) => fromHex(hex)));
    expect(whole(bytes)).toMatchObject({ items: 4, counts: { inFrames: 3, inBytes: 342 + 84 } });
  });

  test("FI-01 pieces of any size give the recorded units", () => {
    for (let seed = 0; seed < 300; seed++) {
      const dice = seededRandom(seed);
      const most = 1 + dice.below(1_000);
      expect(
        parse(
          recorded,
          endless(() => 1 + dice.below(most)),
        ).frames,
      ).toEqual(recordedFrames);
    }
  });

  test("FR-04 every cut in two, and single bytes, give the same frames, items and counts", () => {
    const expected = whole(everything);
    expect(expected.frames.length).toBe(8);
    expect(expected.items).toBe(8 + 3);
    expect(
      parse(
        everything,
        endless(() => 1),
      ),
    ).toEqual(expected);
    for (let cut = 1; cut < everything.length; cut++) {
      expect(parse(everything, [cut, everything.length])).toEqual(expected);
    }
  });

  test("feed() delivers consecutive blocks of a chunk as one run", () => {
    const port = new ArrayPort("sink");
    const parser = new StreamParser({ inFrames: 0, inBytes: 0 }, () => {});
    const block = Buffer.concat([u32(60), new Uint8Array(60)]);
    parser.feed(Buffer.concat([u32(100), ...Array.from({ length: 100 }, () => block)]), port);
    expect(port.runs).toEqual([100]);
    parser.feed(Buffer.concat([u32(3), block, block.subarray(0, 30)]), port);
    parser.feed(Buffer.concat([block.subarray(30), block]), port);
    expect(port.runs).toEqual([100, 1, 1, 1]);
  });

  test("FR-01 a block of more than 3,200 bytes is stream_block, wherever its size is cut", () => {
    for (const size of [3_201, 65_536, 4_294_967_294, KEEPALIVE]) {
      const bytes = Buffer.concat([u32(2, 0), u32(size), new Uint8Array(8)]);
      for (let cut = 0; cut < 12; cut++) {
        expect(errorOf(bytes, cut)).toBe("stream_block");
      }
    }
  });

  test("FR-02 a count of 4,294,967,294 is taken block by block", () => {
    const blocks = Array.from({ length: 500 }, () => Buffer.concat([u32(14), body.bytes(14)]));
    expect(whole(Buffer.concat([u32(4_294_967_294), ...blocks])).frames.length).toBe(500);
  });

  test("FR-03 a keep-alive of more than 512 bytes is stream_keepalive, wherever its size is cut", () => {
    for (const size of [513, KEEPALIVE]) {
      const bytes = Buffer.concat([u32(KEEPALIVE, size), new Uint8Array(600)]);
      for (let cut = 0; cut < 8; cut++) expect(errorOf(bytes, cut)).toBe("stream_keepalive");
    }
  });

  test("FR-05 10,000 units of one chunk are handled within the bound for one input", () => {
    const unit = Buffer.concat([u32(1, 60), new Uint8Array(60)]);
    const bytes = Buffer.concat(Array.from({ length: 10_000 }, () => unit));
    const counts = { inFrames: 0, inBytes: 0 };
    let frames = 0;
    const sink = {
      deliver: (run: { count: number }) => void (frames += run.count),
      flush() {},
      ready: true,
      onReady: undefined,
    };
    const start = performance.now();
    new StreamParser(counts, () => {}).feed(bytes, sink);
    // A fault would take seconds; 50 ms are asked of a quiet machine (robustness.md 1.4).
    expect(performance.now() - start).toBeLessThan(500);
    expect([frames, counts.inFrames]).toEqual([10_000, 10_000]);
  });

  test("items stands still while bytes make nothing whole", () => {
    const port = new ArrayPort("sink");
    const parser = new StreamParser({ inFrames: 0, inBytes: 0 }, () => {});
    parser.feed(u32(0, 0, 0, KEEPALIVE, 2), port);
    expect(parser.items).toBe(0);
    parser.feed(Uint8Array.of(1), port);
    expect(parser.items).toBe(0);
    parser.feed(Uint8Array.of(1), port);
    expect(parser.items).toBe(1);
    // Cut in the size of an empty one: whole with the size's last byte.
    parser.feed(u32(KEEPALIVE, 0).subarray(0, 6), port);
    parser.feed(Uint8Array.of(0, 0), port);
    expect(parser.items).toBe(2);
  });
});

function errorOf(bytes: Uint8Array, cut: number): string {
  try {
    parse(bytes, [cut, bytes.length]);
    return "none";
  } catch (thrown) {
    if (thrown instanceof ProtocolError) return thrown.code;
    throw thrown;
  }
}

describe("units that follow each other in one chunk", () => {
  /** A unit of one block whose bytes are all `fill`. */
  const unit = (size: number, fill: number) =>
    Buffer.concat([u32(1, size), new Uint8Array(size).fill(fill)]);

  /** Frames of each run that was handed over, by their first byte. */
  function runsOf(bytes: Uint8Array, onKeepalive: () => void = () => {}) {
    const runs: number[][] = [];
    const parser = new StreamParser({ inFrames: 0, inBytes: 0 }, onKeepalive);
    const sink = {
      ready: true,
      onReady: undefined,
      flush() {},
      deliver({ view, start, end, count }: FrameRun) {
        const frames: number[] = [];
        for (let at = start; at < end; at += 4 + view.getUint32(at))
          frames.push(view.getUint8(at + 4));
        expect(frames.length).toBe(count);
        runs.push(frames);
      },
    };
    return { runs, feed: () => parser.feed(new Uint8Array(bytes), sink) };
  }

  test("small ones make one run, a large one goes on where it lies, in order", () => {
    const { runs, feed } = runsOf(
      Buffer.concat([unit(60, 1), unit(100, 2), unit(3_000, 3), unit(60, 4), unit(60, 5)]),
    );
    feed();
    expect(runs).toEqual([[1, 2], [3], [4, 5]]);
  });

  test("a run that was gathered has a bound", () => {
    const { runs, feed } = runsOf(
      Buffer.concat(Array.from({ length: 40 }, (_, n) => unit(1_500, n))),
    );
    feed();
    expect(runs.flat()).toEqual(Array.from({ length: 40 }, (_, n) => n));
    expect(runs.every((run) => run.length * 1_504 <= 32_768)).toBe(true);
    expect(runs.length).toBeLessThan(4);
  });

  test("what stands before a keep-alive or an error is handed over before it", () => {
    const told: number[] = [];
    const { runs, feed } = runsOf(
      Buffer.concat([
        unit(60, 1),
        u32(KEEPALIVE, 0),
        unit(60, 2),
        unit(60, 3),
        u32(1, 0xffff_fffe),
      ]),
      () => told.push(runs.length),
    );
    expect(feed).toThrow(ProtocolError);
    expect(told).toEqual([1]);
    expect(runs).toEqual([[1], [2, 3]]);
  });
});
