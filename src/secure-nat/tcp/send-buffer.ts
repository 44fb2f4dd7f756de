// What the outside has sent and the inside host has not acknowledged: chunks in order, found by position in the stream.
import { CHUNK_BYTES, type ChunkSource, type SendChunk } from "./tcp-io.ts";

/** What fits behind the last chunk's bytes and is shorter than this is copied there: a chunk is dear for a few bytes. */
const COPY_BYTES = 16_384;

export class SendBuffer {
  readonly #chunks: ChunkSource;
  readonly #queue: SendChunk[] = [];
  /** Of the first byte of the first chunk. */
  #firstPosition: number;
  /** Behind the last byte. */
  end: number;

  constructor(chunks: ChunkSource, position: number) {
    this.#chunks = chunks;
    this.#firstPosition = position;
    this.end = position;
  }

  push(chunk: SendChunk): void {
    const bytes = chunk.end - chunk.start;
    this.end += bytes;
    const last = this.#queue.at(-1);
    if (last !== undefined && bytes < COPY_BYTES && last.end + bytes <= CHUNK_BYTES) {
      last.bytes.set(chunk.bytes.subarray(chunk.start, chunk.end), last.end);
      last.end += bytes;
      this.#chunks.give(chunk);
    } else this.#queue.push(chunk);
  }

  /** Copies `bytes` from `position` on, all of which are here, to `at` of `target`. */
  copy(position: number, bytes: number, target: Uint8Array, at: number): void {
    let skip = position - this.#firstPosition;
    let done = 0;
    for (let index = 0; done < bytes; index += 1) {
      const chunk = this.#queue[index]!;
      const held = chunk.end - chunk.start;
      if (skip >= held) {
        skip -= held;
        continue;
      }
      const part = Math.min(held - skip, bytes - done);
      const from = chunk.start + skip;
      target.set(chunk.bytes.subarray(from, from + part), at + done);
      done += part;
      skip = 0;
    }
  }

  /** Everything before `position` is acknowledged. */
  release(position: number): void {
    while (this.#queue.length > 0) {
      const chunk = this.#queue[0]!;
      const held = chunk.end - chunk.start;
      if (this.#firstPosition + held > position) {
        if (position > this.#firstPosition) {
          chunk.start += position - this.#firstPosition;
          this.#firstPosition = position;
        }
        return;
      }
      this.#firstPosition += held;
      this.#queue.shift();
      this.#chunks.give(chunk);
    }
  }

  close(): void {
    for (const chunk of this.#queue.splice(0)) this.#chunks.give(chunk);
  }
}
