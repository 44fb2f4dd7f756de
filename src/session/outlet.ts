import { emptyRun, type FrameRun } from "../hub/port.ts";
import { eachUrgency } from "../hub/urgent.ts";
import { PACKET_BYTES } from "../platform/packet-memory.ts";
import { Batch, type ByteSink } from "./batch.ts";
import type { BlockCodec } from "./block-codec.ts";

/** The way out of one connection for frames: compressed if the session is, then gathered into units. */
export class Outlet {
  readonly batch: Batch;
  readonly #codec: BlockCodec | undefined;
  readonly #part: FrameRun = emptyRun(PACKET_BYTES);

  constructor(out: ByteSink, codec: BlockCodec | undefined) {
    this.batch = new Batch(out, { isOpaque: codec !== undefined });
    this.#codec = codec;
  }

  /** Takes all frames of the run; `mayPatch` as in Batch.deliver. */
  send(run: FrameRun, mayPatch: boolean): void {
    const codec = this.#codec;
    if (codec === undefined) return this.batch.deliver(run, mayPatch);
    if (!this.batch.isBlocked) return codec.encode(run, this.#compressed);
    // Once compressed they cannot be told apart any more.
    eachUrgency(run, this.#part, (part, isUrgent) => {
      codec.encode(part, isUrgent ? this.#compressedUrgent : this.#compressed);
    });
  }

  /** Takes one urgent frame, for when bulk has no room left; false when there is none for it either. */
  sendUrgent(run: FrameRun): boolean {
    if (this.#codec === undefined) return this.batch.deliverUrgent(run);
    let isTaken = false;
    this.#codec.encode(run, (blocks) => (isTaken = this.batch.deliverUrgent(blocks)));
    return isTaken;
  }

  readonly #compressed = (blocks: FrameRun): void => this.batch.deliver(blocks);

  readonly #compressedUrgent = (blocks: FrameRun): void => {
    if (!this.batch.deliverUrgent(blocks)) this.batch.lostFrames += blocks.count;
  };
}
