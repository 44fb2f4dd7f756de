// The SACK option (RFC 2018), and what its first block tells of duplicates (RFC 2883).
import type { TcpOptions } from "../../wire/tcp.ts";
import type { Scoreboard } from "./scoreboard.ts";

/** Position that a sequence number near that of `position` stands for. */
export function positionNear(position: number, sequence: number, initial: number): number {
  return position + ((sequence - (initial + position)) | 0);
}

/**
 * Takes in the blocks of a segment; true if the first tells of something that came twice (RFC 2883 4).
 * @param position acknowledged in order by the same segment
 */
export function selectBlocks(
  board: Scoreboard,
  position: number,
  initial: number,
  { sackEdges, sackBlocks }: TcpOptions,
  now: number,
): boolean {
  const edge = (index: number) => positionNear(position, sackEdges[index]!, initial);
  let isRepeat = false;
  for (let n = 0; n < sackBlocks; n += 1) {
    const start = edge(2 * n);
    const end = edge(2 * n + 1);
    if (n === 0) {
      const isInsideNext = sackBlocks > 1 && start >= edge(2) && end <= edge(3);
      if (end <= position || isInsideNext) {
        isRepeat = start < end;
        continue;
      }
    }
    const from = Math.max(start, position);
    if (from < end && end <= board.next) board.select(from, end, now);
  }
  return isRepeat;
}
