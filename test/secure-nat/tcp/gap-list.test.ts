import { describe, expect, test } from "bun:test";
import { GapList, type StreamRange } from "../../../src/secure-nat/tcp/gap-list.ts";
import { seededRandom } from "../../support/seeded-random.ts";

const all = (from: number, to: number) => to - from;

function edges(list: GapList): number[][] {
  return list.ranges.map(({ start, end }) => [start, end]);
}

describe("GapList", () => {
  test("joins what touches and keeps apart what does not", () => {
    const list = new GapList();
    for (const [start, end] of [
      [10, 20],
      [30, 40],
      [50, 60],
      [20, 30],
    ])
      list.add(start!, end!, all);
    expect(edges(list)).toEqual([
      [10, 40],
      [50, 60],
    ]);
  });

  test("asks for the missing parts alone to be stored", () => {
    const list = new GapList();
    list.add(10, 20, all);
    list.add(30, 40, all);
    const asked: number[][] = [];
    list.add(5, 50, (from, to) => {
      asked.push([from, to]);
      return to - from;
    });
    expect(asked).toEqual([
      [5, 10],
      [20, 30],
      [40, 50],
    ]);
    expect(edges(list)).toEqual([[5, 50]]);
    expect(list.add(7, 45, all)).toBe(false);
  });

  test("ends where no more could be stored", () => {
    const list = new GapList();
    expect(list.add(10, 50, () => 15)).toBe(true);
    expect(edges(list)).toEqual([[10, 25]]);
    expect(list.add(60, 70, () => 0)).toBe(false);
  });

  test("names those that were added to last first", () => {
    const list = new GapList();
    for (const start of [10, 30, 50, 10]) list.add(start, start + 5, all);
    list.add(35, 37, all);
    const named: StreamRange[] = [];
    expect(list.latest(2, named)).toBe(2);
    expect(named.map(({ start }) => start)).toEqual([30, 10]);
  });

  test("is what a set of positions would be", () => {
    const random = seededRandom(5);
    for (let round = 0; round < 50; round += 1) {
      const list = new GapList();
      const plain = new Set<number>();
      for (let n = 0; n < 60; n += 1) {
        const start = random.below(400);
        const end = start + 1 + random.below(30);
        list.add(start, end, all);
        for (let at = start; at < end; at += 1) plain.add(at);
      }
      const listed = list.ranges.flatMap(({ start, end }) =>
        Array.from({ length: end - start }, (_, n) => start + n),
      );
      expect(listed).toEqual([...plain].toSorted((a, b) => a - b));
    }
  });

  test("IP-14 holds a bounded number of ranges", () => {
    const list = new GapList();
    for (let n = 0; n < 10_000; n += 1) list.add(2 * n, 2 * n + 1, all);
    expect(list.ranges.length).toBe(128);
  });
});
