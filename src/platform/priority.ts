import { libc } from "./libc.ts";

const PRIO_PROCESS = 0;
/** As the peer does: whoever shares a busy machine with it would wait for it otherwise. */
const NICE = -20;

/**
 * Lets this process run before ordinary ones: under load a frame waits for the processor far longer than for
 * anything we do (dataplane.md 7). False where the system does not allow it; all works without it, only later.
 */
export function raisePriority(): boolean {
  return libc.setpriority(PRIO_PROCESS, 0, NICE) === 0;
}
