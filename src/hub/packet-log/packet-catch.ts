import { PACKET_LOG_BYTES } from "../../base/limits.ts";
import type { PortIdentity } from "../port-identity.ts";

/** Even the smallest frames fill the memory with no more than this. */
const MAX_CAUGHT = PACKET_LOG_BYTES / 64;

/** One frame, as it was caught. */
export interface CaughtFrame {
  readonly bytes: Uint8Array;
  /** Of the whole frame, of which `bytes` may be the beginning. */
  readonly size: number;
  readonly wall: number;
  readonly level: number;
  readonly from: PortIdentity;
  readonly to: PortIdentity | undefined;
}

/** What is set aside with the first frame: most hubs of a server with many never need it. */
class Memory {
  readonly bytes = new Uint8Array(PACKET_LOG_BYTES);
  readonly at = new Int32Array(MAX_CAUGHT);
  readonly kept = new Int32Array(MAX_CAUGHT);
  readonly size = new Int32Array(MAX_CAUGHT);
  readonly level = new Int32Array(MAX_CAUGHT);
  readonly wall = new Float64Array(MAX_CAUGHT);
  readonly from: (PortIdentity | undefined)[] = [];
  readonly to: (PortIdentity | undefined)[] = [];
}

/** Frames that wait to become lines, copied side by side into memory of fixed size. */
export class PacketCatch {
  #memory: Memory | undefined;
  #used = 0;
  #head = 0;
  #count = 0;

  get isEmpty(): boolean {
    return this.#head === this.#count;
  }

  /** Copies `kept` bytes of a frame; false if there is no room for them. */
  add(
    source: { readonly view: DataView; readonly start: number; readonly end: number },
    kept: number,
    about: { wall: number; level: number; from: PortIdentity; to: PortIdentity | undefined },
  ): boolean {
    if (this.isEmpty) this.#head = this.#count = this.#used = 0;
    if (this.#count === MAX_CAUGHT || this.#used + kept > PACKET_LOG_BYTES) return false;
    const memory = (this.#memory ??= new Memory());
    const { view, start, end } = source;
    memory.bytes.set(new Uint8Array(view.buffer, view.byteOffset + start, kept), this.#used);
    const index = this.#count;
    memory.at[index] = this.#used;
    memory.kept[index] = kept;
    memory.size[index] = end - start;
    memory.level[index] = about.level;
    memory.wall[index] = about.wall;
    memory.from[index] = about.from;
    memory.to[index] = about.to;
    this.#used += kept;
    this.#count = index + 1;
    return true;
  }

  /** The frame that was caught first; its bytes are good until the next add(). */
  take(): CaughtFrame | undefined {
    const memory = this.#memory;
    const index = this.#head;
    const from = memory?.from[index];
    if (memory === undefined || from === undefined || index === this.#count) return undefined;
    const to = memory.to[index];
    this.#head = index + 1;
    // Sessions that have ended are not kept alive by what they once sent.
    memory.from[index] = memory.to[index] = undefined;
    const at = memory.at[index]!;
    return {
      bytes: memory.bytes.subarray(at, at + memory.kept[index]!),
      size: memory.size[index]!,
      wall: memory.wall[index]!,
      level: memory.level[index]!,
      from,
      to,
    };
  }
}
