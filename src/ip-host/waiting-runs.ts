import type { FrameRun, FrameSink } from "../hub/port.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../platform/packet-memory.ts";

/** Consecutive frames for one sink. */
interface Part {
  sink: FrameSink;
  start: number;
  end: number;
  count: number;
}

/**
 * Runs in packet memory on their way to hubs, in order. The memory is its owner's, who hears when nothing waits in it
 * any more. An event makes no garbage, which would outweigh the frames of a busy host.
 */
export class WaitingRuns {
  /** Used again; the first `#used` wait. */
  readonly #parts: Part[] = [];
  #used = 0;
  #isDraining = false;
  /** A few, so that a list is searched sooner than a set. */
  readonly #touched: FrameSink[] = [];
  readonly #run: FrameRun = {
    bytes: PACKET_BYTES,
    view: PACKET_VIEW,
    start: 0,
    end: 0,
    count: 0,
  };
  readonly #emptied: () => void;
  readonly #joinedBytes: number;

  /** @param joinedBytes a run grows up to so many by what lies right behind it */
  constructor(emptied: () => void, joinedBytes = Infinity) {
    this.#emptied = emptied;
    this.#joinedBytes = joinedBytes;
  }

  /** The frames from `start` to `end` go to a sink. In the order of their addresses, best. */
  add(sink: FrameSink, start: number, end: number, count: number): void {
    const last = this.#used > 0 ? this.#parts[this.#used - 1]! : undefined;
    if (last?.sink === sink && last.end === start && end - last.start <= this.#joinedBytes) {
      last.end = end;
      last.count += count;
      return;
    }
    const part = (this.#parts[this.#used] ??= { sink, start, end, count });
    part.sink = sink;
    part.start = start;
    part.end = end;
    part.count = count;
    this.#used += 1;
  }

  /** Hands all that waits to its sinks and flushes these; what comes back meanwhile goes, too. */
  drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      while (this.#used > 0) this.#drainRound();
    } finally {
      this.#used = 0;
      this.#touched.length = 0;
      this.#isDraining = false;
      this.#emptied();
    }
  }

  #drainRound(): void {
    const run = this.#run;
    const touched = this.#touched;
    // Sinks may give frames to other hosts meanwhile, whose answers are appended.
    for (let i = 0; i < this.#used; i += 1) {
      const { sink, start, end, count } = this.#parts[i]!;
      run.start = start;
      run.end = end;
      run.count = count;
      if (!touched.includes(sink)) touched.push(sink);
      sink.deliver(run);
    }
    this.#used = 0;
    this.#emptied();
    for (let i = 0; i < touched.length; i += 1) touched[i]!.flush();
    touched.length = 0;
  }

  /** Drops all that waits. Within a drain it is that which ends. */
  clear(): void {
    this.#used = 0;
    if (!this.#isDraining) this.#emptied();
  }
}
