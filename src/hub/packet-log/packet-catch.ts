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

/** Frames that wait to become lines: copied side by side into memory of fixed size, which is set aside with the first one. */
export class PacketCatch {
  #bytes: Uint8Array<ArrayBuffer> | undefined;
  #used = 0;
  #head = 0;
  #count = 0;
  readonly #at = new Int32Array(MAX_CAUGHT);
  readonly #kept = new Int32Array(MAX_CAUGHT);
  readonly #size = new Int32Array(MAX_CAUGHT);
  readonly #level = new Int32Array(MAX_CAUGHT);
  readonly #wall = new Float64Array(MAX_CAUGHT);
  readonly #from: (PortIdentity | undefined)[] = [];
  readonly #to: (PortIdentity | undefined)[] = [];

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
    const bytes = (this.#bytes ??= new Uint8Array(PACKET_LOG_BYTES));
    const { view, start, end } = source;
    bytes.set(new Uint8Array(view.buffer, view.byteOffset + start, kept), this.#used);
    const index = this.#count;
    this.#at[index] = this.#used;
    this.#kept[index] = kept;
    this.#size[index] = end - start;
    this.#level[index] = about.level;
    this.#wall[index] = about.wall;
    this.#from[index] = about.from;
    this.#to[index] = about.to;
    this.#used += kept;
    this.#count = index + 1;
    return true;
  }

  /** The frame that was caught first; its bytes are good until the next add(). */
  take(): CaughtFrame | undefined {
    const index = this.#head;
    const from = this.#from[index];
    if (index === this.#count || from === undefined) return undefined;
    const to = this.#to[index];
    this.#head = index + 1;
    // Sessions that have ended are not kept alive by what they once sent.
    this.#from[index] = this.#to[index] = undefined;
    const at = this.#at[index]!;
    return {
      bytes: this.#bytes!.subarray(at, at + this.#kept[index]!),
      size: this.#size[index]!,
      wall: this.#wall[index]!,
      level: this.#level[index]!,
      from,
      to,
    };
  }
}
