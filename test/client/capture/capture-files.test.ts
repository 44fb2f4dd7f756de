import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  openCaptureFile,
  openCaptureRing,
  ringName,
} from "../../../src/client/capture/capture-files.ts";
import { ManualClock } from "../../support/manual-clock.ts";

let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "vpn-test-"))));
afterEach(() => rmSync(folder, { recursive: true }));

/** Whether a write is done without a turn of the event loop, which is what a thread needs to tell of its end. */
async function isDirect(write: Promise<void>): Promise<boolean> {
  let isDone = false;
  const done = write.then(() => (isDone = true));
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  const wasDone = isDone;
  await done;
  return wasDone;
}

describe("openCaptureFile()", () => {
  const clock = new ManualClock();

  test("makes the file anew, for its owner alone", async () => {
    const path = join(folder, "a.pcapng");
    const file = await openCaptureFile(path, clock);
    await file.write(Uint8Array.of(1, 2, 3));
    await file.write(new Uint8Array(600_000).fill(4));
    await file.close();
    const bytes = readFileSync(path);
    expect(bytes.length).toBe(600_003);
    expect(bytes.subarray(3).every((byte) => byte === 4)).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const again = await openCaptureFile(path, clock);
    await again.close();
    await again.close();
    expect(statSync(path).size).toBe(0);
    await expect(openCaptureFile(join(folder, "none", "a.pcapng"), clock)).rejects.toThrow(
      "ENOENT",
    );
  });

  test("FR-24 writes at once while the disk is quick, and by a thread while it is slow", async () => {
    let stepMs = 0;
    const passing = new ManualClock();
    const disk = Object.assign(Object.create(passing) as ManualClock, {
      now: () => (passing.advance(stepMs), passing.now()),
    });
    const path = join(folder, "a.pcapng");
    const file = await openCaptureFile(path, disk);
    const steps = [0, 500, 500, 0, 0];
    const direct: boolean[] = [];
    for (const [n, step] of steps.entries()) {
      stepMs = step;
      direct.push(await isDirect(file.write(Uint8Array.of(n))));
    }
    await file.close();
    expect(direct).toEqual([true, true, false, false, true]);
    expect([...readFileSync(path)]).toEqual([0, 1, 2, 3, 4]);
  });

  test("FR-24 never waits for the reader of a named pipe", async () => {
    const path = join(folder, "pipe");
    Bun.spawnSync(["mkfifo", path]);
    const reader = Bun.spawn(["cat", path], { stdout: "pipe" });
    const file = await openCaptureFile(path, clock);
    expect(await isDirect(file.write(Uint8Array.of(1, 2)))).toBe(false);
    await file.close();
    expect([...(await reader.stdout.bytes())]).toEqual([1, 2]);
    await reader.exited;
  });
});

test("ringName() has the number and the local time before the extension", () => {
  const at = new Date(2026, 10, 2, 3, 4, 5).getTime();
  expect(ringName("/x/net.pcapng", 7, at)).toBe("/x/net_00007_20261102030405.pcapng");
  expect(ringName("/x.y/net", 123_456, at)).toBe("/x.y/net_123456_20261102030405");
});

describe("openCaptureRing()", () => {
  test("keeps the last files that it wrote, and none of others'", async () => {
    const clock = new ManualClock();
    const foreign = "net_00000_20000101000000.pcapng";
    writeFileSync(join(folder, foreign), "theirs");
    const told: string[] = [];
    const onFile = (path: string) => told.push(path);
    const ring = await openCaptureRing(join(folder, "net.pcapng"), 2, { clock, onFile });
    for (let n = 1; n <= 4; n += 1) {
      await ring.write(Uint8Array.of(n));
      // Taken away by somebody: no reason to end.
      if (n === 2) rmSync(told[1]!);
      if (n < 4) await ring.next();
      clock.advance(1000);
    }
    await ring.close();
    expect(readdirSync(folder).sort()).toEqual(
      [foreign, ...told.slice(2).map((path) => path.slice(folder.length + 1))].sort(),
    );
    expect(told).toBeArrayOfSize(4);
    expect([...readFileSync(told[3]!)]).toEqual([4]);
  });
});
