import { describe, expect, test } from "bun:test";
import { Scoreboard } from "../../../src/secure-nat/tcp/scoreboard.ts";

const MSS = 1000;

function sentInOneGo(segments: number): Scoreboard {
  const board = new Scoreboard(0);
  for (let n = 0; n < segments; n += 1) board.sent((n + 1) * MSS, n);
  return board;
}

function ranges(board: Scoreboard): number {
  let count = 0;
  for (let range = board.first; range !== undefined; range = range.next) count += 1;
  return count;
}

describe("Scoreboard", () => {
  test("IP-14 a peer that names every other byte does not split without end, and what it says of whole ranges counts", () => {
    const board = sentInOneGo(64);
    for (let at = 1; at < 63 * MSS; at += 2) board.select(at, at + 1, 100);
    expect(ranges(board)).toBeLessThanOrEqual(2_050);
    const before = board.selectedBytes;
    board.select(63 * MSS, 64 * MSS, 100);
    expect(board.selectedBytes).toBe(before + MSS);
    board.acknowledge(64 * MSS, 101);
    expect([board.flight, board.selectedBytes, ranges(board)]).toEqual([0, 0, 0]);
  });

  test("loseAll() keeps what was acknowledged out of order, unless the peer has thrown it away (RFC 2018 8)", () => {
    const kept = sentInOneGo(4);
    kept.select(MSS, 3 * MSS, 10);
    kept.loseAll();
    expect([kept.lostBytes, kept.selectedBytes]).toEqual([2 * MSS, 2 * MSS]);
    const reneged = sentInOneGo(4);
    reneged.select(MSS, 3 * MSS, 10);
    reneged.acknowledge(MSS, 11);
    reneged.loseAll();
    expect([reneged.lostBytes, reneged.selectedBytes, reneged.flight]).toEqual([3 * MSS, 0, 0]);
    expect(reneged.firstLost()).toMatchObject({ start: MSS });
  });

  test("gives no round trip where a part of what arrived was sent twice (Karn's rule)", () => {
    const board = sentInOneGo(3);
    board.lose(board.first!);
    board.repeated(board.first!, MSS, 50);
    board.begin();
    board.acknowledge(3 * MSS, 60);
    expect(board.roundTrip).toBe(-1);
    board.sent(4 * MSS, 70);
    board.begin();
    board.acknowledge(4 * MSS, 75);
    expect(board.roundTrip).toBe(5);
  });
});
