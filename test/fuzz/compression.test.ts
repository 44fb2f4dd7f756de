import { describe, expect, test } from "bun:test";
import { constants, deflateSync, inflateRawSync, inflateSync } from "node:zlib";
import { MAX_FRAME_BYTES } from "../../src/base/limits.ts";
import { createBlockCodec } from "../../src/session/block-codec.ts";
import { decoded, encoded, letters, noise, prose } from "../session/compression/sample-frames.ts";
import { lz4Block, lz4Frame } from "../session/compression/lz4-twin.ts";
import { toHex } from "../support/hex.ts";
import { fuzz } from "./fuzz.ts";

const FRAMES = [14, 60, 130, 600, 1514, 1600].flatMap((size) => [
  noise(size),
  prose(size),
  letters(size),
]);

/** The driver ends by itself after FUZZ_SECONDS; the runner must not be quicker. */
const TIMEOUT_MS = (Number(process.env["FUZZ_SECONDS"] ?? 0) + 60) * 1000;

/** What zlib itself makes of a block: one stream and nothing behind it, of a frame that is not too long. */
function inflated(block: Uint8Array): Uint8Array | undefined {
  try {
    const options = { maxOutputLength: MAX_FRAME_BYTES, info: true } as const;
    const { buffer, engine } = inflateSync(block, options) as unknown as Inflated;
    return engine.bytesWritten === block.length ? buffer : undefined;
  } catch {
    return undefined;
  }
}

/** The answer of zlib's functions under `info: true`, which their types do not tell. */
interface Inflated {
  readonly buffer: Uint8Array;
  readonly engine: { readonly bytesWritten: number };
}

/** Puts the right Adler-32 at the end, where the rest can be inflated. */
function repairSum(block: Uint8Array): void {
  if (block.length < 6) return;
  const body = block.subarray(2, -4);
  const finishFlush = constants.Z_SYNC_FLUSH;
  try {
    const frame = inflateRawSync(body, { maxOutputLength: MAX_FRAME_BYTES, finishFlush });
    const view = new DataView(block.buffer, block.byteOffset);
    view.setUint32(block.length - 4, Bun.hash.adler32(frame));
  } catch {
    // Then there is no sum to make right.
    return;
  }
}

describe("fuzz", () => {
  test(
    "session/inflate, against zlib as a twin",
    () => {
      const codec = createBlockCodec("deflate");
      const target = (block: Uint8Array): boolean => {
        const [frame] = decoded(codec, [block]);
        const expected = block.length === 0 ? undefined : inflated(block);
        if ((frame && toHex(frame)) !== (expected && toHex(expected))) {
          throw new Error(`it is ${frame?.length} bytes, zlib says ${expected?.length}`);
        }
        return frame !== undefined;
      };
      const seeds = FRAMES.flatMap((frame) => [
        ...[0, 1, 6, 9].map((level) => Uint8Array.from(deflateSync(frame, { level }))),
        ...encoded(codec, [frame]),
      ]);
      const { accepted, rounds } = fuzz({
        name: "session-inflate",
        seeds,
        target,
        repair: repairSum,
      });
      expect(accepted).toBeGreaterThan(rounds / 20);
    },
    TIMEOUT_MS,
  );

  test(
    "crypto/lz4, against another library as a twin",
    () => {
      const codec = createBlockCodec("lz4");
      const target = (block: Uint8Array): boolean => {
        const [frame] = decoded(codec, [block]);
        if (frame === undefined) return false;
        if (toHex(frame) !== toHex(lz4Frame(block))) throw new Error("the twin says otherwise");
        // What was taken can be sent on.
        const [again] = encoded(codec, [frame]);
        const [same] = decoded(codec, [again!]);
        if (toHex(frame) !== toHex(same!)) throw new Error("it does not survive the next hop");
        return true;
      };
      const seeds = FRAMES.flatMap((frame) => [lz4Block(frame), ...encoded(codec, [frame])]);
      const { accepted, rounds } = fuzz({ name: "crypto-lz4", seeds, target });
      expect(accepted).toBeGreaterThan(rounds / 20);
    },
    TIMEOUT_MS,
  );
});
