import type { FrameRun, FrameSink } from "../hub/port.ts";
import type { BlockCodec } from "./block-codec.ts";
import type { ReceivedCounts } from "./stream-parser.ts";

/** Between the parsers of a session and its sink: blocks in, frames out. */
export class Decoder implements FrameSink {
  sink: FrameSink | undefined;
  readonly ready = true;
  onReady: (() => void) | undefined;
  /** Blocks as they came. */
  readonly blocks: ReceivedCounts = { inFrames: 0, inBytes: 0 };
  readonly #codec: BlockCodec;
  readonly #counts: ReceivedCounts;

  /** @param counts of the frames that the blocks held */
  constructor(codec: BlockCodec, counts: ReceivedCounts) {
    this.#codec = codec;
    this.#counts = counts;
  }

  deliver(run: FrameRun): void {
    this.#codec.decode(run, this.#decoded);
  }

  flush(): void {
    this.sink?.flush();
  }

  readonly #decoded = (frames: FrameRun): void => {
    this.#counts.inFrames += frames.count;
    this.#counts.inBytes += frames.end - frames.start - 4 * frames.count;
    this.sink?.deliver(frames);
  };
}
