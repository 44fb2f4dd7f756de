import { describe, expect, test } from "bun:test";
import type { Ipv4 } from "../../../src/base/ip.ts";
import { AddressPool } from "../../../src/secure-nat/dhcp/address-pool.ts";

const FIRST = 0xc0a8_1e0a as Ipv4;
const LAST = 0xc0a8_1ec8 as Ipv4;

describe("scatteredFree()", () => {
  test("leads each seed to its own place of the pool, the same as long as it is free", () => {
    const pool = new AddressPool(FIRST, LAST, () => false);
    const found = [0, 1, 77, 191, 0xffff_ffff].map((seed) => pool.scatteredFree(seed)!);
    expect(found.map((address) => address - FIRST)).toEqual([0, 1, 77, 0, 0xffff_ffff % 191]);
    expect(found.every((address) => pool.contains(address))).toBe(true);
  });

  test("goes on to the next free address, over the end, and gives up in a crowd", () => {
    const taken = new Set<Ipv4>([LAST, FIRST]);
    const pool = new AddressPool(FIRST, LAST, (address) => taken.has(address));
    expect(pool.scatteredFree(190)).toBe((FIRST + 1) as Ipv4);
    expect(new AddressPool(FIRST, LAST, () => true).scatteredFree(5)).toBeUndefined();
  });
});
