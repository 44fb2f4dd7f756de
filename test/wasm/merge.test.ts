import { describe, expect, test } from "bun:test";
import { OffloadModule, VARIANTS, type Job } from "./offload-module.ts";
import { examine, plainMerge } from "./offload-twin.ts";
import {
  ACK,
  CWR,
  FIN,
  framesOf,
  hexOf,
  ipFrame,
  PSH,
  randomFrames,
  runOf,
  SEGMENT,
  Seeded,
  tcpFrame,
  type Segment,
} from "./random-frames.ts";

/** Segments of one flow that follow upon each other. */
function stream(
  count: number,
  dress: Partial<Segment> = {},
  last: Partial<Segment> = {},
): Uint8Array[] {
  const base = { ...SEGMENT, ...dress };
  return Array.from({ length: count }, (_, n) =>
    tcpFrame({
      ...base,
      sequence: base.sequence + n * base.payload.length,
      id: base.id + n,
      ...(n === count - 1 ? last : {}),
    }),
  );
}

/** The numbers of the frames in each job. */
function grouping(frames: readonly Uint8Array[], jobs: readonly Job[]): number[][] {
  let at = 0;
  const starts = frames.map((frame) => (at += 4 + frame.length) - frame.length);
  return jobs.map((job) =>
    job.partsAt.map((partAt) => starts.findLastIndex((start) => start <= partAt)),
  );
}

describe.each(VARIANTS)("%s", (variant) => {
  const module = new OffloadModule(variant);
  const groups = (frames: readonly Uint8Array[]) =>
    grouping(frames, module.merge(runOf(frames)).jobs);
  const cutAgain = (job: Job) => framesOf(module.cut(job.bytes.slice()).run);

  const dresses: readonly [string, Partial<Segment>][] = [
    ["IPv4", {}],
    ["IPv6", { v6: true }],
    ["IPv4 in a VLAN", { tags: [[0x8100, 0x2064]] }],
    ["IPv6 in a VLAN", { v6: true, tags: [[0x8100, 100]] }],
    ["small segments", { payload: new Uint8Array(33).fill(1) }],
    ["sequence and id that wrap", { sequence: 0xffff_ff00, id: 0xfffe }],
  ];
  test.each(dresses)(
    "merge() makes one job of a flow over %s, and cutting gives it back",
    (_, dress) => {
      const frames = stream(20, dress, { flags: ACK | PSH, payload: new Uint8Array(20).fill(9) });
      const { jobs, refused } = module.merge(runOf(frames));
      expect(refused).toBe(0);
      expect(jobs.length).toBe(1);
      expect(cutAgain(jobs[0]!)).toEqual(frames);
    },
  );

  test("merge() keeps interleaved flows apart and each in its order", () => {
    const [one, two] = [stream(6), stream(6, { sourcePort: 40_001, v6: true })];
    const frames = one.flatMap((frame, n) => [frame, two[n]!]);
    expect(groups(frames)).toEqual([
      [0, 2, 4, 6, 8, 10],
      [1, 3, 5, 7, 9, 11],
    ]);
  });

  const next = stream(3)[1]!;
  const changed: readonly [string, Partial<Segment>][] = [
    ["acknowledgement", { acknowledgement: 5001 }],
    ["window", { window: 502 }],
    ["ECE", { flags: ACK | 0x40 }],
    ["CWR", { flags: ACK | CWR }],
    ["SYN", { flags: ACK | 2 }],
    ["RST", { flags: ACK | 4 }],
    ["URG", { flags: ACK | 32 }],
    ["no ACK", { flags: 0 }],
    ["options", { options: Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 2) }],
    ["fewer options", { options: new Uint8Array(0) }],
    ["traffic class", { tos: 3 }],
    ["TTL", { ttl: 63 }],
    ["id by three", { id: SEGMENT.id + 3 }],
    ["DF", { dontFragment: false }],
    ["sequence", { sequence: SEGMENT.sequence + 1449 }],
    ["payload longer", { payload: new Uint8Array(1449) }],
    ["no payload", { payload: new Uint8Array(0) }],
    ["tag", { tags: [[0x8100, 1]] }],
  ];
  test.each(changed)(
    "merge() does not merge a segment with another %s, nor pass it",
    (_, change) => {
      const second = tcpFrame({ ...SEGMENT, sequence: 2448, id: 8, ...change });
      const frames = [tcpFrame(SEGMENT), second, stream(3)[2]!];
      expect(groups(frames)).toEqual([[0], [1], [2]]);
      expect(groups([tcpFrame(SEGMENT), next])).toEqual([[0, 1]]);
    },
  );

  test("merge() takes an id that stands still with DF only, and not mixed with one that counts", () => {
    const still = (dontFragment: boolean) =>
      Array.from({ length: 4 }, (_, n) =>
        tcpFrame({ ...SEGMENT, sequence: n * 1448, id: 0, dontFragment }),
      );
    expect(groups(still(true))).toEqual([[0, 1, 2, 3]]);
    expect(groups(still(false))).toEqual([[0], [1], [2], [3]]);
    const mixed = still(true);
    mixed[2] = tcpFrame({ ...SEGMENT, sequence: 2 * 1448, id: 1 });
    expect(groups(mixed)).toEqual([[0, 1], [2], [3]]);
  });

  test("merge() ends a job with PSH, FIN or a shorter segment", () => {
    for (const last of [
      { flags: ACK | PSH },
      { flags: ACK | FIN },
      { payload: new Uint8Array(7) },
    ]) {
      const frames = [...stream(3, {}, last), ...stream(2, { sequence: 5344, id: 10 })];
      expect(groups(frames)[0]).toEqual([0, 1, 2]);
      const { jobs } = module.merge(runOf(frames));
      expect(cutAgain(jobs[0]!)).toEqual(frames.slice(0, 3));
    }
    expect(groups([tcpFrame({ ...SEGMENT, flags: ACK | PSH }), next])).toEqual([[0], [1]]);
  });

  test("merge() never merges what does not verify", () => {
    const frames = stream(3);
    for (const at of [24, 40, 60, 500, 1513]) {
      const broken = frames.map((frame) => frame.slice());
      broken[1]![at]! ^= 0x10;
      const { jobs } = module.merge(runOf(broken));
      expect(jobs.map((job) => job.bytes.slice(10))).toEqual(broken);
    }
  });

  test("merge() leaves frames with padding, fragments, options and other protocols as they are", () => {
    const frames = stream(2);
    const padded = frames.map((frame) => Uint8Array.from([...frame, 0, 0]));
    const fragments = stream(2);
    for (const frame of fragments) frame[20] = 0x20;
    const udp = [0, 1].map(() => ipFrame(SEGMENT, 17, new Uint8Array(600), 6));
    const others = [new Uint8Array(14), new Uint8Array(60).fill(255), new Uint8Array(1600)];
    const all = [...padded, ...fragments, ...udp, ...others];
    const { jobs } = module.merge(runOf(all));
    expect(jobs.map((job) => job.bytes)).toEqual(
      all.map((frame) => Uint8Array.from([...new Uint8Array(10), ...frame])),
    );
  });

  test("merge() fills no job beyond 63 segments or 65,535 bytes of IP", () => {
    expect(groups(stream(100)).map((job) => job.length)).toEqual([45, 45, 10]);
    const small = stream(130, { payload: new Uint8Array(10) });
    expect(groups(small).map((job) => job.length)).toEqual([63, 63, 4]);
    const v6 = module.merge(runOf(stream(60, { v6: true, payload: new Uint8Array(1428) })))
      .jobs[0]!;
    expect(v6.bytes.length).toBeLessThanOrEqual(10 + 14 + 65_535);
  });

  test("FR-08 merge() refuses frames of 13 and of 1,601 bytes and counts them", () => {
    const lengths = [0, 13, 14, 1600, 1601, 3200];
    const { jobs, refused } = module.merge(runOf(lengths.map((length) => new Uint8Array(length))));
    expect(refused).toBe(4);
    expect(jobs.map((job) => job.bytes.length - 10)).toEqual([14, 1600]);
  });

  test("FR-01 merge() ends at a size that runs past the run", () => {
    const run = runOf([tcpFrame(SEGMENT), new Uint8Array(20)]);
    for (const size of [21, 1600, 0x7fff_ffff, 0xffff_fffe]) {
      const lying = run.slice();
      new DataView(lying.buffer).setUint32(lying.length - 24, size);
      const { jobs, refused } = module.merge(lying);
      expect([jobs.length, refused]).toEqual([1, 1]);
    }
  });

  test("merge() agrees with its plain twin on random flows, and cutting gives every frame back", () => {
    let merged = 0;
    for (let seed = 0; seed < 60; seed += 1) {
      const random = new Seeded(seed);
      // No more frames than there are jobs for: the twin has no bound.
      const frames = randomFrames(random, 100, 1 + random.below(20));
      const { jobs } = module.merge(runOf(frames));
      const expected = plainMerge(frames);
      expect({ seed, jobs: JSON.stringify(grouping(frames, jobs)) }).toEqual({
        seed,
        jobs: JSON.stringify(expected.map((job) => job.frames)),
      });
      for (const [n, job] of jobs.entries()) {
        expect(job.bytes.toHex()).toBe(expected[n]!.bytes.toHex());
        if (job.partsAt.length === 1) continue;
        merged += 1;
        expect(hexOf(cutAgain(job).map(withoutAtomicId))).toEqual(
          hexOf(expected[n]!.frames.map((number) => withoutAtomicId(frames[number]!))),
        );
      }
    }
    expect(merged).toBeGreaterThan(500);
  });

  test("merge() survives broken frames: all pass once, unchanged, each flow in order", () => {
    for (let seed = 0; seed < 40; seed += 1) {
      const random = new Seeded(1000 + seed);
      const frames = randomFrames(random, 300, 8).map((frame) => broken(random, frame));
      const { jobs, refused } = module.merge(runOf(frames));
      const seen = grouping(frames, jobs);
      const passed = frames.flatMap((frame, n) =>
        frame.length >= 14 && frame.length <= 1600 ? [n] : [],
      );
      expect(refused).toBe(frames.length - passed.length);
      expect(seen.flat().toSorted((a, b) => a - b)).toEqual(passed);
      const lastOfFlow = new Map<string, number>();
      for (const number of seen.flat()) {
        const flow = fiveTuple(frames[number]!);
        expect(number).toBeGreaterThan(lastOfFlow.get(flow) ?? -1);
        if (flow !== "") lastOfFlow.set(flow, number);
      }
      for (const [n, job] of jobs.entries()) {
        if (job.partsAt.length > 1) continue;
        expect(job.bytes.slice(10).toHex()).toBe(frames[seen[n]![0]!]!.toHex());
      }
    }
  });
});

/** Where identification means nothing it may come back counted up (RFC 6864): without fragments and with DF. */
function withoutAtomicId(frame: Uint8Array): Uint8Array {
  const { candidate } = examine(frame);
  if (candidate === undefined || !candidate.dontFragment) return frame;
  const copy = frame.slice();
  copy.fill(0, candidate.l3 + 4, candidate.l3 + 6);
  copy.fill(0, candidate.l3 + 10, candidate.l3 + 12);
  return copy;
}

function fiveTuple(frame: Uint8Array): string {
  if (examine(frame).flow === undefined) return "";
  const l3 = frame[12] === 8 || frame[12] === 0x86 ? 14 : 18;
  const [from, to] = frame[l3]! >> 4 === 6 ? [l3 + 8, l3 + 44] : [l3 + 12, l3 + 24];
  return frame.subarray(0, l3).toHex() + frame.subarray(from, to).toHex();
}

function broken(random: Seeded, frame: Uint8Array): Uint8Array {
  switch (random.below(8)) {
    case 0:
      return frame.slice(0, random.below(frame.length + 1));
    case 1:
      return random.bytes(random.below(3201));
    case 2:
    case 3: {
      const copy = frame.slice();
      for (let flips = 1 + random.below(4); flips > 0; flips -= 1) {
        copy[random.below(Math.min(copy.length, 80))] = random.pick([0, 255, random.below(256)]);
      }
      return copy;
    }
    default:
      return frame;
  }
}
