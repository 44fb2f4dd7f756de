// Buffers of TCP connections, outside packet memory, which is too small for them. A connection that has nothing to keep
// holds none, and what a burst has taken goes back to the system soon after it.
import { addressOf } from "../../platform/libc.ts";
import { CHUNK_BYTES, type ChunkSource, type SendChunk } from "./tcp-io.ts";
import { type TimerWheel, WheelTimer } from "./timer-wheel.ts";
import type { Clock } from "../../base/clock.ts";

/** A chunk that lay unused for a whole interval goes back to the system. */
const TRIM_MS = 1_000;

class Chunk implements SendChunk {
  readonly bytes = new Uint8Array(CHUNK_BYTES);
  readonly address = addressOf(this.bytes);
  start = 0;
  end = 0;
  isTaken = false;
}

export class ChunkPool implements ChunkSource {
  readonly maxChunks: number;
  readonly #clock: Clock;
  readonly #wheel: TimerWheel;
  readonly #trimTimer = new WheelTimer(() => this.#trim());
  /** Used last in, first out, so that the processor's cache still knows them. */
  readonly #free: Chunk[] = [];
  readonly #waiters = new Set<() => void>();
  #taken = 0;
  /** Fewest free chunks since the last trim: so many were not needed. */
  #idle = 0;

  /** @param maxBytes bound of all chunks together, at least one */
  constructor(maxBytes: number, clock: Clock, wheel: TimerWheel) {
    this.maxChunks = Math.max(1, Math.floor(maxBytes / CHUNK_BYTES));
    this.#clock = clock;
    this.#wheel = wheel;
  }

  /** Chunks in use. */
  get taken(): number {
    return this.#taken;
  }

  /** Chunks that are resident and not in use. */
  get spare(): number {
    return this.#free.length;
  }

  /** Chunks that can still be taken. */
  get left(): number {
    return this.maxChunks - this.#taken;
  }

  /** Somebody waits, and there is none. */
  get isShort(): boolean {
    return this.#waiters.size > 0 && this.#taken >= this.maxChunks;
  }

  take(): SendChunk | undefined {
    if (this.#taken >= this.maxChunks) return undefined;
    const chunk = this.#free.pop() ?? new Chunk();
    if (this.#free.length < this.#idle) this.#idle = this.#free.length;
    this.#taken += 1;
    chunk.isTaken = true;
    chunk.start = 0;
    chunk.end = 0;
    return chunk;
  }

  give(chunk: SendChunk): void {
    if (!(chunk instanceof Chunk) || !chunk.isTaken) {
      throw new Error("Cannot take back a chunk: it is not in use");
    }
    chunk.isTaken = false;
    this.#taken -= 1;
    this.#free.push(chunk);
    if (!this.#trimTimer.isSet) this.#wheel.set(this.#trimTimer, this.#clock.now() + TRIM_MS);
  }

  whenFree(run: () => void): void {
    this.#waiters.add(run);
  }

  forget(run: () => void): void {
    this.#waiters.delete(run);
  }

  /** Calls those who wait, as far as there are chunks; at the end of an event, when calling them disturbs nobody. */
  wake(): void {
    let calls = Math.min(this.#waiters.size, this.left);
    for (const run of this.#waiters) {
      if (calls === 0) return;
      calls -= 1;
      this.#waiters.delete(run);
      run();
    }
  }

  close(): void {
    this.#wheel.cancel(this.#trimTimer);
    this.#waiters.clear();
    this.#release(this.#free.length);
  }

  #trim(): void {
    this.#release(this.#idle);
    this.#idle = this.#free.length;
    if (this.#idle > 0) this.#wheel.set(this.#trimTimer, this.#clock.now() + TRIM_MS);
  }

  /** Those at the bottom of the stack have lain there longest. */
  #release(count: number): void {
    // Detaching a buffer frees it at once, instead of at some collection.
    for (const chunk of this.#free.splice(0, count)) chunk.bytes.buffer.transfer(0);
  }
}
