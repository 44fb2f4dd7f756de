import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { MAX_EGRESS_BYTES } from "../../src/base/limits.ts";
import { batchSlots } from "../../src/session/batch.ts";
import { Distribution, type DistributionOptions } from "../../src/session/distribution.ts";
import { Outlet } from "../../src/session/outlet.ts";
import { framesOf, runOf } from "../support/array-port.ts";
import { FakeLink } from "../support/fake-link.ts";
import { fromHex, toHex } from "../support/hex.ts";
import { ManualClock } from "../support/manual-clock.ts";

/** A frame of UDP over IPv4 with this source port and DSCP. */
function datagram(port: number, size = 600, tos = "00"): Uint8Array {
  const head = `5e00000000015e0000000002080045${tos}00280000000040110000` + "0a0000010a000002";
  const frame = new Uint8Array(size).fill(port & 0xff);
  frame.set(fromHex(`${head}${port.toString(16).padStart(4, "0")}0050`));
  return frame;
}

const ping = () => {
  const frame = datagram(1, 98);
  frame[23] = 1;
  return frame;
};

let clock = new ManualClock();
let stats = { droppedFrames: 0 };
let rooms = 0;
let open: Distribution[] = [];

function distribution(change: Partial<DistributionOptions> = {}): Distribution {
  const made = new Distribution({
    clock,
    stopAt: MAX_EGRESS_BYTES,
    hasQos: false,
    parks: false,
    codec: undefined,
    stats,
    onRoom: () => rooms++,
    ...change,
  });
  open.push(made);
  return made;
}

function join(to: Distribution, count: number): { links: FakeLink[]; outlets: Outlet[] } {
  const links = Array.from({ length: count }, () => new FakeLink());
  const outlets = links.map((link) => new Outlet(link, undefined));
  for (const outlet of outlets) to.add(outlet);
  return { links, outlets };
}

/** Frames in the units that were written, which must be whole. */
function framesIn(link: FakeLink): Uint8Array[] {
  const bytes = link.take();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frames: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    let blocks = view.getUint32(at);
    at += 4;
    for (; blocks > 0; blocks--) {
      const size = view.getUint32(at);
      frames.push(bytes.slice(at + 4, at + 4 + size));
      at += 4 + size;
    }
  }
  return frames;
}

beforeEach(() => {
  clock = new ManualClock();
  stats = { droppedFrames: 0 };
  rooms = 0;
});

afterEach(() => {
  for (const one of open) one.close();
  open = [];
  expect(clock.pending).toBe(0);
  expect(batchSlots.taken).toBe(0);
});

describe("Distribution", () => {
  test("every flow has a home of its own, and keeps its order there", () => {
    const to = distribution();
    const { links } = join(to, 4);
    const sent: Uint8Array[] = [];
    for (let round = 0; round < 5; round++) {
      const frames = Array.from({ length: 40 }, (_, port) => datagram(0xc000 + port, 100 + round));
      sent.push(...frames);
      to.deliver(runOf(frames));
    }
    to.flush();
    const got = links.map(framesIn);
    expect(got.every((frames) => frames.length > 0)).toBe(true);
    const port = (frame: Uint8Array) => toHex(frame.subarray(34, 36));
    const homes = got.map((frames) => new Set(frames.map(port)));
    expect(homes.reduce((sum, ports) => sum + ports.size, 0)).toBe(40);
    for (const frames of got) {
      for (const one of new Set(frames.map(port))) {
        const sizes = frames.filter((frame) => port(frame) === one).map((frame) => frame.length);
        expect(sizes).toEqual([100, 101, 102, 103, 104]);
      }
    }
    expect(got.flat().map(toHex).sort()).toEqual(sent.map(toHex).sort());
  });

  test("a run of one flow goes as it is, a run of several leaves its bytes as they were", () => {
    const to = distribution();
    join(to, 2);
    const run = runOf(Array.from({ length: 60 }, (_, port) => datagram(0xc000 + port, 1_500)));
    const before = toHex(run.bytes.subarray(4));
    to.deliver(run);
    to.flush();
    expect(toHex(run.bytes.subarray(4))).toBe(before);
    expect(framesOf(run).length).toBe(60);
  });

  test("with QoS the newest connection carries what must not wait, and nothing else", () => {
    const to = distribution({ hasQos: true });
    const { links } = join(to, 3);
    const frames = [datagram(1), ping(), datagram(2), datagram(3, 1_400, "b8"), datagram(4)];
    to.deliver(runOf(frames));
    to.flush();
    const [first, second, newest] = links.map(framesIn);
    expect(newest!.map(toHex)).toEqual([frames[1]!, frames[3]!].map(toHex));
    expect([...first!, ...second!].map(toHex).sort()).toEqual(
      [frames[0]!, frames[2]!, frames[4]!].map(toHex).sort(),
    );
  });

  test("with QoS and one connection all share it", () => {
    const to = distribution({ hasQos: true });
    const { links } = join(to, 1);
    to.deliver(runOf([datagram(1), ping()]));
    to.flush();
    expect(framesIn(links[0]!).length).toBe(2);
  });

  test("a flow waits for its full home, and goes another way once that has been full for long", () => {
    const to = distribution();
    const { links } = join(to, 2);
    to.deliver(runOf([datagram(7)]));
    to.flush();
    const home = links.findIndex((link) => framesIn(link).length === 1);
    const other = links[1 - home]!;
    links[home]!.room = 0;
    const share = MAX_EGRESS_BYTES / 2;
    for (let bytes = 0; bytes < share + 40_000; bytes += 1_500 * 20) {
      to.deliver(runOf(Array.from({ length: 20 }, () => datagram(7, 1_500))));
      to.flush();
    }
    expect(framesIn(other).length).toBe(0);
    clock.advance(20);
    to.deliver(runOf([datagram(7)]));
    to.flush();
    expect(framesIn(other).length).toBe(1);
    expect([stats.droppedFrames, to.isFull]).toEqual([0, false]);
  });

  test("when every way is slow each keeps its share, and the rest is dropped and counted", () => {
    const to = distribution();
    const { links, outlets } = join(to, 4);
    for (const link of links) link.room = 0;
    const all = () => runOf(Array.from({ length: 40 }, (_, port) => datagram(port, 1_500)));
    to.deliver(all());
    to.flush();
    for (let i = 0; i < 200; i++) {
      clock.advance(1);
      to.deliver(all());
      to.flush();
    }
    const held = outlets.map(({ batch }) => batch.heldBytes);
    expect(Math.max(...held)).toBeLessThan(MAX_EGRESS_BYTES / 2);
    expect(Math.min(...held)).toBeGreaterThanOrEqual(MAX_EGRESS_BYTES / 4);
    expect(to.isFull).toBe(true);
    expect(stats.droppedFrames).toBeGreaterThan(1_000);
    for (const [at, link] of links.entries()) {
      link.room = Infinity;
      outlets[at]!.batch.drained();
      to.check();
    }
    expect([to.isFull, rooms]).toEqual([false, 1]);
  });

  test("a full way stops the giver, but not for longer than it takes to see that it is slow", () => {
    const to = distribution({ stopAt: 0 });
    const { links, outlets } = join(to, 2);
    const all = () => runOf(Array.from({ length: 20 }, (_, port) => datagram(port, 1_500)));
    links[0]!.room = 0;
    const state = () => ({ isFull: to.isFull, rooms });
    while (!state().isFull) {
      to.deliver(all());
      to.flush();
    }
    const { heldBytes } = outlets[0]!.batch;
    expect(heldBytes >= 65_536 && heldBytes < 65_536 + 30_000).toBe(true);
    clock.advance(20);
    expect(state()).toEqual({ isFull: false, rooms: 1 });
  });

  test("where bulk has one way only, that being slow changes nothing: the giver waits", () => {
    const to = distribution({ stopAt: 0, hasQos: true });
    const { links, outlets } = join(to, 2);
    links[0]!.room = 0;
    to.deliver(runOf([datagram(1)]));
    to.flush();
    to.check();
    expect(to.isFull).toBe(true);
    clock.advance(1_000);
    to.check();
    expect([to.isFull, rooms]).toEqual([true, 0]);
    links[0]!.room = Infinity;
    outlets[0]!.batch.drained();
    to.check();
    expect([to.isFull, rooms]).toEqual([false, 1]);
  });

  test("a lost connection costs what it had begun: the rest goes by another one", () => {
    const to = distribution();
    const { links, outlets } = join(to, 2);
    to.deliver(runOf([datagram(7)]));
    to.flush();
    const home = links.findIndex((link) => framesIn(link).length === 1);
    const [lost, heir] = [links[home]!, links[1 - home]!];
    lost.room = 30;
    for (let i = 0; i < 100; i++) {
      to.deliver(runOf([datagram(7, 1_000 + i)]));
      to.flush();
    }
    to.deliver(runOf([ping()]));
    to.flush();
    to.remove(outlets[home]!);
    outlets[home]!.batch.close();
    const sizes = framesIn(heir).map((frame) => frame.length);
    // The first of them was under way. The ping may have had the other way all along.
    expect(sizes.filter((size) => size !== 98)).toEqual(
      Array.from({ length: 99 }, (_, i) => 1_001 + i),
    );
    expect(sizes.filter((size) => size === 98)).toEqual([98]);
    expect(stats.droppedFrames).toBe(0);
  });

  test("without a way frames are dropped, or kept for a short time at the end that opens the next one", () => {
    const server = distribution();
    expect(server.deliver(runOf([datagram(1)]))).toBe(false);
    const client = distribution({ parks: true });
    expect(client.deliver(runOf([datagram(1)]))).toBe(false);
    expect(stats.droppedFrames).toBe(2);
    for (const to of [server, client]) {
      const { outlets } = join(to, 1);
      to.remove(outlets[0]!);
    }
    expect(server.deliver(runOf([datagram(2)]))).toBe(false);
    expect(client.deliver(runOf([datagram(3)]))).toBe(true);
    const { links } = join(client, 1);
    expect(framesIn(links[0]!).map(toHex)).toEqual([toHex(datagram(3))]);
  });

  test("deliverUrgent() finds its way while all is full", () => {
    const to = distribution({ hasQos: true });
    const { links, outlets } = join(to, 2);
    for (const link of links) link.room = 0;
    to.deliver(runOf([datagram(1), ping()]));
    to.flush();
    expect(to.deliverUrgent(runOf([ping()]))).toBe(true);
    links[1]!.room = Infinity;
    outlets[1]!.batch.drained();
    expect(framesIn(links[1]!).length).toBe(2);
  });
});
