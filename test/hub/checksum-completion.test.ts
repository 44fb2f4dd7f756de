import { afterEach, describe, expect, test } from "bun:test";
import { ChecksumCompletion } from "../../src/hub/checksum-completion.ts";
import { DEFAULT_HUB_SETTINGS } from "../../src/hub/hub-settings.ts";
import type { PortKind } from "../../src/hub/port-identity.ts";
import { runScratch } from "../../src/hub/run-scratch.ts";
import { framesOf, runOf } from "../support/array-port.ts";
import { toHex } from "../support/hex.ts";
import {
  Seeded,
  SEGMENT,
  SYN,
  type Segment,
  ipFrame,
  tcpFrame,
  wordSum,
} from "../wasm/random-frames.ts";
import { udp } from "./frames.ts";
import { World } from "./world.ts";

const hex = (frames: readonly Uint8Array[]) => frames.map(toHex);

afterEach(() => runScratch.release(0));

/** The run itself or a copy; what was lent is never changed. */
function complete(...frames: Uint8Array[]): { frames: string[]; isSame: boolean } {
  const run = runOf(frames);
  const before = toHex(run.bytes);
  const made = new ChecksumCompletion().rewrite(run);
  expect(toHex(run.bytes)).toBe(before);
  return { frames: hex(framesOf(made)), isSame: made === run };
}

function udpFrame(segment: Segment): Uint8Array {
  return ipFrame(segment, 17, udp(5000, 5001, segment.payload), 6);
}

const layer3 = (frame: Uint8Array) => (frame[12] === 0x81 ? 18 : 14);
const isV6 = (frame: Uint8Array) => frame[layer3(frame)]! >> 4 === 6;

/** Where the checksum of the segment or datagram stands. */
function sumAt(frame: Uint8Array): number {
  const ip = layer3(frame);
  const layer4 = ip + (isV6(frame) ? 40 : (frame[ip]! & 15) * 4);
  const protocol = isV6(frame) ? frame[ip + 6]! : frame[ip + 9]!;
  return layer4 + (protocol === 6 ? 16 : 6);
}

function put(frame: Uint8Array, at: number, value: number): Uint8Array {
  const made = frame.slice();
  made.set([value >> 8, value & 0xff], at);
  return made;
}

/** The sum over addresses, protocol and length that stacks leave in the field for hardware. */
function partial(frame: Uint8Array): number {
  const ip = layer3(frame);
  const [from, to] = isV6(frame) ? [8, 40] : [12, 20];
  const protocol = isV6(frame) ? frame[ip + 6]! : frame[ip + 9]!;
  const layer4 = ip + (isV6(frame) ? 40 : 20);
  return wordSum(frame.subarray(ip + from, ip + to), protocol + frame.length - layer4);
}

const dresses: [string, (dress?: Partial<Segment>) => Uint8Array][] = [
  ["TCP over IPv4", (dress) => tcpFrame({ ...SEGMENT, ...dress })],
  ["TCP over IPv6", (dress) => tcpFrame({ ...SEGMENT, v6: true, ...dress })],
  ["TCP in a VLAN", (dress) => tcpFrame({ ...SEGMENT, tags: [[0x8100, 5]], ...dress })],
  ["UDP over IPv4", (dress) => udpFrame({ ...SEGMENT, ...dress })],
  ["UDP over IPv6", (dress) => udpFrame({ ...SEGMENT, v6: true, ...dress })],
];

describe("ChecksumCompletion.rewrite()", () => {
  test.each(dresses)("%s: a partial sum or its complement becomes the checksum", (_, make) => {
    for (const payload of [new Uint8Array(1), new Uint8Array(1001).fill(0x5a)]) {
      const right = make({ payload });
      for (const sum of [partial(right), ~partial(right) & 0xffff])
        expect(complete(put(right, sumAt(right), sum)).frames).toEqual(hex([right]));
    }
  });

  test.each(dresses)("%s: what has its checksum, or another, is left alone", (_, make) => {
    const right = make();
    expect(complete(right).isSame).toBe(true);
    // A fault on the way is not to be made good.
    const wrong = put(right, sumAt(right), 0x1357);
    expect(complete(right, wrong, right).isSame).toBe(true);
  });

  test("TCP without any checksum gets one, UDP does not: there it may be left out", () => {
    for (const v6 of [false, true]) {
      const segment = tcpFrame({ ...SEGMENT, v6 });
      expect(complete(put(segment, sumAt(segment), 0)).frames).toEqual(hex([segment]));
      const datagram = udpFrame({ ...SEGMENT, v6 });
      expect(complete(put(datagram, sumAt(datagram), 0)).isSame).toBe(true);
    }
  });

  test("an IPv4 header without a checksum gets one, whatever it carries", () => {
    for (const right of [tcpFrame(SEGMENT), udpFrame(SEGMENT)])
      expect(complete(put(right, layer3(right) + 10, 0)).frames).toEqual(hex([right]));
  });

  test("a first fragment of UDP loses its partial sum, of TCP keeps it", () => {
    const fragment = (frame: Uint8Array) => {
      const made = put(frame, layer3(frame) + 6, 0x2000);
      const header = put(made, layer3(frame) + 10, 0).subarray(14, 34);
      return put(made, layer3(frame) + 10, ~wordSum(header) & 0xffff);
    };
    const datagram = fragment(udpFrame(SEGMENT));
    const bare = put(datagram, sumAt(datagram), partial(datagram));
    expect(complete(bare).frames).toEqual(hex([put(datagram, sumAt(datagram), 0)]));
    const segment = fragment(tcpFrame(SEGMENT));
    expect(complete(put(segment, sumAt(segment), partial(segment))).isSame).toBe(true);
  });

  test("only frames of a run that lack something are changed", () => {
    const right = dresses.map(([, make]) => make());
    const frames = right.flatMap((frame) => [frame, put(frame, sumAt(frame), partial(frame))]);
    expect(complete(...frames).frames).toEqual(hex(right.flatMap((frame) => [frame, frame])));
  });

  test("frames that are cut or lie are left alone or stay frames, and nothing throws", () => {
    const random = new Seeded(3);
    for (let n = 0; n < 20_000; n += 1) {
      const right = dresses[random.below(dresses.length)]![1]({ payload: random.bytes(20) });
      const frame = random.chance(2) ? put(right, sumAt(right), partial(right)) : right;
      for (let k = 0; k < 2; k += 1)
        frame[12 + random.below(frame.length - 12)] = random.below(256);
      const cut = frame.slice(0, 1 + random.below(frame.length));
      expect(complete(cut).frames[0]).toHaveLength(cut.length * 2);
      runScratch.release(0);
    }
  });
});

describe("a hub", () => {
  const syn = (mss: number) =>
    tcpFrame({
      ...SEGMENT,
      flags: SYN,
      options: Uint8Array.of(2, 4, mss >> 8, mss & 0xff),
      payload: new Uint8Array(0),
    });
  const right = syn(1460);
  const bare = put(right, sumAt(right), partial(right));
  const hub = (kind: PortKind, options: Record<string, number>) => {
    const world = new World();
    world.hub.reconfigure({
      ...DEFAULT_HUB_SETTINGS,
      options: { ...DEFAULT_HUB_SETTINGS.options, ...options },
    });
    const to = world.attach("bridge");
    world.attach(kind).send(bare);
    return hex(to.take());
  };

  test.each(["client", "bridge", "cascade"] as const)("completes what a %s sends", (kind) => {
    expect(hub(kind, {})).toEqual(hex([right]));
    expect(hub(kind, { DisableCorrectIpOffloadChecksum: 1 })).toEqual(hex([bare]));
  });

  test("leaves what ports of the server itself send to them", () => {
    for (const kind of ["local-bridge", "secure-nat", "l3"] as const)
      expect(hub(kind, {})).toEqual(hex([bare]));
  });

  test("a segment size that is lowered beside it does not spoil the checksum", () => {
    expect(hub("client", { AdjustTcpMssValue: 1024 })).toEqual(hex([syn(1024)]));
    expect(hub("client", { AdjustTcpMssValue: 1024, DisableAdjustTcpMss: 1 })).toEqual(
      hex([right]),
    );
  });
});
