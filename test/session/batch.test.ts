import { afterEach, describe, expect, test } from "bun:test";
import { NO_PROGRESS_MS } from "../../src/base/limits.ts";
import { emptyRun } from "../../src/hub/port.ts";
import { Batch, batchSlots, type ByteSink } from "../../src/session/batch.ts";
import { StreamParser } from "../../src/session/stream-parser.ts";
import { ArrayPort, runOf } from "../support/array-port.ts";
import { toHex } from "../support/hex.ts";
import { seededRandom } from "../support/seeded-random.ts";

/** Takes what `take` says of each write, and keeps it. */
class FakeSink implements ByteSink {
  readonly writes: number[] = [];
  readonly #taken: Uint8Array[] = [];
  take: (size: number) => number;

  constructor(take: (size: number) => number = (size) => size) {
    this.take = take;
  }

  write(bytes: Uint8Array): number {
    const taken = this.take(bytes.length);
    this.#taken.push(bytes.slice(0, taken));
    this.writes.push(taken);
    return taken;
  }

  get bytes(): Uint8Array {
    return Buffer.concat(this.#taken);
  }
}

/** Every frame in what the sink took; fails if it does not end with a whole unit. */
function framesIn(bytes: Uint8Array): string[] {
  const port = new ArrayPort("out");
  const parser = new StreamParser({ inFrames: 0, inBytes: 0 }, () => {});
  parser.feed(Buffer.concat([bytes, new Uint8Array(4)]), port);
  return port.frames.map(toHex);
}

const random = seededRandom(7);
/** Bulk: nothing in it says that it must not wait. */
function frame(size: number): Uint8Array {
  const bytes = random.bytes(size);
  bytes.set([0x88, 0xb5], 12);
  return bytes;
}
/** ARP, of 42 bytes. */
function urgentFrame(): Uint8Array {
  const bytes = random.bytes(42);
  bytes.set([0x08, 0x06], 12);
  return bytes;
}

const open: Batch[] = [];
function batchOn(sink: ByteSink): Batch {
  const batch = new Batch(sink);
  open.push(batch);
  return batch;
}
afterEach(() => {
  for (const batch of open.splice(0)) batch.close();
  expect(batchSlots.taken).toBe(0);
});

describe("Batch", () => {
  test("flush() sends what was delivered as one unit", () => {
    const sink = new FakeSink();
    const batch = batchOn(sink);
    const frames = [frame(60), frame(1514), frame(14)];
    batch.deliver(runOf(frames.slice(0, 2)));
    batch.deliver(runOf(frames.slice(2)));
    expect(sink.writes).toEqual([]);
    expect(batch.heldBytes).toBe(4 + 3 * 4 + 60 + 1514 + 14);
    batch.flush();
    expect(sink.writes).toEqual([4 + 3 * 4 + 60 + 1514 + 14]);
    expect(framesIn(sink.bytes)).toEqual(frames.map(toHex));
    expect(new DataView(sink.bytes.slice().buffer).getUint32(0)).toBe(3);
    expect(batch.heldBytes).toBe(0);
    expect(batchSlots.taken).toBe(0);
  });

  test("flush() sends nothing when nothing was delivered", () => {
    const sink = new FakeSink();
    batchOn(sink).flush();
    expect(sink.writes).toEqual([]);
  });

  test("deliver() writes a large run as it lies, with the count in its headroom", () => {
    const sink = new FakeSink();
    const batch = batchOn(sink);
    const frames = Array.from({ length: 12 }, () => frame(1514));
    batch.deliver(runOf(frames));
    expect(sink.writes).toEqual([4 + 12 * 1518]);
    expect(framesIn(sink.bytes)).toEqual(frames.map(toHex));
    expect(batchSlots.taken).toBe(0);
  });

  test("deliver() copies a large run that has no headroom, and one behind an open unit", () => {
    const sink = new FakeSink();
    const batch = batchOn(sink);
    const frames = Array.from({ length: 25 }, () => frame(1514));
    const bare = runOf(frames.slice(0, 12));
    const moved = emptyRun(bare.bytes.slice(4));
    batch.deliver({ ...moved, start: 0, end: moved.bytes.length, count: 12 });
    expect(sink.writes).toEqual([]);
    batch.deliver(runOf(frames.slice(12)));
    batch.flush();
    expect(framesIn(sink.bytes)).toEqual(frames.map(toHex));
  });

  test("deliver() cuts a run past one slot into units and leaves its bytes as they were", () => {
    for (const blockedFirst of [false, true]) {
      const sink = new FakeSink(blockedFirst ? () => 0 : undefined);
      const batch = batchOn(sink);
      if (blockedFirst) batch.send(new Uint8Array([0, 0, 0, 0]));
      const frames = Array.from({ length: 150 }, () => frame(1514));
      // Without headroom for the first, so that it cannot go out as it lies.
      const run = runOf(frames);
      const bytes = emptyRun(run.bytes.slice(4));
      const before = toHex(bytes.bytes);
      batch.deliver({ ...bytes, start: 0, end: bytes.bytes.length, count: frames.length });
      expect(toHex(bytes.bytes)).toBe(before);
      batch.flush();
      sink.take = (size) => size;
      batch.drained();
      expect(framesIn(sink.bytes)).toEqual(frames.map(toHex));
      expect(batch.lostFrames).toBe(0);
    }
  });

  test("FI-01 short and zero writes lose nothing and keep the order", () => {
    for (let seed = 0; seed < 40; seed++) {
      const dice = seededRandom(seed);
      const sink = new FakeSink((size) => {
        const kind = dice.below(4);
        return kind === 0 ? 0 : kind === 1 ? size : dice.below(Math.min(size, 3000) + 1);
      });
      const batch = batchOn(sink);
      const sent: Uint8Array[] = [];
      for (let step = 0; step < 60; step++) {
        const kind = dice.below(6);
        if (kind === 0) batch.drained();
        else if (kind === 1) batch.flush();
        else if (kind === 2) batch.send(new Uint8Array(4));
        else {
          const count = 1 + dice.below(kind === 3 ? 60 : 5);
          const frames = Array.from({ length: count }, () => frame(14 + dice.below(1500)));
          sent.push(...frames);
          batch.deliver(runOf(frames));
        }
        const held = batch.heldBytes;
        expect(held >= batch.waitingBytes && batch.waitingBytes >= 0).toBe(true);
        if (!batch.isBlocked) expect(batch.waitingBytes).toBe(0);
      }
      for (let tries = 0; tries < 10_000 && batch.heldBytes > 0; tries++) {
        batch.drained();
        batch.flush();
      }
      expect(framesIn(sink.bytes)).toEqual(sent.map(toHex));
      expect(batchSlots.taken).toBe(0);
    }
  });

  test("FI-01 short and zero writes lose nothing of bulk and urgent frames, each in its order", () => {
    for (let seed = 0; seed < 60; seed++) {
      const dice = seededRandom(seed);
      const sink = new FakeSink((size) => {
        const kind = dice.below(3);
        return kind === 0 ? 0 : kind === 1 ? size : dice.below(Math.min(size, 3000) + 1);
      });
      const batch = batchOn(sink);
      const sent: Uint8Array[] = [];
      for (let step = 0; step < 80; step++) {
        const kind = dice.below(6);
        if (kind === 0) batch.drained();
        else if (kind === 1) batch.flush();
        else {
          const isUrgent = () => dice.below(3) === 0;
          const frames = Array.from({ length: 1 + dice.below(6) }, () =>
            isUrgent() ? urgentFrame() : frame(300 + dice.below(1_200)),
          );
          sent.push(...frames);
          batch.deliver(runOf(frames));
        }
      }
      for (let tries = 0; tries < 10_000 && !(batch.heldBytes === 0 && !batch.isBlocked); tries++) {
        batch.drained();
        batch.flush();
      }
      const ofKind = (frames: readonly string[], isShort: boolean) =>
        frames.filter((one) => (one.length === 84) === isShort);
      const received = framesIn(sink.bytes);
      for (const isShort of [true, false]) {
        expect(ofKind(received, isShort)).toEqual(ofKind(sent.map(toHex), isShort));
      }
      expect(batch.lostFrames).toBe(0);
      expect(batchSlots.taken).toBe(0);
    }
  });

  test("deliverUrgent() sends at once where the socket is not full", () => {
    const sink = new FakeSink();
    const batch = batchOn(sink);
    const frames = [frame(300), urgentFrame()];
    batch.deliver(runOf([frames[0]!]));
    expect(batch.deliverUrgent(runOf([frames[1]!]))).toBe(true);
    expect(framesIn(sink.bytes)).toEqual(frames.map(toHex));
    expect(batchSlots.taken).toBe(0);
  });

  test("send() puts bytes behind every frame before it", () => {
    const sink = new FakeSink(() => 0);
    const batch = batchOn(sink);
    const [first, second] = [frame(60), frame(60)];
    batch.deliver(runOf([first]));
    batch.send(new Uint8Array([0, 0, 0, 0]));
    batch.deliver(runOf([second]));
    sink.take = (size) => size;
    batch.drained();
    expect(batch.heldBytes).toBe(0);
    const expected = [runOf([first]), undefined, runOf([second])].map((run) => {
      if (run === undefined) return new Uint8Array(4);
      run.view.setUint32(0, 1);
      return run.bytes;
    });
    expect(toHex(sink.bytes)).toBe(toHex(Buffer.concat(expected)));
  });

  test("drained() goes on while the socket takes something, until all is gone", () => {
    const sink = new FakeSink(() => 10);
    const batch = batchOn(sink);
    batch.deliver(runOf([frame(60)]));
    batch.flush();
    expect(batch.isBlocked).toBe(true);
    expect(batch.waitingBytes).toBe(68 - 10);
    batch.drained();
    expect(batch.isBlocked).toBe(true);
    expect(batch.waitingBytes).toBe(68 - 20);
    sink.take = (size) => size;
    batch.drained();
    expect(batch.isBlocked).toBe(false);
    expect(batch.waitingBytes).toBe(0);
  });

  test("isStalled() is true once the socket took nothing for NO_PROGRESS_MS, and only then", () => {
    const sink = new FakeSink(() => 0);
    const batch = batchOn(sink);
    expect(batch.isStalled(1_000)).toBe(false);
    batch.deliver(runOf([frame(60)]));
    batch.flush();
    expect(batch.isStalled(2_000)).toBe(false);
    expect(batch.isStalled(2_000 + NO_PROGRESS_MS)).toBe(false);
    expect(batch.isStalled(2_001 + NO_PROGRESS_MS)).toBe(true);
    sink.take = () => 1;
    batch.drained();
    expect(batch.isStalled(2_002 + NO_PROGRESS_MS)).toBe(false);
    expect(batch.isStalled(2_002 + 2 * NO_PROGRESS_MS)).toBe(false);
    expect(batch.isStalled(2_003 + 2 * NO_PROGRESS_MS)).toBe(true);
    sink.take = (size) => size;
    batch.drained();
    expect(batch.isStalled(1e9)).toBe(false);
  });

  test("close() gives back all that waits and tells the frames of the open unit", () => {
    const batch = batchOn(new FakeSink(() => 0));
    for (let i = 0; i < 100; i++) batch.deliver(runOf([frame(1514)]));
    batch.flush();
    for (let i = 0; i < 100; i++) batch.deliver(runOf([frame(1514)]));
    expect(batchSlots.taken).toBeGreaterThan(3);
    expect(batch.close()).toBeGreaterThan(0);
    expect(batchSlots.taken).toBe(0);
    expect(batch.heldBytes).toBe(0);
    batch.close();
    expect(batchSlots.taken).toBe(0);
  });

  test("deliver() drops and counts when packet memory is used up; a unit cut off breaks the connection", () => {
    const hoard: number[] = [];
    try {
      const sink = new FakeSink();
      const batch = batchOn(sink);
      for (let slot = batchSlots.take(); slot !== undefined; slot = batchSlots.take()) {
        hoard.push(slot);
      }
      batch.deliver(runOf([frame(60), frame(60)]));
      expect(batch.lostFrames).toBe(2);
      expect(batch.isBroken).toBe(false);
      // Written as it lies, but the socket takes half, and there is no room for the rest.
      sink.take = () => 100;
      batch.deliver(runOf(Array.from({ length: 12 }, () => frame(1514))));
      expect(batch.isBroken).toBe(true);
      batch.deliver(runOf([frame(60)]));
      expect(batch.lostFrames).toBe(3);
    } finally {
      for (const slot of hoard) batchSlots.give(slot);
    }
  });
});
