import type { Clock, Timer } from "./clock.ts";

/** Longest wait of a timer of the runtime, 24.8 days; a longer one would be over at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Calls `run` once after `ms`, however long that is; `Infinity` never does, what is past is due at once. */
export function afterLong(clock: Clock, ms: number, run: () => void): Timer {
  let left = Math.max(ms, 0);
  let timer: Timer | undefined;
  const arm = () => {
    const step = Math.min(left, MAX_TIMER_MS);
    left -= step;
    timer = clock.after(step, left > 0 ? arm : run);
  };
  if (left < Infinity) arm();
  return { cancel: () => timer?.cancel() };
}
