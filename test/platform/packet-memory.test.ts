import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import {
  carvedPacketBytes,
  isPacketMemory,
  PACKET_BASE,
  PACKET_BYTES,
  PACKET_MEMORY_BYTES,
  PACKET_VIEW,
  reserve,
  SlotPool,
  trimPacketMemory,
} from "../../src/platform/packet-memory.ts";

const KIB = 1024;
/** Of packet memory alone: what the runtime collects meanwhile is not counted. */
const residentKib = () => {
  const mappings = readFileSync("/proc/self/smaps", "utf8").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  return mappings.reduce((sum, mapping) => {
    const [from, to] = mapping.split(/[- ]/).map((address) => Number.parseInt(address, 16));
    const isPart = from! < PACKET_BASE + PACKET_BYTES.length && to! > PACKET_BASE;
    return isPart ? sum + Number(/^Rss:\s+(\d+)/m.exec(mapping)![1]) : sum;
  }, 0);
};

// One pool for all tests: what a pool carved is never handed to another.
const pool = new SlotPool(64 * KIB, 160);
let held: number[] = [];
const take = () => {
  const offset = pool.take();
  if (offset !== undefined) held.push(offset);
  return offset;
};
afterEach(() => {
  for (const offset of held) pool.give(offset);
  held = [];
});

describe("packet memory", () => {
  test("reserve() gives aligned areas that do not overlap", () => {
    const first = reserve(100);
    const second = reserve(10);
    expect(first % 64).toBe(0);
    expect(second % 64).toBe(0);
    expect(second).toBeGreaterThanOrEqual(first + 100);
    expect(carvedPacketBytes()).toBeGreaterThanOrEqual(second + 10);
  });

  test("reserve() refuses more than there is", () => {
    expect(() => reserve(PACKET_MEMORY_BYTES)).toThrow("Cannot reserve");
  });

  test("isPacketMemory() tells views of it from other bytes", () => {
    expect(isPacketMemory(PACKET_BYTES.subarray(70_000, 70_010))).toBeTrue();
    expect(isPacketMemory(new Uint8Array(8))).toBeFalse();
  });

  test("PACKET_BYTES, PACKET_VIEW and PACKET_BASE name the same bytes", () => {
    const at = reserve(4);
    PACKET_VIEW.setUint32(at, 0x01020304);
    expect([...PACKET_BYTES.subarray(at, at + 4)]).toEqual([1, 2, 3, 4]);
    expect(PACKET_BASE % 4096).toBe(0);
  });
});

describe("SlotPool", () => {
  test("take() gives distinct slots and counts them", () => {
    const slots = new Set([take(), take(), take()]);
    expect(slots.size).toBe(3);
    expect(pool.taken).toBe(3);
  });

  test("take() uses the slot again that was given back last", () => {
    const first = pool.take()!;
    pool.give(first);
    expect(take()).toBe(first);
  });

  test("take() gives undefined when all slots are in use", () => {
    const small = new SlotPool(1, 2);
    expect(small.slotBytes).toBe(4096);
    expect([small.take(), small.take()]).not.toContain(undefined);
    expect(small.take()).toBeUndefined();
  });

  test("give() refuses a slot that is free, another pool's, or no slot", () => {
    const slot = pool.take()!;
    pool.give(slot);
    expect(() => pool.give(slot)).toThrow("not in use");
    expect(() => pool.give(slot + 1)).toThrow("not in use");
    const other = new SlotPool(4096, 1);
    const foreign = other.take()!;
    expect(() => pool.give(foreign)).toThrow("not in use");
    other.give(foreign);
  });

  test("trimPacketMemory() gives back the pages of slots that lay idle for an interval, and no others", () => {
    const before = residentKib();
    while (held.length < 160) PACKET_BYTES.fill(0xaa, take()!, held.at(-1)! + pool.slotBytes);
    const full = residentKib();
    expect(full - before).toBeGreaterThan(9 * KIB);
    const busy = held.pop()!;
    for (const offset of held) pool.give(offset);
    held = [busy];
    trimPacketMemory();
    expect(residentKib()).toBeGreaterThan(full - KIB);
    trimPacketMemory();
    expect(residentKib()).toBeLessThan(full - 9 * KIB);
    expect(PACKET_BYTES[busy]).toBe(0xaa);
    expect(take()).toBeDefined();
  });
});
