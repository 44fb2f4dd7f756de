import { describe, expect, test } from "bun:test";
import { MAX_CAPTURE_BYTES } from "../../../src/base/limits.ts";
import {
  Capture,
  type CaptureFiles,
  type CaptureOptions,
} from "../../../src/client/capture/capture.ts";
import { CaptureFilter } from "../../../src/client/capture/filter.ts";
import { frame, mac } from "../../hub/frames.ts";
import { runOf } from "../../support/array-port.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { blocksOf, framesOfCapture, optionsOf } from "../../support/pcapng-blocks.ts";

const STATISTICS = 5;
const PACKET = 6;

const ORIGIN = {
  application: "test",
  hardware: "h",
  os: "o",
  name: "HUB",
  description: "d",
  snapLength: 0,
};

/** Files in memory; while `isSlow` they take nothing. */
class MemoryFiles implements CaptureFiles {
  readonly files: Uint8Array[][] = [[]];
  isSlow = false;
  failure: Error | undefined;
  closed = 0;
  writes = 0;
  #waiting: (() => void) | undefined;

  async write(bytes: Uint8Array): Promise<void> {
    expect(this.#waiting).toBeUndefined();
    this.writes += 1;
    if (this.failure !== undefined) throw this.failure;
    if (this.isSlow) await new Promise<void>((resolve) => (this.#waiting = resolve));
    this.files.at(-1)!.push(bytes.slice());
  }

  async next(): Promise<void> {
    this.files.push([]);
  }

  async close(): Promise<void> {
    this.closed += 1;
  }

  takeOn(): void {
    this.isSlow = false;
    const resume = this.#waiting;
    this.#waiting = undefined;
    resume?.();
  }

  contents(): Uint8Array[] {
    return this.files.map((parts) => new Uint8Array(Buffer.concat(parts)));
  }
}

function world(change: Partial<CaptureOptions> = {}) {
  const files = new MemoryFiles();
  const clock = new ManualClock();
  const ends: unknown[] = [];
  const options: CaptureOptions = {
    origin: ORIGIN,
    filter: undefined,
    ring: undefined,
    maxFrames: Infinity,
    onFull: () => ends.push("full"),
    onFailure: (error) => ends.push(error),
    ...change,
  };
  return { files, clock, ends, capture: new Capture(files, options, clock) };
}

const some = (count: number, size = 100) =>
  Array.from({ length: count }, (_, n) =>
    frame({ to: mac(1), from: mac(2), payload: [n >> 8, n & 255], size }),
  );

const settle = async () => {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
};

describe("Capture", () => {
  test("writes what came at each flush, and the statistics at the end", async () => {
    const { files, capture, clock } = world();
    await settle();
    expect(files.writes).toBe(1);
    const frames = some(5);
    capture.deliver(runOf(frames.slice(0, 2)));
    capture.deliver(runOf(frames.slice(2, 3)));
    capture.flush();
    await settle();
    expect(framesOfCapture(files.contents()[0]!)).toEqual(frames.slice(0, 3));
    clock.advance(1000);
    capture.deliver(runOf(frames.slice(3)));
    capture.flush();
    await capture.finish();
    await capture.finish();
    const blocks = blocksOf(files.contents()[0]!);
    expect(blocks.map(({ type }) => type)).toEqual([
      0x0a0d0d0a,
      1,
      ...Array<number>(5).fill(PACKET),
      STATISTICS,
    ]);
    const micros = blocks
      .slice(2, 7)
      .map(({ view }) => view.getUint32(4, true) * 2 ** 32 + view.getUint32(8, true));
    expect(micros.map((us) => us - micros[0]!)).toEqual([0, 0, 0, 1_000_000, 1_000_000]);
    expect(micros[4]!).toBe(clock.wall() * 1000);
    expect(capture.stats).toEqual({
      received: 5,
      accepted: 5,
      dropped: 0,
      written: 5,
      bytes: files.contents()[0]!.length,
      files: 1,
    });
    expect(clock.pending).toBe(0);
  });

  test("keeps what the filter lets pass, and of that what the snap length says", async () => {
    const { files, capture } = world({
      filter: new CaptureFilter("ether dst 02:00:00:00:00:07"),
      origin: { ...ORIGIN, snapLength: 20 },
    });
    const wanted = frame({ to: mac(7), from: mac(2), size: 100 });
    capture.deliver(runOf([...some(3), wanted, ...some(2)]));
    await capture.finish();
    expect(framesOfCapture(files.contents()[0]!)).toEqual([wanted.slice(0, 20)]);
    expect(capture.stats).toMatchObject({ received: 6, accepted: 1, written: 1 });
  });

  test("FR-24 drops and counts while a write stands still, within its bound, and tells the file", async () => {
    const { files, capture } = world();
    await settle();
    files.isSlow = true;
    capture.deliver(runOf(some(1)));
    capture.flush();
    const frames = some(100, 1500);
    const rounds = Math.ceil((1.5 * MAX_CAPTURE_BYTES) / (100 * 1500));
    for (let round = 0; round < rounds; round += 1) {
      capture.deliver(runOf(frames));
      capture.flush();
    }
    expect(files.writes).toBe(2);
    const { dropped, written } = capture.stats;
    expect(dropped).toBeGreaterThan(1000);
    expect(written + dropped).toBe(100 * rounds + 1);
    expect(written * 1500).toBeLessThan(MAX_CAPTURE_BYTES);
    files.takeOn();
    await settle();
    capture.deliver(runOf(some(1)));
    await capture.finish();
    const blocks = blocksOf(files.contents()[0]!);
    const last = blocks.findLast(({ type }) => type === PACKET)!;
    const lost = optionsOf(last, 20 + 100).get(4)!;
    expect(new DataView(lost.buffer, lost.byteOffset).getUint32(0, true)).toBe(dropped);
    const statistics = optionsOf(blocks.at(-1)!, 12).get(5)!;
    expect(new DataView(statistics.buffer, statistics.byteOffset).getUint32(0, true)).toBe(dropped);
  });

  test("begins the next file of a ring before one is too long, each of them whole", async () => {
    const { files, capture } = world({ ring: { maxBytes: 2000, maxMs: Infinity } });
    const frames = some(60);
    for (const each of frames) capture.deliver(runOf([each]));
    capture.flush();
    await capture.finish();
    const contents = files.contents();
    expect(contents.length).toBe(capture.stats.files);
    expect(contents.length).toBeGreaterThan(3);
    expect(contents.flatMap(framesOfCapture)).toEqual(frames);
    for (const file of contents) {
      expect(file.length).toBeLessThanOrEqual(2000);
      expect(blocksOf(file).at(-1)!.type).toBe(STATISTICS);
    }
    expect(contents.reduce((sum, file) => sum + file.length, 0)).toBe(capture.stats.bytes);
  });

  test("begins the next file of a ring with the first frame after its time", async () => {
    const { files, capture, clock } = world({ ring: { maxBytes: Infinity, maxMs: 60_000 } });
    const frames = some(4);
    for (const each of frames) {
      capture.deliver(runOf([each]));
      clock.advance(30_000);
    }
    await capture.finish();
    expect(files.contents().map((file) => framesOfCapture(file).length)).toEqual([2, 2]);
  });

  test("ends after the frames that were asked for", async () => {
    const { files, capture, ends } = world({ maxFrames: 3 });
    capture.deliver(runOf(some(5)));
    capture.deliver(runOf(some(5)));
    await capture.finish();
    expect(framesOfCapture(files.contents()[0]!)).toEqual(some(3));
    expect(ends).toEqual(["full"]);
  });

  test("tells of a failed write once, and takes nothing more", async () => {
    const { files, capture, ends } = world();
    await settle();
    files.failure = new Error("disk full");
    for (let n = 0; n < 3; n += 1) {
      capture.deliver(runOf(some(1)));
      capture.flush();
      await settle();
    }
    await capture.finish();
    expect(ends).toEqual([files.failure]);
    expect(files.closed).toBe(1);
    // None of the three is in the file, whose start is.
    expect(capture.stats).toMatchObject({ written: 0, dropped: 3, received: 3 });
    expect(capture.stats.bytes).toBe(files.contents()[0]!.length);
  });
});
