import lz4js from "lz4js";
import { MAX_FRAME_BYTES } from "../../../src/base/limits.ts";

// The block form between two of ours, with another library for LZ4.

/** The block of a frame: u16 size (0: as it is), then LZ4 or the frame. */
export function lz4Block(frame: Uint8Array): Uint8Array {
  const out = new Uint8Array(lz4js.compressBound(frame.length));
  const size = lz4js.compressBlock(frame, out, 0, frame.length, new Uint32Array(65_536));
  if (size === 0) return Uint8Array.of(0, 0, ...frame);
  return Uint8Array.of(frame.length >> 8, frame.length & 0xff, ...out.subarray(0, size));
}

/** The frame of a block that is known to be good. */
export function lz4Frame(block: Uint8Array): Uint8Array {
  const size = (block[0]! << 8) | block[1]!;
  if (size === 0) return block.subarray(2);
  const out = new Uint8Array(MAX_FRAME_BYTES);
  return out.subarray(0, lz4js.decompressBlock(block, out, 2, block.length - 2, 0));
}
