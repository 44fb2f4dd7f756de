import type { FrameRun } from "./port.ts";

const SIZE_BYTES = 4;

/**
 * Hands a run to `take` in pieces of whole frames, each of at most `most` bytes. False if it ended before its end, at a
 * frame that is longer than that.
 */
export function takeInPieces(
  run: FrameRun,
  most: number,
  take: (from: number, to: number) => void,
): boolean {
  let from = run.start;
  for (let at = from; at + SIZE_BYTES <= run.end;) {
    const next = at + SIZE_BYTES + run.view.getUint32(at);
    if (next - from > most) {
      take(from, at);
      from = at;
    }
    if (next - at > most) return false;
    at = next;
  }
  take(from, run.end);
  return true;
}
