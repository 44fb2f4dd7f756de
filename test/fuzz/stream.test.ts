import { describe, expect, test } from "bun:test";
import { ProtocolError } from "../../src/base/errors.ts";
import { StreamParser } from "../../src/session/stream-parser.ts";
import vectors from "../vectors/data_stream.json" with { type: "json" };
import { ArrayPort } from "../support/array-port.ts";
import { fromHex, toHex } from "../support/hex.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { fuzz } from "./fuzz.ts";

interface Outcome {
  readonly frames: readonly string[];
  readonly items: number;
  readonly refused: string | undefined;
}

/** The parser as protocol.md 13 tells it, over all bytes at once. */
function plainTwin(bytes: Uint8Array): Outcome {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const frames: string[] = [];
  let items = 0;
  let at = 0;
  const has = (count: number) => at + count <= bytes.length;
  const end = (refused?: string): Outcome => ({ frames, items, refused });
  while (has(4)) {
    const count = view.getUint32(at);
    at += 4;
    if (count === 0xffff_ffff) {
      if (!has(4)) return end();
      const size = view.getUint32(at);
      at += 4;
      if (size > 512) return end("stream_keepalive");
      if (!has(size)) return end();
      at += size;
      items++;
      continue;
    }
    for (let left = count; left > 0; left--) {
      if (!has(4)) return end();
      const size = view.getUint32(at);
      at += 4;
      if (size > 3_200) return end("stream_block");
      if (!has(size)) return end();
      frames.push(toHex(bytes.subarray(at, at + size)));
      at += size;
      items++;
    }
  }
  return end();
}

function parse(bytes: Uint8Array, next: () => number): Outcome & { counted: number } {
  const port = new ArrayPort("sink");
  const counts = { inFrames: 0, inBytes: 0 };
  const parser = new StreamParser(counts, () => {});
  let refused: string | undefined;
  try {
    for (let at = 0; at < bytes.length;) {
      const size = next();
      const chunk = new Uint8Array(bytes.subarray(at, at + size));
      parser.feed(chunk, port);
      chunk.fill(0xee);
      at += size;
    }
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
    refused = thrown.code;
  }
  const frames = port.frames.map(toHex);
  return { frames, items: parser.items, refused, counted: counts.inFrames };
}

/** However the stream is cut, it is what the plain twin says. */
function target(bytes: Uint8Array): boolean {
  const expected = plainTwin(bytes);
  const dice = seededRandom(bytes.length);
  // Single bytes take their time; short inputs show as much by them.
  const least = bytes.length < 200 ? 1 : 60;
  for (const next of [() => bytes.length, () => least, () => 1 + dice.below(200)]) {
    const { counted, ...found } = parse(bytes, next);
    if (!Bun.deepEquals(found, expected) || counted !== found.frames.length) {
      throw new Error(`it is ${Bun.inspect(found)}, the twin says ${Bun.inspect(expected)}`);
    }
  }
  return expected.refused === undefined && expected.items > 0;
}

const SEEDS = [
  fromHex(vectors.s2c_stream_hex),
  ...vectors.c2s.map(({ hex }) => fromHex(hex)),
  fromHex("00000000 00000002 00000000 0000000e 0102030405060708090a0b0c0d0e"),
  fromHex("ffffffff 00000000 ffffffff 00000003 010203 00000001 00000001 ff"),
  fromHex("fffffffe 00000001 aa 00000001 bb 00000001 cc"),
];

/** The driver ends by itself after FUZZ_SECONDS; the runner must not be quicker. */
const TIMEOUT_MS = (Number(process.env["FUZZ_SECONDS"] ?? 0) + 60) * 1000;

describe("fuzz", () => {
  test(
    "wire/stream",
    () => {
      const { accepted, rounds } = fuzz({ name: "wire-stream", seeds: SEEDS, target });
      expect(accepted).toBeGreaterThan(rounds / 20);
    },
    TIMEOUT_MS,
  );
});
