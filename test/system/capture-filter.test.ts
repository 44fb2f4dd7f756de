import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CaptureFilter } from "../../src/client/capture/filter.ts";
import { EXPRESSIONS } from "../client/capture/filter-expressions.ts";
import { mixedFrames } from "../client/capture/mixed-frames.ts";
import { describeSystem } from "../support/namespace.ts";
import { check } from "../support/process.ts";

// The same frames, filtered by tcpdump and by us. The classic format numbers them by their times.

const MAGIC = 0xa1b2c3d4;
const HEADER_BYTES = 24;
const RECORD_BYTES = 16;
const LINKTYPE_ETHERNET = 1;

function classicCapture(frames: readonly Uint8Array[]): Uint8Array {
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  header.setUint32(0, MAGIC, true);
  header.setUint16(4, 2, true);
  header.setUint16(6, 4, true);
  header.setUint32(16, 65_535, true);
  header.setUint32(20, LINKTYPE_ETHERNET, true);
  const records = frames.flatMap((frame, number) => {
    const record = new DataView(new ArrayBuffer(RECORD_BYTES));
    record.setUint32(0, number, true);
    record.setUint32(8, frame.length, true);
    record.setUint32(12, frame.length, true);
    return [new Uint8Array(record.buffer), frame];
  });
  return Buffer.concat([new Uint8Array(header.buffer), ...records]);
}

function numbersIn(capture: Uint8Array): number[] {
  const view = new DataView(capture.buffer, capture.byteOffset, capture.length);
  const numbers: number[] = [];
  for (let at = HEADER_BYTES; at < capture.length;) {
    numbers.push(view.getUint32(at, true));
    at += RECORD_BYTES + view.getUint32(at + 8, true);
  }
  return numbers;
}

describeSystem("capture filters beside tcpdump's", ["tcpdump"], () => {
  test("let the same frames pass", async () => {
    const folder = mkdtempSync(join(tmpdir(), "pbt-filter-"));
    try {
      const frames = mixedFrames();
      const [all, some] = [join(folder, "all.pcap"), join(folder, "some.pcap")];
      writeFileSync(all, classicCapture(frames));
      for (const expression of EXPRESSIONS) {
        await check(["tcpdump", "-r", all, "-w", some, expression]);
        const theirs = numbersIn(await Bun.file(some).bytes());
        const filter = new CaptureFilter(expression);
        const ours = [...frames.entries()].flatMap(([number, frame]) => {
          const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
          return filter.matches(view, 0, frame.length) ? [number] : [];
        });
        expect({ expression, numbers: ours }).toEqual({ expression, numbers: theirs });
        // One that takes all or nothing would show little.
        expect(ours.length).toBeGreaterThan(0);
        expect(ours.length).toBeLessThan(frames.length);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
