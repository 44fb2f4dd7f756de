import type { FrameRun } from "./port.ts";
import type { FrameView } from "./frame-view.ts";

/** A question that is asked of each frame at one place of its way through the hub (port-program.ts). */
export interface FrameCheck {
  /** Answers PASS, TAKEN or a drop code. `now` is the same for all frames of a run. */
  check(frame: FrameView, now: number): number;
}

/** Changes frames of a whole run on its way into the hub or out of it. */
export interface RunRewriter {
  /** The run itself, or frames in scratch memory (run-scratch.ts) that are good until the run was handed on. */
  rewrite(run: FrameRun): FrameRun;
}
