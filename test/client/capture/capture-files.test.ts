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

test("openCaptureFile() makes the file anew, for its owner alone", async () => {
  const path = join(folder, "a.pcapng");
  const file = await openCaptureFile(path);
  await file.write(Uint8Array.of(1, 2, 3));
  await file.write(new Uint8Array(200_000));
  await file.close();
  expect(statSync(path)).toMatchObject({ size: 200_003 });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const again = await openCaptureFile(path);
  await again.close();
  expect(statSync(path).size).toBe(0);
  expect(openCaptureFile(join(folder, "none", "a.pcapng"))).rejects.toThrow("ENOENT");
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
