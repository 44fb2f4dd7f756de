import { afterEach, describe, expect, test } from "bun:test";
import { SystemError } from "../../src/base/errors.ts";
import type { CloseReason, FrameRun } from "../../src/hub/port.ts";
import { emptyRun } from "../../src/hub/port.ts";
import { PACKET_BYTES, PACKET_VIEW, reserve } from "../../src/platform/packet-memory.ts";
import { ensureWasm } from "../wasm/compiled.ts";
import { ACK, hexOf, PSH, runOf, SEGMENT, tcpFrame, wordSum } from "../wasm/random-frames.ts";
import { FakeDevice, FakePoller, RecordingSink, settle } from "./fake-device.ts";

await ensureWasm();
const { DevicePort } = await import("../../src/bridge/device-port.ts");

const EIO = -5;
const EAGAIN = -11;
const EINVAL = -22;
const EBADFD = -77;
const EMSGSIZE = -90;
const ENETDOWN = -100;
const ENXIO = -6;
const ENOBUFS = -105;
const DONE: CloseReason = { code: "test" };

const ports: { close(reason: CloseReason): void }[] = [];
afterEach(() => {
  for (const port of ports.splice(0)) port.close(DONE);
});

function world(hasVnetHeader = true) {
  const device = new FakeDevice(hasVnetHeader);
  const poller = new FakePoller();
  const closed: CloseReason[] = [];
  const port = new DevicePort({ device, poller, onClosed: (reason) => closed.push(reason) });
  ports.push(port);
  return { device, poller, port, closed, watch: poller.watches[0]!, sink: new RecordingSink() };
}

const plain = (frame: Uint8Array) => Uint8Array.from([...new Uint8Array(10), ...frame]);
const numbered = (n: number, length = 100) => new Uint8Array(length).fill(n);

/** A super-frame of `bytes` payload as the kernel gives it, and the frames it stands for. */
function superFrame(bytes: number, mss: number): { read: Uint8Array; frames: Uint8Array[] } {
  const payload = Uint8Array.from({ length: bytes }, (_, n) => n);
  const frames: Uint8Array[] = [];
  for (let at = 0; at < bytes; at += mss) {
    frames.push(
      tcpFrame({
        ...SEGMENT,
        payload: payload.subarray(at, at + mss),
        sequence: SEGMENT.sequence + at,
        id: SEGMENT.id + frames.length,
      }),
    );
  }
  const frame = tcpFrame({ ...SEGMENT, payload });
  new DataView(frame.buffer).setUint16(50, wordSum(frame.subarray(26, 34), 6 + frame.length - 34));
  const vnet = Uint8Array.of(1, 1, 66, 0, mss & 255, mss >> 8, 34, 0, 16, 0);
  return { read: Uint8Array.from([...vnet, ...frame]), frames };
}

/** Segments of a flow that can be merged. */
function stream(count: number, sourcePort = 40_000): Uint8Array[] {
  return Array.from({ length: count }, (_, n) =>
    tcpFrame({ ...SEGMENT, sourcePort, sequence: 1 + n * 1448, id: n }),
  );
}

function outsideRun(frames: readonly Uint8Array[]): FrameRun {
  const bytes = runOf(frames);
  return { ...emptyRun(bytes), end: bytes.length, count: frames.length };
}

describe("DevicePort from the device", () => {
  test("plug() starts reading, hands frames over in order, flushes once and waits by the poller", async () => {
    const { device, port, watch, sink } = world();
    device.incoming.push(plain(numbered(1)), plain(numbered(2)), plain(numbered(3)));
    port.plug(sink);
    expect(sink.runs.length).toBe(0);
    await settle();
    expect(sink.frames).toEqual([numbered(1), numbered(2), numbered(3)]);
    expect([sink.runs.length, sink.flushes]).toEqual([1, 1]);
    expect(watch.isArmed).toBeTrue();
    device.incoming.push(plain(numbered(4)));
    watch.fire();
    await settle();
    expect(sink.frames.at(-1)).toEqual(numbered(4));
    expect(port.stats).toMatchObject({ ingressFrames: 4, ingressBytes: 400, reads: 4 });
  });

  test("super-frames are cut, also such that do not fit behind what is there", async () => {
    const { device, port, sink } = world();
    const first = superFrame(35_000, 1448);
    const small = superFrame(60_000, 130);
    const last = superFrame(60_000, 1448);
    device.incoming.push(first.read, small.read, last.read);
    port.plug(sink);
    await settle();
    const expected = [...first.frames, ...small.frames, ...last.frames];
    expect(hexOf(sink.frames)).toEqual(hexOf(expected));
    expect(sink.flushes).toBeLessThanOrEqual(2);
    expect(port.stats.ingressFrames).toBe(expected.length);
    expect(port.stats.ingressBytes).toBe(expected.reduce((sum, frame) => sum + frame.length, 0));
  });

  test("a run is handed over as soon as it is worth a write", async () => {
    const { device, port, sink } = world();
    for (let n = 0; n < 32; n += 1) device.incoming.push(plain(numbered(n, 1514)));
    port.plug(sink);
    await settle();
    expect(sink.runs.map((run) => run.frames.length)).toEqual([27, 5]);
    expect(sink.frames.length).toBe(32);
  });

  test("a long burst is read in turns, between which others get theirs", async () => {
    const { device, port, sink } = world();
    for (let n = 0; n < 100; n += 1) device.incoming.push(plain(numbered(n, 60)));
    port.plug(sink);
    await new Promise((resolve) => setImmediate(resolve));
    expect(sink.frames.length).toBe(32);
    await settle();
    expect(sink.frames.length).toBe(100);
    expect(sink.flushes).toBe(4);
  });

  test("reading stops while the sink is full and goes on with onReady", async () => {
    const { device, port, sink, watch } = world();
    sink.onDeliver = () => (sink.ready = false);
    for (let n = 0; n < 60; n += 1) device.incoming.push(plain(numbered(n, 1514)));
    port.plug(sink);
    await settle();
    expect(sink.frames.length).toBe(27);
    expect(watch.isArmed).toBeFalse();
    sink.onDeliver = undefined;
    sink.becomeReady();
    sink.becomeReady();
    expect(sink.frames.length).toBe(27);
    await settle();
    expect(sink.frames.length).toBe(60);
    expect(watch.isArmed).toBeTrue();
  });

  test("a sink that is full when plugged in is waited for", async () => {
    const { device, port, sink } = world();
    sink.ready = false;
    device.incoming.push(plain(numbered(1)));
    port.plug(sink);
    await settle();
    expect(sink.frames.length).toBe(0);
    sink.becomeReady();
    await settle();
    expect(sink.frames.length).toBe(1);
  });

  test("FR-08 frames of a wrong length and broken super-frames are dropped and counted", async () => {
    const { device, port, sink } = world();
    const broken = superFrame(3000, 1448).read;
    broken[1] = 3;
    device.incoming.push(
      plain(numbered(1, 13)),
      plain(numbered(2, 1601)),
      broken,
      new Uint8Array(0),
      plain(numbered(3, 1600)),
    );
    port.plug(sink);
    await settle();
    expect(sink.frames).toEqual([numbered(3, 1600)]);
    expect(port.stats.drops).toMatchObject({ frame_length: 1, frame_header: 3 });
  });

  test("a device without virtio-net headers is read frame by frame", async () => {
    const { device, port, sink } = world(false);
    device.incoming.push(numbered(1), numbered(2, 13), numbered(3, 1601), numbered(4, 1600));
    port.plug(sink);
    await settle();
    expect(sink.frames).toEqual([numbered(1), numbered(4, 1600)]);
    expect(port.stats.drops.frame_length).toBe(2);
  });

  test("FI-06 an interface that is deleted closes the port with a reason", async () => {
    const { device, port, sink, closed, watch } = world();
    device.incoming.push(plain(numbered(1)), EBADFD);
    port.plug(sink);
    await settle();
    expect(sink.frames.length).toBe(1);
    expect(closed).toEqual([
      { code: "interface_removed", detail: "fake0: EBADFD (file descriptor in bad state)" },
    ]);
    expect([port.isClosed, device.closes, watch.isRemoved]).toEqual([true, 1, true]);
    expect(sink.onReady).toBeUndefined();
  });

  test("FI-05 a poller that refuses closes the port with a reason", async () => {
    const { port, sink, closed, watch } = world();
    watch.failure = new SystemError("io_submit", 9, "wait for a descriptor");
    port.plug(sink);
    await settle();
    expect(closed.map((reason) => reason.code)).toEqual(["interface_removed"]);
  });

  test("FR-20 a port that is closed inside deliver reads no more", async () => {
    const { device, port, sink, closed } = world();
    sink.onDeliver = () => port.close(DONE);
    for (let n = 0; n < 40; n += 1) device.incoming.push(plain(numbered(n, 1514)));
    port.plug(sink);
    await settle();
    expect(sink.runs.length).toBe(1);
    expect(device.closes).toBe(1);
    expect(closed).toEqual([]);
    port.close(DONE);
    expect(device.closes).toBe(1);
  });
});

describe("DevicePort on a device that reads several frames a call", () => {
  test("takes all of them, though the turn is over or the sink is full", async () => {
    const { device, port, sink, watch } = world();
    for (let n = 0; n < 40; n += 1) device.incoming.push(plain(numbered(n)));
    const left = () => device.incoming.length > 0;
    Object.defineProperty(device, "hasMore", { get: left });
    sink.onDeliver = () => {
      sink.ready = false;
    };
    port.plug(sink);
    await new Promise((resolve) => setImmediate(resolve));
    expect(sink.frames.length).toBe(40);
    sink.becomeReady();
    await settle();
    expect(watch.isArmed).toBeTrue();
  });

  test("a frame that was lost for its length costs nothing but itself", async () => {
    const { device, port, sink } = world();
    device.incoming.push(plain(numbered(1)), new Uint8Array(0), plain(numbered(2)));
    port.plug(sink);
    await settle();
    expect(sink.frames).toEqual([numbered(1), numbered(2)]);
    expect(port.stats.drops.frame_header).toBe(1);
  });

  test("counts what the kernel had no room for, the last of it when it is closed", () => {
    const { device, port } = world();
    device.dropped = 3;
    expect(port.stats.drops.receive_full).toBe(3);
    device.dropped = 2;
    port.close(DONE);
    device.dropped = 100;
    expect(port.stats.drops.receive_full).toBe(5);
  });
});

describe("DevicePort to the device", () => {
  test("deliver() gathers runs, and flush() writes segments of a flow as one", () => {
    const { device, port } = world();
    const frames = stream(10);
    port.deliver(outsideRun(frames.slice(0, 4)));
    port.deliver(outsideRun(frames.slice(4)));
    expect(device.written.length).toBe(0);
    port.flush();
    expect(device.written.length).toBe(1);
    expect(device.written[0]!.length).toBe(10 + 66 + 14_480);
    port.flush();
    expect(port.stats).toMatchObject({
      egressFrames: 10,
      egressBytes: 10 * 1514,
      writes: 1,
    });
  });

  test("deliver() copies: neither the giver's later changes nor its bytes' end matter", () => {
    const { device, port } = world();
    const run = outsideRun([numbered(5)]);
    port.deliver(run);
    run.bytes.fill(0);
    port.flush();
    expect(device.written).toEqual([plain(numbered(5))]);
  });

  test("deliver() takes runs that lie in packet memory and leaves them as they are", () => {
    const { device, port } = world();
    const frames = stream(3);
    const bytes = runOf(frames);
    const at = reserve(bytes.length);
    PACKET_BYTES.set(bytes, at);
    port.deliver({
      bytes: PACKET_BYTES,
      view: PACKET_VIEW,
      start: at,
      end: at + bytes.length,
      count: 3,
    });
    port.flush();
    expect(device.written.length).toBe(1);
    expect(PACKET_BYTES.slice(at, at + bytes.length).toHex()).toBe(bytes.toHex());
  });

  test("a run of half a megabyte is written in parts, each frame once and in order", () => {
    const { device, port } = world();
    const frames = Array.from({ length: 400 }, (_, n) => {
      const frame = numbered(n & 255, 1400);
      new DataView(frame.buffer).setUint32(100, n);
      return frame;
    });
    port.deliver(outsideRun(frames));
    port.flush();
    expect(hexOf(device.written)).toEqual(hexOf(frames.map(plain)));
  });

  test("a lying size ends a large run and counts", () => {
    const { device, port } = world();
    const run = outsideRun(Array.from({ length: 200 }, (_, n) => numbered(n & 255, 1400)));
    run.view.setUint32(1404 * 150, 0xffff_fff0);
    port.deliver(run);
    port.flush();
    expect(device.written.length).toBe(150);
    expect(port.stats.drops.frame_length).toBe(1);
  });

  test("two ports that take turns each get their own", () => {
    const [one, two] = [world(), world(false)];
    for (let n = 0; n < 4; n += 1) {
      one.port.deliver(outsideRun([numbered(n)]));
      two.port.deliver(outsideRun([numbered(100 + n)]));
    }
    one.port.flush();
    two.port.flush();
    expect(one.device.written).toEqual([0, 1, 2, 3].map((n) => plain(numbered(n))));
    expect(two.device.written).toEqual([100, 101, 102, 103].map((n) => numbered(n)));
  });

  test("FR-08 frames of 13 and 1,601 bytes are dropped and counted, with and without merging", () => {
    for (const hasVnetHeader of [true, false]) {
      const { device, port } = world(hasVnetHeader);
      port.deliver(outsideRun([13, 14, 1600, 1601].map((length) => numbered(1, length))));
      port.flush();
      expect(device.written.length).toBe(2);
      expect(port.stats.drops.frame_length).toBe(2);
    }
  });

  test("FI-05 FI-06 what the kernel does not take is counted by its reason, and the rest goes on", () => {
    const { device, port } = world();
    device.writeErrors.push(EIO, EAGAIN, ENOBUFS, EINVAL, EMSGSIZE, ENETDOWN, ENXIO);
    const singles = [1, 2, 3, 4, 5, 6].map((n) => numbered(n));
    port.deliver(outsideRun([...stream(5), ...stream(2, 41_000), ...singles]));
    port.flush();
    expect(port.stats.drops).toMatchObject({
      interface_down: 7,
      queue_full: 3,
      refused: 1,
      over_mtu: 1,
    });
    expect(device.written).toEqual([plain(numbered(6))]);
    expect(port.stats).toMatchObject({ egressFrames: 1, egressBytes: 100, writes: 1 });
  });

  test("FI-05 a device that takes many frames a call goes on behind one that it refuses", () => {
    const { device, port } = world();
    device.batches = true;
    const singles = [1, 2, 3, 4, 5].map((n) => numbered(n));
    port.deliver(outsideRun([...stream(4), ...singles]));
    port.flush();
    expect(port.stats).toMatchObject({
      egressFrames: 9,
      egressBytes: 4 * 1514 + 500,
      writes: 1,
    });
    device.written.length = 0;
    device.writeErrors.push(ENOBUFS);
    port.deliver(outsideRun(singles));
    port.flush();
    expect(device.written).toEqual(singles.slice(1).map(plain));
    expect(port.stats).toMatchObject({ egressFrames: 13, writes: 2 });
    expect(port.stats.drops.queue_full).toBe(1);
  });

  test("close() writes what was gathered, then drops and counts, also twice", () => {
    const { device, port, watch } = world();
    port.deliver(outsideRun([numbered(1)]));
    port.close(DONE);
    port.close(DONE);
    expect(device.written.length).toBe(1);
    expect([device.closes, watch.isRemoved]).toEqual([1, true]);
    port.deliver(outsideRun([numbered(1), numbered(2)]));
    port.flush();
    port.plug(new RecordingSink());
    expect(port.stats.drops.port_closed).toBe(2);
  });

  test("PSH in a merged write stands on the super-frame", () => {
    const { device, port } = world();
    const last = tcpFrame({ ...SEGMENT, sequence: 1 + 1448, id: 1, flags: ACK | PSH });
    port.deliver(outsideRun([stream(1)[0]!, last]));
    port.flush();
    expect(device.written.length).toBe(1);
    expect(device.written[0]![10 + 34 + 13]).toBe(ACK | PSH);
  });
});
