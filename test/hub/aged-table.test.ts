import { describe, expect, test } from "bun:test";
import { AgedTable } from "../../src/hub/aged-table.ts";
import { seededRandom } from "../support/seeded-random.ts";

const AGE_MS = 1000;

function table(seed = 7): AgedTable {
  return new AgedTable({ keyWords: 2, ageMs: AGE_MS, seed });
}

function find(t: AgedTable, a: number, b: number): number {
  t.key[0] = a;
  t.key[1] = b;
  return t.find();
}

function put(t: AgedTable, a: number, b: number, owner: number, now: number): void {
  if (find(t, a, b) >= 0) throw new Error("The key is there already");
  t.insert(owner, now);
}

describe("AgedTable", () => {
  test("find() tells keys apart by every word", () => {
    const t = table();
    put(t, 1, 2, 5, 0);
    put(t, 2, 1, 6, 0);
    put(t, -1, -1, 7, 0);
    expect(t.owner(find(t, 1, 2))).toBe(5);
    expect(t.owner(find(t, 2, 1))).toBe(6);
    expect(t.owner(find(t, -1, -1))).toBe(7);
    expect(find(t, 1, 1)).toBe(-1);
  });

  test("expire() forgets what is older than the age, and nothing that is not", () => {
    const t = table();
    put(t, 1, 1, 0, 0);
    put(t, 2, 2, 0, 500);
    t.expire(AGE_MS);
    expect(t.size).toBe(2);
    t.expire(AGE_MS + 1);
    expect(find(t, 1, 1)).toBe(-1);
    expect(find(t, 2, 2)).not.toBe(-1);
  });

  test("touch() keeps an entry and brings it to the front", () => {
    const t = table();
    put(t, 1, 1, 0, 0);
    put(t, 2, 2, 0, 0);
    t.touch(find(t, 1, 1), 900);
    expect(Array.from(t.slots(), (slot) => t.keyWord(slot, 0))).toEqual([1, 2]);
    t.expire(1500);
    expect(find(t, 1, 1)).not.toBe(-1);
    expect(t.size).toBe(1);
  });

  test("reassign() moves the entry from one owner's count to the other's", () => {
    const t = table();
    put(t, 1, 1, 3, 0);
    t.reassign(find(t, 1, 1), 40, 10);
    expect([t.countOf(3), t.countOf(40)]).toEqual([0, 1]);
    expect(t.created(find(t, 1, 1))).toBe(10);
  });

  test("remove() leaves no gap in front of entries that were pushed aside", () => {
    // All hashes of a table this small collide sooner or later; each order of removal has to hold.
    for (let seed = 0; seed < 50; seed += 1) {
      const t = table(seed);
      for (let i = 0; i < 64; i += 1) put(t, i, 0, 0, 0);
      for (let gone = 0; gone < 64; gone += 1) {
        t.remove(find(t, gone, 0));
        for (let i = 0; i < 64; i += 1) expect(find(t, i, 0) >= 0).toBe(i > gone);
      }
    }
  });

  test("removeOwner() takes all entries of one owner and gives room back", () => {
    const t = table();
    for (let i = 0; i < 5000; i += 1) put(t, i, i, i % 3, 0);
    t.removeOwner(1);
    expect([t.countOf(0), t.countOf(1), t.countOf(2)]).toEqual([1667, 0, 1666]);
    for (let i = 0; i < 5000; i += 1) expect(find(t, i, i) >= 0).toBe(i % 3 !== 1);
    t.removeOwner(0);
    t.removeOwner(2);
    expect(t.size).toBe(0);
    expect([...t.slots()]).toEqual([]);
  });

  test("agrees with a Map over random operations", () => {
    const random = seededRandom(99);
    const t = table();
    const twin = new Map<number, { owner: number; updated: number }>();
    let now = 0;
    for (let step = 0; step < 60_000; step += 1) {
      const key = random.below(600);
      const owner = random.below(9);
      const slot = find(t, key, ~key);
      const known = twin.get(key);
      expect(slot >= 0).toBe(known !== undefined);
      switch (random.below(6)) {
        case 0:
        case 1:
        case 2:
          if (slot < 0) {
            t.insert(owner, now);
            twin.set(key, { owner, updated: now });
          } else {
            t.reassign(slot, owner, now);
            twin.delete(key);
            twin.set(key, { owner, updated: now });
          }
          break;
        case 3:
          if (slot >= 0 && known) {
            t.touch(slot, now);
            known.updated = now;
            twin.delete(key);
            twin.set(key, known);
          }
          break;
        case 4:
          if (slot >= 0) t.remove(slot);
          twin.delete(key);
          break;
        case 5:
          now += random.below(20);
          t.expire(now);
          for (const [k, v] of twin) if (now - v.updated > AGE_MS) twin.delete(k);
          if (random.below(400) === 0) {
            t.removeOwner(owner);
            for (const [k, v] of twin) if (v.owner === owner) twin.delete(k);
          }
      }
      expect(t.size).toBe(twin.size);
    }
    const order = Array.from(t.slots(), (s) => [t.keyWord(s, 0), t.owner(s), t.updated(s)]);
    expect(order.reverse()).toEqual([...twin].map(([k, v]) => [k, v.owner, v.updated]));
    expect(twin.size).toBeGreaterThan(50);
  });
});
