import { afterEach, describe, expect, test } from "bun:test";
import { type IpAddress, tryParseAddress } from "../../src/base/ip.ts";
import {
  MAX_NEIGHBORS,
  MAX_UNRESOLVED_NEIGHBORS,
  MAX_WAITING_PER_NEIGHBOR,
} from "../../src/base/limits.ts";
import type { MacAddress } from "../../src/base/mac.ts";
import {
  addressKey,
  type Neighbor,
  NeighborTable,
  type WaitingPacket,
} from "../../src/ip-host/neighbors.ts";
import { ManualClock } from "../support/manual-clock.ts";

const at = (text: string): IpAddress => tryParseAddress(text)!;
const keyOf = ({ bytes }: IpAddress) => addressKey(bytes, 0, bytes.length);
const nth = (n: number) => at(`10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`);
const ONE = at("10.0.0.1");
const MAC = 0x0200_0000_0001 as MacAddress;
const OTHER_MAC = 0x0200_0000_0002 as MacAddress;

let close = () => {};
afterEach(() => close());

function open(free = 10_000) {
  const clock = new ManualClock();
  const asked: (MacAddress | undefined)[] = [];
  const sent: number[] = [];
  const failed: number[] = [];
  const room = { free };
  const numbers = (waiting: readonly WaitingPacket[]) => waiting.map(({ bytes }) => bytes[0]!);
  const table = new NeighborTable(
    clock,
    {
      ask: (_, to) => void asked.push(to),
      resolved: (_, waiting) => void sent.push(...numbers(waiting)),
      failed: (_, waiting) => void failed.push(...numbers(waiting)),
      timed: () => {},
    },
    room,
  );
  close = () => {
    table.clear();
    expect([clock.pending, room.free]).toEqual([0, free]);
  };
  const packet = (number: number) => ({ bytes: Uint8Array.of(number) });
  return { clock, table, asked, sent, failed, room, packet };
}

const seen = ({ state, isUsable, mac }: Neighbor) => ({ state, isUsable, mac });

describe("NeighborTable", () => {
  test("asks once when a packet waits, and sends all that wait when there is an answer", () => {
    const { table, asked, sent, packet, clock } = open();
    const one = table.lookup(ONE)!;
    expect(table.lookup(at("10.0.0.1"))).toBe(one);
    for (const number of [1, 2, 3]) expect(table.wait(one, packet(number))).toBe(true);
    expect([asked, sent]).toEqual([[undefined], []]);
    expect(table.answered(keyOf(ONE), MAC)).toBe(true);
    expect(sent).toEqual([1, 2, 3]);
    expect(seen(one)).toEqual({ state: "reachable", isUsable: true, mac: MAC });
    expect([one.macHigh, one.macLow]).toEqual([0x0200_0000, 0x0001]);
    expect(clock.pending).toBe(0);
  });

  test("gives up after five questions, a second apart, and forgets", () => {
    const { table, asked, failed, packet, clock } = open();
    const one = table.lookup(ONE)!;
    table.wait(one, packet(7));
    clock.advance(4_999);
    expect([asked.length, failed]).toEqual([5, []]);
    clock.advance(1);
    expect([asked.length, failed]).toEqual([5, [7]]);
    expect([one.state, table.size, clock.pending]).toEqual(["gone", 0, 0]);
    expect(table.wait(one, packet(8))).toBe(false);
  });

  test("keeps so many packets for one neighbour, and so many in all", () => {
    const { table, packet, room } = open(MAX_WAITING_PER_NEIGHBOR + 2);
    const [one, two] = [table.lookup(ONE)!, table.lookup(nth(2))!];
    const taken = (who: typeof one) =>
      Array.from({ length: 100 }, (_, number) => table.wait(who, packet(number))).filter(Boolean)
        .length;
    expect([taken(one), taken(two), room.free]).toEqual([MAX_WAITING_PER_NEIGHBOR, 2, 0]);
  });

  test("asks the station that it knows when the answer is old, while frames go on", () => {
    const { table, asked, packet, clock } = open();
    const one = table.lookup(ONE)!;
    table.wait(one, packet(1));
    table.answered(keyOf(ONE), MAC);
    expect(one.checkAt).toBe(30_000);
    clock.advance(30_000);
    table.used(one);
    table.used(one);
    expect([asked, seen(one)]).toEqual([
      [undefined, MAC],
      { state: "probing", isUsable: true, mac: MAC },
    ]);
    table.answered(keyOf(ONE), MAC);
    expect([seen(one).state, one.checkAt, clock.pending]).toEqual(["reachable", 60_000, 0]);
  });

  test("asks everybody when the station stays silent, and takes its heir", () => {
    const { table, asked, packet, clock } = open();
    const one = table.lookup(ONE)!;
    table.wait(one, packet(1));
    table.answered(keyOf(ONE), MAC);
    clock.advance(40_000);
    table.used(one);
    clock.advance(3_000);
    expect(asked.slice(1)).toEqual([MAC, MAC, MAC, undefined]);
    table.answered(keyOf(ONE), OTHER_MAC);
    expect(seen(one)).toEqual({ state: "reachable", isUsable: true, mac: OTHER_MAC });
  });

  test("forgets a station that stays silent for all questions", () => {
    const { table, packet, clock, asked } = open();
    const one = table.lookup(ONE)!;
    table.wait(one, packet(1));
    table.answered(keyOf(ONE), MAC);
    clock.advance(40_000);
    table.used(one);
    clock.advance(10_000);
    expect([asked.length, one.state, table.find(keyOf(ONE)), clock.pending]).toEqual([
      6,
      "gone",
      undefined,
      0,
    ]);
  });

  test("does not believe what nobody has asked", () => {
    const { table } = open();
    expect(table.answered(keyOf(ONE), MAC)).toBe(false);
    expect(table.size).toBe(0);
    table.heard(ONE, MAC);
    expect(table.answered(keyOf(ONE), OTHER_MAC)).toBe(false);
    expect(table.find(keyOf(ONE))!.mac).toBe(MAC);
  });

  test("knows who has asked, and asks back at the first use", () => {
    const { table, asked } = open();
    table.heard(ONE, MAC);
    const one = table.find(keyOf(ONE))!;
    expect([seen(one).state, one.checkAt, asked]).toEqual(["stale", 0, []]);
    table.used(one);
    expect(asked).toEqual([MAC]);
  });

  test("a claim changes nothing but that everybody is asked; the answer does", () => {
    const { table, asked } = open();
    table.claimed(keyOf(ONE), OTHER_MAC);
    table.heard(ONE, MAC);
    table.claimed(keyOf(ONE), MAC);
    expect(asked).toEqual([]);
    table.claimed(keyOf(ONE), OTHER_MAC);
    table.claimed(keyOf(ONE), OTHER_MAC);
    // A question that names another sender is no more.
    table.heard(ONE, OTHER_MAC);
    const one = table.find(keyOf(ONE))!;
    expect([asked, one.mac, one.isUsable]).toEqual([[undefined], MAC, true]);
    table.answered(keyOf(ONE), OTHER_MAC);
    expect(one.mac).toBe(OTHER_MAC);
  });

  test("holds so many that have not answered, and others still find room when those are given up", () => {
    const { table, packet, clock } = open(MAX_UNRESOLVED_NEIGHBORS * 2);
    for (let n = 0; n < MAX_UNRESOLVED_NEIGHBORS; n += 1)
      table.wait(table.lookup(nth(n))!, packet(1));
    expect(table.lookup(nth(1 << 20))).toBeUndefined();
    clock.advance(6_000);
    expect(table.lookup(nth(1 << 20))).toBeDefined();
  });

  test("who was looked up for nothing makes room: what never waits is never given up either", () => {
    const { table, packet, asked, sent } = open();
    const first = table.lookup(nth(0))!;
    for (let n = 1; n < MAX_UNRESOLVED_NEIGHBORS * 2; n += 1) {
      expect(table.lookup(nth(n))).toBeDefined();
    }
    expect([first.state, table.size]).toEqual(["gone", MAX_UNRESOLVED_NEIGHBORS]);
    // Nobody who is known has gone for them.
    for (let n = 0; n < MAX_NEIGHBORS; n += 1) table.heard(nth(n + (1 << 20)), MAC);
    expect([table.size, table.find(keyOf(nth(1 << 20)))?.isUsable]).toEqual([MAX_NEIGHBORS, true]);
    const one = table.lookup(ONE)!;
    expect([table.wait(one, packet(1)), asked.length]).toEqual([true, 1]);
    table.answered(keyOf(ONE), MAC);
    expect(sent).toEqual([1]);
  });

  test("a full table lets go of who was confirmed longest ago", () => {
    const { table } = open();
    for (let n = 0; n < MAX_NEIGHBORS; n += 1) table.heard(nth(n), MAC);
    table.used(table.find(keyOf(nth(0)))!);
    table.answered(keyOf(nth(0)), MAC);
    table.heard(nth(1 << 20), MAC);
    expect(table.size).toBe(MAX_NEIGHBORS);
    expect([nth(0), nth(1), nth(2)].map((one) => table.find(keyOf(one)) !== undefined)).toEqual([
      true,
      false,
      true,
    ]);
  });

  test("IPv6 addresses are told apart by all of their bits", () => {
    const { table } = open();
    table.heard(at("fd00::1"), MAC);
    table.heard(at("fd00:0:0:1::1"), OTHER_MAC);
    expect(table.list().map(({ mac }) => mac)).toEqual([MAC, OTHER_MAC]);
  });
});
