import { describe, expect, test } from "bun:test";
import { IP_AGE_MS, MAX_IP_ENTRIES } from "../../src/base/limits.ts";
import { IpCounts } from "../../src/hub/ip-counts.ts";

describe("IpCounts", () => {
  test("admitIpv4() lets a port have as many addresses as its limit, known ones always", () => {
    const table = new IpCounts(1);
    const answers = [1, 2, 3, 3, 1, 4].map((ip) => table.admitIpv4(0, ip, 3, 0));
    expect(answers).toEqual([true, true, true, true, true, false]);
    expect(table.countOf(0, 4, 0)).toBe(3);
  });

  test("families and ports are counted apart, and the same address counts at each port", () => {
    const table = new IpCounts(1);
    expect(table.admitIpv4(0, 7, 1, 0)).toBe(true);
    expect(table.admitIpv4(1, 7, 1, 0)).toBe(true);
    expect(table.admitIpv6(0, 7, 0, 0, 0, 1, 0)).toBe(true);
    expect(table.admitIpv6(0, 0, 0, 0, 7, 1, 0)).toBe(false);
    expect([table.countOf(0, 4, 0), table.countOf(0, 6, 0), table.countOf(1, 4, 0)]).toEqual([
      1, 1, 1,
    ]);
  });

  test("an address that is not seen for 60 s makes room for another", () => {
    const table = new IpCounts(1);
    table.admitIpv4(0, 1, 2, 0);
    table.admitIpv4(0, 2, 2, 0);
    table.admitIpv4(0, 2, 2, 30_000);
    expect(table.admitIpv4(0, 3, 2, IP_AGE_MS)).toBe(false);
    expect(table.admitIpv4(0, 3, 2, IP_AGE_MS + 1)).toBe(true);
    expect(table.admitIpv4(0, 4, 2, IP_AGE_MS + 1)).toBe(false);
  });

  test("removePort() forgets both families of one port", () => {
    const table = new IpCounts(1);
    for (const port of [0, 1]) {
      table.admitIpv4(port, 1, 9, 0);
      table.admitIpv6(port, 1, 1, 1, 1, 9, 0);
    }
    table.removePort(0);
    expect([table.countOf(0, 4, 0), table.countOf(0, 6, 0), table.size]).toEqual([0, 0, 2]);
  });

  test("the address seen longest ago goes when the table of the hub is full", () => {
    const table = new IpCounts(1);
    table.admitIpv4(0, 1, Infinity, 0);
    for (let i = 0; i < MAX_IP_ENTRIES; i += 1) table.admitIpv4(1, i, Infinity, 1);
    expect(table.size).toBe(MAX_IP_ENTRIES);
    expect(table.countOf(0, 4, 1)).toBe(0);
  });
});
