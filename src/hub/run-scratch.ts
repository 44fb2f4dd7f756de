import { emptyRun, type FrameRun } from "./port.ts";

/** Large enough for a run of the usual length with some bytes more for each frame. */
const MIN_BYTES = 65_536;

/**
 * Memory for runs that were rewritten on their way. Forwarding is a call within a call, so what is taken last is
 * released first: `depth` before, `release` of it afterwards.
 */
class RunScratch {
  readonly #runs: FrameRun[] = [];
  depth = 0;

  /** An empty run with room for so many bytes behind `start`, and four before it. */
  take(bytes: number): FrameRun {
    let run = this.#runs[this.depth];
    if (run === undefined || run.bytes.length < bytes + 4) {
      run = emptyRun(new Uint8Array(Math.max(MIN_BYTES, bytes + 4)));
      this.#runs[this.depth] = run;
    }
    this.depth += 1;
    run.start = run.end = 4;
    run.count = 0;
    return run;
  }

  /** A copy of the run, to be changed in place. */
  copy(run: FrameRun): FrameRun {
    const copy = this.take(run.end - run.start);
    copy.bytes.set(run.bytes.subarray(run.start, run.end), copy.start);
    copy.end = copy.start + run.end - run.start;
    copy.count = run.count;
    return copy;
  }

  release(depth: number): void {
    this.depth = depth;
  }
}

export const runScratch = new RunScratch();
