import { describe, expect, test } from "bun:test";
import { readMac } from "../../src/base/mac.ts";
import { CUT, isBadSource, isGroup, isPause, vlanIdOf } from "../../src/hub/layer2.ts";
import { BROADCAST, frame, type FrameParts, mac } from "./frames.ts";

const addresses = { to: mac(1), from: mac(2) };

function vlanOf(parts: Partial<FrameParts>, cutTo?: number): number {
  const bytes = frame({ ...addresses, ...parts });
  const size = cutTo ?? bytes.length;
  const view = new DataView(bytes.buffer);
  return vlanIdOf(view, 0, size, view.getUint16(12));
}

describe("vlanIdOf()", () => {
  const cases: [string, Partial<FrameParts>, number][] = [
    ["FR-13 a tag", { tags: [200] }, 200],
    ["FR-13 VID 0", { tags: [0] }, 0],
    ["FR-13 VID 4095", { tags: [4095] }, 4095],
    ["FR-13 the outer of two tags", { tags: [10, 20] }, 10],
    ["FR-13 the outer of eight tags", { tags: [1, 2, 3, 4, 5, 6, 7, 8] }, 1],
    ["priority bits", { tags: [0xe005] }, 5],
    ["an 802.3 length that fits", { type: 3, payload: [0x42, 0x42, 3] }, 0],
    ["an 802.3 length with padding", { type: 38, size: 60 }, 0],
    ["FR-14 an 802.3 length past the end", { type: 47, size: 60 }, CUT],
    ["FR-14 a length behind a tag past the end", { tags: [9], type: 43, size: 60 }, CUT],
    ["FR-14 LLC cut", { type: 2, payload: [0x42, 0x42] }, CUT],
    ["FR-14 SNAP cut", { type: 7, payload: [0xaa, 0xaa, 3, 0, 0, 0, 8] }, CUT],
    ["FR-14 SNAP complete", { type: 8, payload: [0xaa, 0xaa, 3, 0, 0, 0, 8, 0] }, 0],
  ];
  test.each(cases)("reads %s", (_name, parts, expected) => {
    expect(vlanOf(parts)).toBe(expected);
  });

  test("FR-13 refuses a tag that is cut after any of its bytes", () => {
    for (let size = 14; size < 18; size += 1) expect(vlanOf({ tags: [200] }, size)).toBe(CUT);
  });
});

describe("addresses", () => {
  const words = (to: number, from: number): [number, number, number] => {
    const view = new DataView(frame({ to, from }).buffer);
    return [view.getInt32(0), view.getInt32(4), view.getInt32(8)];
  };
  const cases: [string, number, number, boolean][] = [
    ["unicast", mac(1), mac(2), false],
    ["broadcast", mac(1), BROADCAST, true],
    ["multicast", mac(1), 0x01005e000001, true],
    ["zero", mac(1), 0, true],
    ["its destination", mac(1), mac(1), true],
    ["its destination but for one bit", 0x0200ffffffff, 0x0600ffffffff, false],
    ["high bits", 0xfeffffffffff, 0xfcffffffffff, false],
  ];
  test.each(cases)("isBadSource() judges a source that is %s", (_name, to, from, expected) => {
    expect(isBadSource(...words(to, from))).toBe(expected);
  });

  test("isGroup() and isPause() read the destination", () => {
    const of = (to: number) => words(to, mac(1));
    expect(isGroup(of(BROADCAST)[0])).toBe(true);
    expect(isGroup(of(0x0180c2000000)[0])).toBe(true);
    expect(isGroup(of(0xfeffffffffff)[0])).toBe(false);
    const pauses = [0x0180c2000001, 0x0180c2000000, 0x0180c200000e, mac(1)].map((to) =>
      isPause(of(to)[0], of(to)[1]),
    );
    expect(pauses).toEqual([true, false, false, false]);
    expect(readMac(frame({ to: 0x0180c2000001, from: mac(1) }), 0) as number).toBe(0x0180c2000001);
  });
});
