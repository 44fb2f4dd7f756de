import { describe, expect, test } from "bun:test";
import { tryParseAddress } from "../../src/base/ip.ts";
import { IpTable } from "../../src/hub/ip-table.ts";

function filled(count: number): IpTable {
  const table = new IpTable(1);
  for (let n = 0; n < count; n += 1) {
    table.seekIpv4(n + 1, n);
    table.enter(n % 3, 0x0200, n, n);
  }
  return table;
}

describe("IpTable", () => {
  test("forEachLive() visits each live entry with its address, port, MAC and time", () => {
    const table = new IpTable(1);
    table.seekIpv4(0x0a000001, 0);
    table.enter(3, 0x0200, -7, 0);
    table.seekIpv6(0xfe800000 | 0, 0, 0, 9, 100);
    table.enter(4, 0x0201, 8, 100);
    table.lease(0x0a000002, 5, 0x0202, 9, 200);
    const seen: unknown[] = [];
    table.forEachLive(200, (entry) =>
      seen.push([
        entry.family,
        [...entry.words.subarray(entry.family === 4 ? 3 : 0)],
        entry.port,
        entry.macHigh,
        entry.macLow,
        entry.updated,
      ]),
    );
    expect(seen.sort()).toEqual([
      [4, [0x0a000001], 3, 0x0200, -7, 0],
      [4, [0x0a000002], 5, 0x0202, 9, 200],
      [6, [0xfe800000 | 0, 0, 0, 9], 4, 0x0201, 8, 100],
    ]);
    const live: number[] = [];
    table.forEachLive(60_100, (entry) => live.push(entry.port));
    expect(live.sort()).toEqual([4, 5]);
  });

  test("forEachLive() by parts visits every entry once and no part much more often than another", () => {
    const table = filled(1000);
    const counts = Array.from({ length: 50 }, () => 0);
    const addresses = new Set<number>();
    for (let part = 0; part < 50; part += 1) {
      table.forEachLive(
        1000,
        (entry) => {
          counts[part]! += 1;
          addresses.add(entry.words[3]!);
        },
        part,
        50,
      );
    }
    expect(addresses.size).toBe(1000);
    expect(counts.reduce((sum, count) => sum + count)).toBe(1000);
    expect(Math.max(...counts)).toBeLessThan(50);
  });

  test("forEachLive() bears a visit that changes the table", () => {
    const table = filled(100);
    let visits = 0;
    table.forEachLive(100, () => {
      visits += 1;
      if (visits < 500) {
        table.seekIpv4(100_000 + visits, 100);
        table.enter(1, 2, 3, 100);
      } else if (visits === 500) table.removePort(1);
    });
    expect(visits).toBeGreaterThan(0);
    expect(table.size).toBe(table.list(100).length);
  });

  test("lease() of an address that was seen makes it one entry, and tells that it is not new", () => {
    const table = new IpTable(1);
    table.seekIpv4(7, 0);
    table.enter(1, 2, 3, 0);
    expect(table.lease(7, 2, 4, 5, 10)).toBe(false);
    expect(table.lease(8, 2, 4, 5, 10)).toBe(true);
    expect(table.list(10).map(({ port, isLeased }) => [port, isLeased])).toEqual([
      [2, true],
      [2, true],
    ]);
    expect([table.countOf(1, 4), table.countOf(2, 4), table.countOf(2, 6)]).toEqual([0, 2, 0]);
  });

  test("the generation changes with moves, leases and removals, not with refreshes", () => {
    const table = new IpTable(1);
    const changes = (action: () => void) => {
      const before = table.generation;
      action();
      return table.generation !== before;
    };
    expect(
      changes(() => {
        table.seekIpv4(7, 0);
        table.enter(1, 2, 3, 0);
        table.seekIpv4(7, 1);
        table.refresh(2, 3, 1);
      }),
    ).toBe(false);
    expect(
      changes(() => {
        table.seekIpv4(7, 2);
        table.move(2, 2, 3, 2);
      }),
    ).toBe(true);
    expect(changes(() => void table.lease(7, 2, 4, 5, 3))).toBe(true);
    expect(changes(() => table.handOver(2, 3, 4))).toBe(true);
    expect(changes(() => void table.remove(tryParseAddress("0.0.0.7")!, 5))).toBe(true);
    expect(changes(() => void table.remove(tryParseAddress("0.0.0.7")!, 5))).toBe(false);
  });

  test("remove() does not take an IPv6 address for an IPv4 one", () => {
    const table = new IpTable(1);
    table.seekIpv4(0x0a000001, 0);
    table.enter(1, 2, 3, 0);
    expect(table.remove(tryParseAddress("ffff:ffff::a00:1")!, 0)).toBe(false);
    expect(table.remove(tryParseAddress("::ffff:10.0.0.1")!, 0)).toBe(false);
    expect(table.remove(tryParseAddress("10.0.0.1")!, 0)).toBe(true);
  });
});
