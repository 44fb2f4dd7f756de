import { describe, expect, test } from "bun:test";
import { MssClamp } from "../../src/hub/mss-clamp.ts";
import { framesOf, runOf } from "../support/array-port.ts";
import { toHex } from "../support/hex.ts";
import { ACK, PSH, Seeded, SEGMENT, SYN, tcpFrame, type Segment } from "../wasm/random-frames.ts";

const MSS = (value: number) => [2, 4, value >> 8, value & 255];
const NOP = 1;

function syn(dress: Partial<Segment>, ...options: number[]): Uint8Array {
  const payload = new Uint8Array(0);
  return tcpFrame({
    ...SEGMENT,
    flags: SYN,
    payload,
    options: Uint8Array.from(options),
    ...dress,
  });
}

/** What the clamp makes of frames; those that it leaves alone come back as the run itself. */
function clamp(...frames: Uint8Array[]): { frames: Uint8Array[]; isSame: boolean } {
  const run = runOf(frames);
  const before = toHex(run.bytes);
  const made = new MssClamp(1_309).rewrite(run);
  expect(toHex(run.bytes)).toBe(before);
  return { frames: framesOf(made), isSame: made === run };
}

describe("MssClamp.rewrite()", () => {
  const dresses: readonly [string, Partial<Segment>, number][] = [
    ["IPv4", {}, 1_309],
    ["IPv6", { v6: true }, 1_289],
    ["IPv4 in a VLAN", { tags: [[0x8100, 5]] }, 1_305],
    ["IPv6 in a VLAN", { v6: true, tags: [[0x88a8, 5]] }, 1_285],
    ["a SYN that acknowledges", { flags: SYN | ACK }, 1_309],
  ];
  test.each(dresses)(
    "%s: a larger segment size is lowered, and the checksum holds",
    (_, dress, allowed) => {
      for (const value of [allowed + 1, 1_460, 8_960, 65_535]) {
        const { frames } = clamp(syn(dress, ...MSS(value)));
        expect(toHex(frames[0]!)).toBe(toHex(syn(dress, ...MSS(allowed))));
      }
      expect(clamp(syn(dress, ...MSS(allowed))).isSame).toBe(true);
    },
  );

  test("the option is found among others, also where it begins at an odd place", () => {
    const others = [4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0];
    for (const before of [[NOP], [NOP, NOP], [3, 3, 7], others]) {
      const around = (value: number) => {
        const options = [...before, ...MSS(value)];
        return syn({}, ...options, ...Array.from({ length: -options.length & 3 }, () => NOP));
      };
      expect(toHex(clamp(around(1_460)).frames[0]!)).toBe(toHex(around(1_309)));
    }
  });

  test("only SYNs of a run are changed, in a copy", () => {
    const data = tcpFrame({ ...SEGMENT, payload: new Uint8Array(1_000) });
    const small = tcpFrame({ ...SEGMENT, flags: ACK | PSH, payload: new Uint8Array(3) });
    const { frames } = clamp(data, syn({}, ...MSS(1_460)), small, syn({ v6: true }, ...MSS(1_440)));
    expect(frames.map(toHex)).toEqual(
      [data, syn({}, ...MSS(1_309)), small, syn({ v6: true }, ...MSS(1_289))].map(toHex),
    );
    expect(clamp(data, small).isSame).toBe(true);
  });

  test.each([
    ["no option", syn({})],
    ["an option of no length", syn({}, 3, 0, 0, 0)],
    ["an option beyond the header", syn({}, NOP, NOP, 3, 40)],
    ["an option after the end of options", syn({}, 0, ...MSS(1_460), 0, 0, 0)],
    ["an option of a wrong length", syn({}, 2, 8, 5, 180, 0, 0, 0, 0)],
    ["a fragment", fragment(syn({}, ...MSS(1_460)))],
    ["an option cut short", syn({}, NOP, NOP, NOP, NOP, ...MSS(1_460)).slice(0, 60)],
  ])("FR: %s is left alone", (_, frame) => {
    expect(clamp(frame).isSame).toBe(true);
  });

  test("whatever else comes is left alone or stays valid, and nothing throws", () => {
    const random = new Seeded(11);
    for (let n = 0; n < 20_000; n += 1) {
      const frame = syn({ v6: random.chance(2) }, ...MSS(1_460), NOP, NOP, NOP, NOP);
      for (let k = 0; k < 3; k += 1)
        frame[12 + random.below(frame.length - 12)] = random.below(256);
      const { frames } = clamp(frame.slice(0, 14 + random.below(frame.length - 13)));
      expect(frames).toBeArrayOfSize(1);
    }
  });
});

function fragment(frame: Uint8Array): Uint8Array {
  frame[20] = 0x20;
  return frame;
}
