import type { Clock } from "../../base/clock.ts";

/** Beyond this the wall clock was set, or has drifted, and is followed. */
const MAX_DIFFERENCE_MS = 2;

/**
 * Microseconds since 1970. The wall clock counts whole milliseconds, in which a hundred frames may come: the monotonic
 * one tells what lies between them.
 */
export function microsecondsOf(clock: Clock): () => number {
  let offset = clock.wall() - clock.now();
  return () => {
    const now = clock.now();
    const wall = clock.wall();
    if (Math.abs(wall - now - offset) > MAX_DIFFERENCE_MS) offset = wall - now;
    return Math.round((now + offset) * 1000);
  };
}
