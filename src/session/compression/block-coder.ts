import { reserve } from "../../platform/packet-memory.ts";

/** Where runs of one direction are put to be worked on, and where what becomes of them is written: two offsets. */
export interface CoderAreas {
  readonly input: number;
  readonly output: number;
}

/** Room of every area: what is worked on at once should stay in the L2 cache. */
export const AREA_BYTES = 49_152;

/* In packet memory, one of each for all sessions: nothing in them outlives a call. */
export const ENCODING: CoderAreas = { input: reserve(AREA_BYTES), output: reserve(AREA_BYTES) };
/** Frames on their way in can be on their way out again within the same call, hence not the areas of encoding. */
export const DECODING: CoderAreas = { input: reserve(AREA_BYTES), output: reserve(AREA_BYTES) };

/**
 * One form of compressed blocks (protocol.md 13). A coder works in one memory, packet memory or that of its library,
 * and all offsets are into it. One coder serves all sessions.
 */
export interface BlockCoder {
  readonly name: "deflate" | "lz4";
  /** By how many bytes a block is longer than its frame when that is stored as it is. */
  readonly storedOverhead: number;
  /** The memory. Both are replaced when a library's memory grows, which any of the functions can cause. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly encoding: CoderAreas;
  readonly decoding: CoderAreas;
  /** Writes the block of a frame to `to` and gives its length; 0 if it would be longer than `room`. */
  compress(at: number, size: number, to: number, room: number): number;
  /** Writes a block that holds the frame as it is, and gives its length. */
  store(at: number, size: number, to: number): number;
  /** Writes the frame of a block to `to` and gives its length, at most MAX_FRAME_BYTES; -1 if the block is broken. */
  expand(at: number, size: number, to: number): number;
}
