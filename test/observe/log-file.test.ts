import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  LOG_CALM_MS,
  LOG_CLOSE_MS,
  LOG_IDLE_MS,
  MAX_LOG_QUEUE_BYTES,
} from "../../src/base/limits.ts";
import { LogFile, type LogFileSettings, type LogTrouble } from "../../src/observe/log-file.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { MemoryStorage, settle } from "./memory-storage.ts";

const NOON = new Date(2026, 10, 22, 12).getTime();
const DAY_MS = 86_400_000;
const SETTINGS: LogFileSettings = { folder: "/log", prefix: "vpn", rotation: "day", maxBytes: 1e9 };

let clock: ManualClock;
let storage: MemoryStorage;
let troubles: LogTrouble[];
let file: LogFile;

function make(settings: Partial<LogFileSettings> = {}): LogFile {
  const onTrouble = (trouble: LogTrouble) => void troubles.push(trouble);
  return new LogFile({ ...SETTINGS, ...settings }, { clock, storage, onTrouble });
}

beforeEach(() => {
  clock = new ManualClock(NOON);
  storage = new MemoryStorage(clock);
  troubles = [];
  file = make();
});

afterEach(async () => {
  const closed = file.close();
  await settle();
  clock.advance(LOG_CLOSE_MS);
  await closed;
  expect(clock.pending).toBe(0);
});

/** Time for the lines of now to be written. */
async function pass(ms = 1_000): Promise<void> {
  clock.advance(ms);
  await settle();
  clock.advance(0);
  await settle();
}

describe("LogFile", () => {
  test("writes lines with CRLF, a burst at once, a moment later", async () => {
    for (const line of ["one", "two", "drei \u00fc"]) file.put(line, clock.wall());
    expect(storage.paths).toEqual([]);
    await pass();
    expect(storage.text("/log/vpn_20261122.log")).toBe("one\r\ntwo\r\ndrei \u00fc\r\n");
    expect(storage.writes).toBe(1);
    expect(file).toMatchObject({ written: 3, lost: 0 });
  });

  test("begins to write early where much comes at once", async () => {
    for (let i = 0; i < 300; i += 1) file.put("x".repeat(998), clock.wall());
    await pass(0);
    expect(file.written).toBe(300);
  });

  test("goes to the file of the day on which a line happened", async () => {
    file.put("today", clock.wall());
    file.put("tomorrow", clock.wall() + DAY_MS);
    await pass();
    clock.advance(DAY_MS);
    file.put("later", clock.wall());
    await pass();
    expect(storage.text("/log/vpn_20261122.log")).toBe("today\r\n");
    expect(storage.text("/log/vpn_20261123.log")).toBe("tomorrow\r\nlater\r\n");
    expect(storage.openHandles).toBe(1);
  });

  test("goes on in another file where one is full, also after a restart, and never splits a line", async () => {
    file = make({ maxBytes: 20 });
    for (const line of ["12345678", "abcdefgh", "next", "x".repeat(30)])
      file.put(line, clock.wall());
    await pass();
    expect(storage.text("/log/vpn_20261122.log")).toBe("12345678\r\nabcdefgh\r\n");
    expect(storage.text("/log/vpn_20261122~01.log")).toBe("next\r\n");
    expect(storage.text("/log/vpn_20261122~02.log")).toBe(`${"x".repeat(30)}\r\n`);
    await file.close();
    file = make({ maxBytes: 20 });
    file.put("again", clock.wall());
    await pass();
    expect(storage.text("/log/vpn_20261122~01.log")).toBe("next\r\nagain\r\n");
  });

  test("FR-25 a full disk loses lines, which is told once, and the file is whole when there is room again", async () => {
    storage.room = 5;
    file.put("first", clock.wall());
    await pass();
    for (let i = 0; i < 5; i += 1) {
      file.put(`lost ${i}`, clock.wall());
      await pass(2_000);
    }
    expect(troubles).toEqual([
      { kind: "failed", path: "/log/vpn_20261122.log", why: "ENOSPC: no space left on device" },
    ]);
    expect(file.lost).toBe(6);
    storage.room = Infinity;
    await pass(LOG_CALM_MS);
    file.put("after", clock.wall());
    await pass();
    expect(storage.text("/log/vpn_20261122.log")).toBe("first\r\nafter\r\n");
    expect(troubles.at(-1)).toEqual({ kind: "recovered", path: "/log/vpn_20261122.log", lost: 6 });
  });

  test("FI-07 a slow disk fills the queue, and what comes on top is lost", async () => {
    const gate = Promise.withResolvers<void>();
    storage.gate = gate.promise;
    const line = "x".repeat(998);
    const most = Math.floor(MAX_LOG_QUEUE_BYTES / 1000);
    for (let i = 0; i < most + 25; i += 1) file.put(line, clock.wall());
    expect(file.lost).toBe(25);
    expect(troubles).toHaveLength(1);
    await pass();
    gate.resolve();
    await pass();
    expect(file.written).toBe(most);
  });

  test("keeps lines while its folder cannot be made", async () => {
    storage.refusal = "EROFS: read-only file system";
    file.put("kept", clock.wall());
    await pass();
    expect(troubles).toHaveLength(1);
    storage.refusal = undefined;
    await pass(2_000);
    expect(storage.text("/log/vpn_20261122.log")).toBe("kept\r\n");
    expect(file.lost).toBe(0);
  });

  test("CL-17 reopen() writes to a new file where the old one was moved away", async () => {
    file.put("old", clock.wall());
    await pass();
    storage.stored.delete("/log/vpn_20261122.log");
    file.put("still the old one", clock.wall());
    await pass();
    expect(storage.paths).toEqual([]);
    file.reopen();
    file.put("new", clock.wall());
    await pass();
    expect(storage.text("/log/vpn_20261122.log")).toBe("new\r\n");
    expect(storage.openHandles).toBe(1);
  });

  test("closes a file that rests, and opens it again", async () => {
    file.put("one", clock.wall());
    await pass();
    expect(file.path).toBe("/log/vpn_20261122.log");
    await pass(LOG_IDLE_MS);
    expect(file.path).toBeUndefined();
    expect(storage.openHandles).toBe(0);
    file.put("two", clock.wall());
    await pass();
    expect(storage.text("/log/vpn_20261122.log")).toBe("one\r\ntwo\r\n");
  });

  test("reconfigure() takes lines from now on elsewhere", async () => {
    file.put("here", clock.wall());
    await pass();
    file.reconfigure({ ...SETTINGS, folder: "/other", rotation: "none" });
    file.put("there", clock.wall());
    await pass();
    expect(storage.text("/log/vpn_20261122.log")).toBe("here\r\n");
    expect(storage.text("/other/vpn.log")).toBe("there\r\n");
  });

  test("close() writes what waits, and does not wait for ever", async () => {
    file.put("last", clock.wall());
    await file.close();
    expect(storage.text("/log/vpn_20261122.log")).toBe("last\r\n");
    file.put("too late", clock.wall());
    expect(file.lost).toBe(1);
    const stuck = make();
    storage.gate = new Promise(() => undefined);
    stuck.put("never", clock.wall());
    const closed = stuck.close();
    await settle();
    clock.advance(LOG_CLOSE_MS);
    await closed;
    storage.refusal = "EROFS";
    const refused = make();
    refused.put("nowhere", clock.wall());
    await refused.close();
    expect(refused.lost).toBe(1);
  });
});
