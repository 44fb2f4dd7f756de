import { describe, expect, test } from "bun:test";
import { OffloadModule, VARIANTS } from "./offload-module.ts";
import { crc32c, plainCut } from "./offload-twin.ts";
import {
  ACK,
  CWR,
  FIN,
  framesOf,
  hexOf,
  ipFrame,
  PSH,
  SEGMENT,
  Seeded,
  tcpFrame,
  wordSum,
  type Segment,
} from "./random-frames.ts";

const MALFORMED = -1;
const NO_ROOM = -2;
const TOO_LONG = -3;

/** A super-frame as a TAP gives it: the sum of the pseudo-header, length included, stands in the checksum field. */
function superFrame(segment: Segment, size: number, protocol: 6 | 17 = 6): Uint8Array {
  const udp = new Uint8Array(8 + segment.payload.length);
  new DataView(udp.buffer).setUint16(2, 53);
  udp.set(segment.payload, 8);
  const frame = protocol === 6 ? tcpFrame(segment) : ipFrame(segment, 17, udp, 6);
  const l3 = 14 + 4 * segment.tags.length;
  const l4 = l3 + (segment.v6 ? 40 : 20);
  const addresses = segment.v6 ? frame.subarray(l3 + 8, l3 + 40) : frame.subarray(l3 + 12, l3 + 20);
  const field = protocol === 6 ? 16 : 6;
  const pseudo = wordSum(addresses, protocol + frame.length - l4);
  new DataView(frame.buffer).setUint16(l4 + field, pseudo);
  const gsoType = protocol === 17 ? 5 : segment.v6 ? 4 : 1;
  return withVnet(frame, { flags: 1, gsoType, size, start: l4, field });
}

function withVnet(
  frame: Uint8Array,
  vnet: { flags: number; gsoType: number; size: number; start: number; field: number },
): Uint8Array {
  const read = new Uint8Array(10 + frame.length);
  const view = new DataView(read.buffer);
  view.setUint8(0, vnet.flags);
  view.setUint8(1, vnet.gsoType);
  view.setUint16(4, vnet.size, true);
  view.setUint16(6, vnet.start, true);
  view.setUint16(8, vnet.field, true);
  read.set(frame, 10);
  return read;
}

describe.each(VARIANTS)("%s", (variant) => {
  const module = new OffloadModule(variant);
  const framesCut = (read: Uint8Array) => framesOf(module.cut(read).run);
  const payload = new Seeded(1).bytes(10_000);

  test("sum() adds up words of any length and alignment of the end", () => {
    const random = new Seeded(2);
    for (let length = 0; length < 200; length += 1) {
      const bytes = random.bytes(length);
      const padded = new Uint8Array(length + (length & 1));
      padded.set(bytes);
      const words = new Uint16Array(padded.buffer);
      expect(module.sum(bytes)).toBe(BigInt(words.reduce((sum, word) => sum + word, 0)));
    }
    expect(module.sum(new Uint8Array(65_535).fill(255))).toBe(32_767n * 65_535n + 255n);
  });

  const dresses: readonly [string, Partial<Segment>][] = [
    ["TCP over IPv4", {}],
    ["TCP over IPv6", { v6: true }],
    ["TCP over IPv4 with a tag", { tags: [[0x8100, 42]] }],
    [
      "TCP over IPv6 with two tags",
      {
        v6: true,
        tags: [
          [0x88a8, 1],
          [0x8100, 42],
        ],
      },
    ],
    ["TCP without options", { options: new Uint8Array(0) }],
    ["TCP whose sequence and id wrap", { sequence: 0xffff_fff0, id: 0xfffe }],
  ];
  test.each(dresses)("cut() makes of %s what the sender would have sent", (_, dress) => {
    const segment = { ...SEGMENT, ...dress, payload, flags: ACK | PSH | FIN | CWR };
    const expected: Uint8Array[] = [];
    for (let at = 0; at < payload.length; at += 1428) {
      const isLast = at + 1428 >= payload.length;
      expected.push(
        tcpFrame({
          ...segment,
          payload: payload.subarray(at, at + 1428),
          sequence: segment.sequence + at,
          id: segment.id + expected.length,
          flags: ACK | (at === 0 ? CWR : 0) | (isLast ? PSH | FIN : 0),
        }),
      );
    }
    expect(framesCut(superFrame(segment, 1428))).toEqual(expected);
    expect(module.cutFrames()).toBe(expected.length);
  });

  test.each([false, true])("cut() makes datagrams of a UDP super-frame, IPv6 %p", (v6) => {
    const frames = framesCut(superFrame({ ...SEGMENT, v6, payload }, 1472, 17));
    expect(frames.length).toBe(Math.ceil(payload.length / 1472));
    const l4 = v6 ? 54 : 34;
    for (const [n, frame] of frames.entries()) {
      const part = payload.subarray(n * 1472, (n + 1) * 1472);
      expect(frame.subarray(l4 + 8)).toEqual(part);
      const udp = new Uint8Array(8 + part.length);
      new DataView(udp.buffer).setUint16(2, 53);
      new DataView(udp.buffer).setUint16(4, udp.length);
      udp.set(part, 8);
      expect(frame).toEqual(ipFrame({ ...SEGMENT, v6, id: SEGMENT.id + n }, 17, udp, 6));
    }
  });

  test("cut() repeats IP options and extension headers", () => {
    const plain = superFrame({ ...SEGMENT, v6: true, payload: payload.subarray(0, 3000) }, 1400);
    // A destination options header of 8 bytes behind the IPv6 header; its length is not in the pseudo-header.
    const read = Uint8Array.from([
      ...plain.subarray(0, 64),
      6,
      0,
      1,
      4,
      0,
      0,
      0,
      0,
      ...plain.subarray(64),
    ]);
    read[30] = 60;
    new DataView(read.buffer).setUint16(6, 62, true);
    const frames = framesCut(read);
    expect(frames.length).toBe(3);
    for (const frame of frames)
      expect([...frame.subarray(54, 62)]).toEqual([6, 0, 1, 4, 0, 0, 0, 0]);
    expect(frames).toEqual(plainCut(read, 1600) as Uint8Array[]);
  });

  test("cut() completes the checksum of a single frame, and leaves one without the flag alone", () => {
    const whole = tcpFrame(SEGMENT);
    const read = superFrame(SEGMENT, 0);
    read[1] = 0;
    expect(framesCut(read)).toEqual([whole]);
    const raw = withVnet(whole, { flags: 0, gsoType: 0, size: 9, start: 9, field: 9 });
    expect(framesCut(raw)).toEqual([whole]);
  });

  test("cut() completes the CRC of SCTP, whose field is no sum, over IPv4, IPv6 and behind a tag", () => {
    expect(crc32c(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
    for (const segment of [
      SEGMENT,
      { ...SEGMENT, v6: true },
      { ...SEGMENT, tags: [[0x8100, 7]] as const },
    ]) {
      const body = new Seeded(5).bytes(301);
      const frame = ipFrame(segment, 132, body, 8);
      const start = frame.length - body.length;
      const read = withVnet(frame, { flags: 1, gsoType: 0, size: 0, start, field: 8 });
      const [made] = framesCut(read);
      expect([made]).toEqual(plainCut(read, 1600) as Uint8Array[]);
      const packet = made!.slice(start);
      const crc = new DataView(packet.buffer).getUint32(8, true);
      packet.fill(0, 8, 12);
      expect(crc).toBe(crc32c(packet));
    }
    // The same field of another protocol is a sum.
    const other = withVnet(ipFrame(SEGMENT, 133, new Uint8Array(40), 8), {
      flags: 1,
      gsoType: 0,
      size: 0,
      start: 34,
      field: 8,
    });
    expect(framesCut(other.slice())).toEqual(plainCut(other, 1600) as Uint8Array[]);
  });

  test("cut() sends a UDP checksum of zero as all ones", () => {
    const body = new Uint8Array(10);
    const frame = ipFrame(SEGMENT, 17, body, 6);
    const l4 = 34;
    // Choose the payload so that the sum comes out as 0xffff.
    const view = new DataView(frame.buffer);
    const pseudo = wordSum(frame.subarray(26, 34), 17 + body.length);
    view.setUint16(l4 + 6, pseudo);
    view.setUint16(l4 + 8, 0xffff - wordSum(frame.subarray(l4)));
    const [made] = framesCut(
      withVnet(frame, { flags: 1, gsoType: 0, size: 0, start: l4, field: 6 }),
    );
    expect([...made!.subarray(l4 + 6, l4 + 8)]).toEqual([0xff, 0xff]);
  });

  test("FR-08 cut() refuses frames that are too long or too short for the wire", () => {
    const none = { flags: 0, gsoType: 0, size: 0, start: 0, field: 0 };
    expect(module.cut(withVnet(new Uint8Array(13), none)).answer).toBe(MALFORMED);
    expect(module.cut(withVnet(new Uint8Array(14), none)).answer).toBe(18);
    expect(module.cut(withVnet(new Uint8Array(1600), none)).answer).toBe(1604);
    expect(module.cut(withVnet(new Uint8Array(1601), none)).answer).toBe(TOO_LONG);
    expect(module.cut(superFrame({ ...SEGMENT, payload }, 8948)).answer).toBe(TOO_LONG);
    expect(module.cut(new Uint8Array(5)).answer).toBe(MALFORMED);
  });

  test("cut() writes nothing when there is no room for all frames", () => {
    const read = superFrame({ ...SEGMENT, payload }, 1428);
    const { answer } = module.cut(read);
    expect(answer).toBeGreaterThan(payload.length);
    expect(module.cut(read, answer).answer).toBe(answer);
    expect(module.cut(read, answer - 1).answer).toBe(NO_ROOM);
  });

  test("cut() refuses super-frames whose headers do not add up", () => {
    const good = superFrame({ ...SEGMENT, payload }, 1428);
    const spoil = (change: (read: Uint8Array) => void) => {
      const read = good.slice();
      change(read);
      return module.cut(read).answer;
    };
    expect(spoil((read) => (read[0] = 0))).toBe(MALFORMED);
    expect(spoil((read) => (read[1] = 4))).toBe(MALFORMED);
    expect(spoil((read) => (read[1] = 3))).toBe(MALFORMED);
    expect(spoil((read) => read.fill(0, 4, 6))).toBe(MALFORMED);
    expect(spoil((read) => read.fill(255, 6, 8))).toBe(MALFORMED);
    expect(spoil((read) => (read[6] = 20))).toBe(MALFORMED);
    expect(spoil((read) => (read[10 + 34 + 12] = 0x40))).toBe(MALFORMED);
    expect(spoil((read) => (read[22] = 0x12))).toBe(MALFORMED);
  });

  test("cut() agrees with its plain twin on random and broken input, and stays in its bounds", () => {
    const random = new Seeded(3);
    const answers = new Set<string>();
    for (let round = 0; round < 3000; round += 1) {
      const segment: Segment = {
        ...SEGMENT,
        v6: random.chance(2),
        tags: random.pick([
          [],
          [[0x8100, 7]],
          [
            [0x88a8, 7],
            [0x8100, 9],
          ],
        ]),
        options: random.pick([new Uint8Array(0), SEGMENT.options, random.bytes(40)]),
        payload: payload.subarray(0, 1 + random.below(random.pick([20, 3000, 9999]))),
        flags: random.below(256),
        id: random.below(65_536),
        sequence: random.below(2 ** 32),
      };
      const size = 1 + random.below(1500);
      // Tiny segments are many: few of those.
      if (size < 30 && segment.payload.length > 500) continue;
      const read = superFrame(segment, size, random.pick([6, 17]));
      if (random.chance(3)) read[1] = random.pick([0, 1, 4, 5, 0x81, 3, 0xff]);
      for (let flips = random.below(3) * random.below(3); flips > 0; flips -= 1) {
        read[random.below(Math.min(read.length, 120))] = random.below(256);
      }
      const cutShort = random.chance(5) ? read.slice(0, random.below(read.length + 1)) : read;
      const { answer, run } = module.cut(cutShort.slice());
      const expected = cutShort.length < 24 ? "malformed" : plainCut(cutShort, 1600);
      const name = answer === MALFORMED ? "malformed" : answer === TOO_LONG ? "too-long" : "frames";
      answers.add(name);
      if (typeof expected === "string") expect({ round, name }).toEqual({ round, name: expected });
      else
        expect({ round, frames: hexOf(framesOf(run)) }).toEqual({ round, frames: hexOf(expected) });
    }
    expect(answers.size).toBe(3);
  });
});
