import { expect, test } from "bun:test";
import type { Ipv4 } from "../../../src/base/ip.ts";
import { AddressPool } from "../../../src/secure-nat/dhcp/address-pool.ts";
import { MinHeap } from "../../../src/secure-nat/dhcp/min-heap.ts";
import { seededRandom } from "../../support/seeded-random.ts";

test("MinHeap gives back what was added in order, whatever happens between", () => {
  const random = seededRandom(7);
  const heap = new MinHeap<number>();
  const twin: number[] = [];
  for (let step = 0; step < 5_000; step += 1) {
    if (random.below(3) > 0) {
      const key = random.below(1_000);
      heap.add(key, key);
      twin.push(key);
    } else {
      twin.sort((a, b) => a - b);
      expect(heap.first).toBe(twin[0]);
      heap.removeFirst();
      twin.shift();
    }
    expect(heap.size).toBe(twin.length);
  }
});

test("AddressPool.lowestFree() agrees with a search through all addresses", () => {
  const random = seededRandom(11);
  const taken = new Set<Ipv4>();
  const pool = new AddressPool(100 as Ipv4, 163 as Ipv4, (address) => taken.has(address));
  for (let step = 0; step < 20_000; step += 1) {
    let lowest: number | undefined = 100;
    while (lowest <= 163 && taken.has(lowest as Ipv4)) lowest += 1;
    if (lowest > 163) lowest = undefined;
    expect(pool.lowestFree()).toBe(lowest as Ipv4 | undefined);
    const any = (100 + random.below(64)) as Ipv4;
    if (random.below(2) === 0) {
      // The lowest one, or one that somebody wished for.
      const chosen = random.below(2) === 0 ? any : (lowest as Ipv4 | undefined);
      if (chosen !== undefined) taken.add(chosen);
    } else if (taken.delete(any)) pool.giveBack(any);
  }
});

test("AddressPool looks at no address twice in a pool of 16 million", () => {
  let looks = 0;
  const taken = new Set<Ipv4>();
  const pool = new AddressPool(0x0a00_0000 as Ipv4, 0x0aff_ffff as Ipv4, (address) => {
    looks += 1;
    return taken.has(address);
  });
  for (let n = 0; n < 50_000; n += 1) taken.add(pool.lowestFree()!);
  expect(looks).toBeLessThan(150_000);
});
