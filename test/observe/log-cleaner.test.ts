import { afterEach, beforeEach, expect, test } from "bun:test";
import { LOG_CLEAN_MS } from "../../src/base/limits.ts";
import { LogCleaner } from "../../src/observe/log-cleaner.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { recordingLog } from "../support/test-server.ts";
import { MemoryStorage, settle } from "./memory-storage.ts";

const DAY_MS = 86_400_000;
const SETTINGS = { dir: "/log", keepMs: 90 * DAY_MS, minFreeBytes: 0 };

let clock: ManualClock;
let storage: MemoryStorage;
let log: ReturnType<typeof recordingLog>;
let cleaner: LogCleaner;
const open = new Set<string>();

beforeEach(() => {
  clock = new ManualClock();
  storage = new MemoryStorage(clock);
  log = recordingLog();
  open.clear();
  const isOpen = (path: string) => open.has(path);
  cleaner = new LogCleaner(SETTINGS, { clock, storage, log, isOpen });
});

afterEach(() => {
  cleaner.close();
  expect(clock.pending).toBe(0);
});

const daysAgo = (days: number) => clock.wall() - days * DAY_MS;

test("LogCleaner removes log files of ours that are too old, every five minutes, and nothing else", async () => {
  storage.add("/log/server_log/vpn_20260101.log", daysAgo(91));
  storage.add("/log/security_log/HOME/sec_20260101.log", daysAgo(91));
  storage.add("/log/packet_log/HOME/pkt_20260101~02.log", daysAgo(91));
  const others = [
    "/log/server_log/vpn_20260110.log.gz",
    "/log/server_log/notes.log",
    "/log/server_log/sec_20260101.log",
    "/log/packet_log/pkt_20260101.log",
    "/log/vpn_20260101.log",
    "/etc/server_log/vpn_20260101.log",
  ];
  for (const path of others) storage.add(path, daysAgo(900));
  storage.add("/log/server_log/vpn_20260102.log", daysAgo(89));
  clock.advance(LOG_CLEAN_MS);
  await settle();
  await cleaner.clean();
  expect(storage.paths).toEqual([...others, "/log/server_log/vpn_20260102.log"].sort());
  expect(log.lines).toMatchObject([{ event: "logs_removed", fields: { count: 3 } }]);
  expect(cleaner.removed).toBe(3);
});

test("LogCleaner removes the oldest first while there is too little room, but no file that is open", async () => {
  cleaner.reconfigure({ dir: "/log", keepMs: 0, minFreeBytes: 25 });
  storage.room = 0;
  storage.add("/log/server_log/vpn_20260101.log", daysAgo(400));
  storage.add("/log/packet_log/A/pkt_20260101.log", daysAgo(300));
  storage.add("/log/packet_log/B/pkt_20260101.log", daysAgo(200));
  storage.add("/log/packet_log/B/pkt_20260102.log", daysAgo(100));
  storage.add("/log/packet_log/B/pkt_20260103.log", daysAgo(50));
  open.add("/log/packet_log/A/pkt_20260101.log");
  await cleaner.clean();
  expect(storage.paths).toEqual([
    "/log/packet_log/A/pkt_20260101.log",
    "/log/packet_log/B/pkt_20260103.log",
  ]);
});

test("LogCleaner says once that there is no room and nothing to remove", async () => {
  cleaner.reconfigure({ dir: "/log", keepMs: 0, minFreeBytes: 25 });
  storage.room = 0;
  await cleaner.clean();
  await cleaner.clean();
  expect(log.lines.map(({ event }) => event)).toEqual(["log_room"]);
  storage.room = 100;
  await cleaner.clean();
  storage.room = 0;
  await cleaner.clean();
  expect(log.lines).toHaveLength(2);
});

test("LogCleaner goes on where a file cannot be removed, and says so", async () => {
  storage.add("/log/server_log/vpn_20250101.log", daysAgo(900));
  storage.add("/log/server_log/vpn_20250102.log", daysAgo(800));
  const { remove } = storage;
  storage.remove = (path) =>
    path.endsWith("01.log")
      ? Promise.reject(new Error("EACCES: permission denied"))
      : remove.call(storage, path);
  await cleaner.clean();
  expect(storage.paths).toEqual(["/log/server_log/vpn_20250101.log"]);
  expect(log.lines).toMatchObject([
    { event: "log_clean_failed", text: "Old log files stay: EACCES: permission denied" },
    { event: "logs_removed", fields: { count: 1 } },
  ]);
});
