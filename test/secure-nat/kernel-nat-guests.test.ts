import { describe, expect, test } from "bun:test";
import { MAX_NEIGHBORS, OWNERSHIP_MS } from "../../src/base/limits.ts";
import type { MacAddress } from "../../src/base/mac.ts";
import { GuestTable } from "../../src/secure-nat/kernel-nat-guests.ts";
import { ManualClock } from "../support/manual-clock.ts";

const ALICE = 0x02_00_00_00_00_01 as MacAddress;
const MALLORY = 0x02_00_00_00_00_66 as MacAddress;
const V4 = Uint8Array.of(0, 192, 168, 30, 50);
const V6 = Uint8Array.from({ length: 16 }, (_, index) => index + 1);

function world() {
  const clock = new ManualClock();
  return { clock, table: new GuestTable(clock) };
}

/** An address by its number. */
function numbered(n: number): Uint8Array {
  return Uint8Array.of(10, (n >> 16) & 255, (n >> 8) & 255, n & 255);
}

describe("GuestTable", () => {
  test("knows the MAC of who has sent, of either family, wherever the address lies", () => {
    const { table } = world();
    expect(table.heard(V4, 1, 4, ALICE)).toBeTrue();
    expect(table.heard(V6, 0, 16, ALICE)).toBeTrue();
    expect(table.macOf(Uint8Array.of(192, 168, 30, 50), 0, 4)).toBe(ALICE);
    expect(table.macOf(V6, 0, 16)).toBe(ALICE);
    expect(table.macOf(V4, 0, 4)).toBeUndefined();
  });

  test("does not believe another station while the owner of an address is about", () => {
    const { clock, table } = world();
    table.heard(V4, 1, 4, ALICE);
    clock.advance(OWNERSHIP_MS - 1000);
    table.heard(V4, 1, 4, ALICE);
    clock.advance(OWNERSHIP_MS - 1);
    expect(table.heard(V4, 1, 4, MALLORY)).toBeFalse();
    expect(table.macOf(V4, 1, 4)).toBe(ALICE);
  });

  test("lets another station have an address whose owner is quiet", () => {
    const { clock, table } = world();
    table.heard(V4, 1, 4, ALICE);
    clock.advance(OWNERSHIP_MS);
    expect(table.heard(V4, 1, 4, MALLORY)).toBeTrue();
    expect(table.macOf(V4, 1, 4)).toBe(MALLORY);
  });

  test("is bounded: who was quiet longest makes room", () => {
    const { clock, table } = world();
    for (let n = 0; n < MAX_NEIGHBORS; n += 1) table.heard(numbered(n), 0, 4, ALICE);
    clock.advance(2000);
    table.heard(numbered(0), 0, 4, ALICE);
    table.heard(numbered(MAX_NEIGHBORS), 0, 4, ALICE);
    expect(table.size).toBe(MAX_NEIGHBORS);
    expect(table.macOf(numbered(0), 0, 4)).toBe(ALICE);
    expect(table.macOf(numbered(1), 0, 4)).toBeUndefined();
    table.clear();
    expect(table.macOf(numbered(0), 0, 4)).toBeUndefined();
  });
});
