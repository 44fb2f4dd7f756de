// Bytes of the inside host that cannot go on at once: in order, but the socket does not take them; or ahead of a gap.
// They lie at their place in the stream, in chunks of the pool, so that nothing is moved when a gap is filled.
import { PACKET_BASE, PACKET_BYTES, PACKET_VIEW, reserve } from "../../platform/packet-memory.ts";
import { CHUNK_BYTES, type ChunkSource, type SendChunk } from "./tcp-io.ts";

export const VECTOR_BYTES = 16;
/** As many as a job of merged segments has (platform/offload.ts). */
const MAX_VECTORS = 64;
const HIGH_WORD = 0x1_0000_0000;

// One area for all connections: vectors are handed over within a call.
const vectorsAt = reserve(MAX_VECTORS * VECTOR_BYTES);

/** A payload in parts: an array of struct iovec in packet memory. */
export interface Vectors {
  at: number;
  count: number;
}

/** One that says how long it is in all. */
export interface Payload extends Vectors {
  bytes: number;
}

const shown: Vectors = { at: vectorsAt, count: 0 };

export class ReceiveBuffer {
  readonly #chunks: ChunkSource;
  /** That of the position's chunk is at index `floor(position / CHUNK_BYTES) - #firstChunk`. */
  readonly #held: (SendChunk | undefined)[] = [];
  #firstChunk = 0;

  constructor(chunks: ChunkSource) {
    this.#chunks = chunks;
  }

  /**
   * Copies the part from `skip` to `end` of a payload to `position` of the stream, counted from its first byte. Gives
   * the bytes copied: fewer if there was no chunk left.
   */
  store(position: number, payload: Payload, skip: number, end: number): number {
    const parts = trim(payload, skip, end);
    let at = position;
    for (let n = 0; n < parts.count; n += 1) {
      const entry = parts.at + n * VECTOR_BYTES;
      let from = offsetOf(entry);
      let left = PACKET_VIEW.getUint32(entry + 8, true);
      while (left > 0) {
        const chunk = this.#chunkAt(Math.floor(at / CHUNK_BYTES));
        if (chunk === undefined) return at - position;
        const inChunk = at % CHUNK_BYTES;
        const bytes = Math.min(left, CHUNK_BYTES - inChunk);
        chunk.bytes.set(PACKET_BYTES.subarray(from, from + bytes), inChunk);
        at += bytes;
        from += bytes;
        left -= bytes;
      }
    }
    return at - position;
  }

  /** What is stored from `start` to `end`, or as much of it as one array of vectors can show. */
  show(start: number, end: number): Payload {
    let at = start;
    let count = 0;
    for (; at < end && count < MAX_VECTORS; count += 1) {
      const chunk = this.#held[Math.floor(at / CHUNK_BYTES) - this.#firstChunk];
      if (chunk === undefined) break;
      const inChunk = at % CHUNK_BYTES;
      const bytes = Math.min(end - at, CHUNK_BYTES - inChunk);
      setVector(count, chunk.address + inChunk, bytes);
      at += bytes;
    }
    return { at: vectorsAt, count, bytes: at - start };
  }

  /** Everything before `position` is done with; nothing is stored at all if it `isEmpty`. */
  release(position: number, isEmpty: boolean): void {
    const until = isEmpty ? Infinity : Math.floor(position / CHUNK_BYTES);
    while (this.#held.length > 0 && this.#firstChunk < until) {
      const chunk = this.#held.shift();
      this.#firstChunk += 1;
      if (chunk !== undefined) this.#chunks.give(chunk);
    }
  }

  close(): void {
    this.release(0, true);
  }

  #chunkAt(index: number): SendChunk | undefined {
    const held = this.#held;
    if (held.length === 0) this.#firstChunk = index;
    // Bytes ahead of a gap may have come before those that belong in front of them.
    while (index < this.#firstChunk) {
      held.unshift(undefined);
      this.#firstChunk -= 1;
    }
    const place = index - this.#firstChunk;
    const chunk = held[place] ?? this.#chunks.take();
    if (chunk === undefined) return undefined;
    while (held.length <= place) held.push(undefined);
    held[place] = chunk;
    return chunk;
  }
}

/** The part from `skip` to `end` of a payload; the whole payload as it lies, or a copy of its vectors. */
export function trim(payload: Payload, skip: number, end: number): Vectors {
  if (skip === 0 && end >= payload.bytes) return payload;
  let count = 0;
  let at = 0;
  for (let n = 0; n < payload.count; n += 1) {
    const entry = payload.at + n * VECTOR_BYTES;
    const bytes = PACKET_VIEW.getUint32(entry + 8, true);
    const from = Math.max(skip - at, 0);
    const to = Math.min(end - at, bytes);
    if (from < to && count < MAX_VECTORS) {
      setVector(count, addressOf(entry) + from, to - from);
      count += 1;
    }
    at += bytes;
  }
  shown.count = count;
  return shown;
}

function addressOf(entry: number): number {
  return PACKET_VIEW.getUint32(entry, true) + PACKET_VIEW.getUint32(entry + 4, true) * HIGH_WORD;
}

function offsetOf(entry: number): number {
  return addressOf(entry) - PACKET_BASE;
}

function setVector(index: number, address: number, bytes: number): void {
  const entry = vectorsAt + index * VECTOR_BYTES;
  PACKET_VIEW.setUint32(entry, address >>> 0, true);
  PACKET_VIEW.setUint32(entry + 4, Math.floor(address / HIGH_WORD), true);
  PACKET_VIEW.setUint32(entry + 8, bytes, true);
  PACKET_VIEW.setUint32(entry + 12, 0, true);
}
