import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { LOG_CLOSE_MS } from "../../src/base/limits.ts";
import { ServerLogs, type ServerLogsSettings } from "../../src/observe/server-logs.ts";
import type { PacketRecord } from "../../src/observe/packet-record.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { MemoryStorage, settle } from "./memory-storage.ts";

const FILES = { dir: "/log", rotation: "none", maxBytes: 1e9, keepMs: 0, minFreeBytes: 0 } as const;
const SETTINGS: ServerLogsSettings = {
  format: "text",
  level: "info",
  files: FILES,
  syslog: undefined,
  syslogLevel: "server",
};
const TARGET = { protocol: "udp", host: "192.0.2.5", port: 514 } as const;
const DAILY = { security: "none", packetRotation: "none" } as const;

const PACKET: PacketRecord = {
  wall: 0,
  from: "SID-A-1",
  to: "",
  fromMac: "020000000001",
  toMac: "020000000002",
  etherType: 0x0800,
  size: 60,
  kind: "UDPv4",
  subKind: "",
  fromIp: "192.0.2.1",
  toIp: "192.0.2.2",
  transport: "udp",
  fromPort: 40_000,
  toPort: 514,
  sequence: undefined,
  acknowledgement: undefined,
  note: "",
  data: "",
  places: undefined,
};

let clock: ManualClock;
let storage: MemoryStorage;
let stderr: string[];
let sent: string[];
let logs: ServerLogs;

beforeEach(() => {
  clock = new ManualClock();
  storage = new MemoryStorage(clock);
  stderr = [];
  sent = [];
  logs = new ServerLogs(SETTINGS, {
    clock,
    storage,
    standardError: (line) => void stderr.push(line),
    sender: { host: "gate", app: "vpn", processId: 1 },
    serviceName: () => undefined,
    openSyslog: async () => ({
      address: TARGET.host,
      send: (bytes) => {
        sent.push(new TextDecoder().decode(bytes));
        return bytes.length;
      },
      close: () => undefined,
      abort: () => undefined,
    }),
  });
});

afterEach(async () => {
  const closed = logs.close();
  await settle();
  clock.advance(LOG_CLOSE_MS);
  await closed;
  expect(clock.pending).toBe(0);
  expect(storage.openHandles).toBe(0);
});

async function pass(): Promise<void> {
  await settle();
  clock.advance(1_000);
  await settle();
}

describe("ServerLogs", () => {
  test("writes lines to standard error, and to the file those as well that came before its place was known", async () => {
    logs.log.info("early", "Before");
    logs.reconfigure(SETTINGS);
    logs.log.debug("quiet", "Not told");
    logs.log.warn("late", "After", { port: 443 });
    await pass();
    expect(stderr).toHaveLength(2);
    expect(storage.text("/log/server_log/vpn.log")?.split("\r\n")).toEqual([...stderr, ""]);
    expect(stderr[1]).toEndWith(" warn  After port=443");
  });

  test("writes no file where the place is standard error alone", async () => {
    logs.reconfigure({ ...SETTINGS, files: undefined });
    logs.openHub("home", DAILY);
    logs.log.info("x", "Line", { hub: "home" });
    await pass();
    expect(storage.paths).toEqual([]);
    expect(stderr).toHaveLength(1);
  });

  test("copies what is about a hub to its security log, whatever log.level says, and makes none for names that are no hub", async () => {
    logs.reconfigure({ ...SETTINGS, level: "error" });
    logs.openHub("Home", DAILY);
    logs.log.info("login", "alice logged in", { hub: "HOME", user: "alice" });
    logs.log.warn("login_failed", "Login refused", { hub: "../../etc" });
    logs.log.debug("mac", "Not told", { hub: "Home" });
    await pass();
    expect(stderr).toEqual([]);
    expect(storage.paths).toEqual(["/log/security_log/Home/sec.log"]);
    expect(storage.text("/log/security_log/Home/sec.log")).toMatch(
      / info {2}alice logged in hub=HOME user=alice\r\n$/,
    );
  });

  test("opens, changes and closes the logs of a hub", async () => {
    logs.reconfigure(SETTINGS);
    const sink = logs.openHub("home", DAILY);
    expect(sink.isOpen).toBe(true);
    sink.put(PACKET);
    logs.openHub("home", { security: "off", packetRotation: "off" });
    expect(sink.isOpen).toBe(false);
    logs.log.info("x", "Not in the hub's log", { hub: "home" });
    await pass();
    expect(storage.paths).toEqual(["/log/packet_log/home/pkt.log", "/log/server_log/vpn.log"]);
    await logs.closeHub("home");
    expect(logs.stats).toMatchObject({ written: 2, lost: 0 });
  });

  test("JSON is one object a line, of packets as well", async () => {
    logs.reconfigure({ ...SETTINGS, format: "json" });
    logs.openHub("home", DAILY).put(PACKET);
    await pass();
    const line = storage.text("/log/packet_log/home/pkt.log")!.trim();
    expect(JSON.parse(line)).toMatchObject({ event: "packet", hub: "home", kind: "UDPv4" });
  });

  test.each([
    ["server", ["Of the server"]],
    ["security", ["Of the server", "Of a hub"]],
    ["packet", ["Of the server", "Of a hub", "UDPv4"]],
  ] as const)("sends the receiver what syslog_level %s holds", async (syslogLevel, texts) => {
    logs.reconfigure({ ...SETTINGS, syslog: TARGET, syslogLevel });
    const sink = logs.openHub("home", DAILY);
    await settle();
    logs.log.info("a", "Of the server");
    logs.log.info("b", "Of a hub", { hub: "home" });
    sink.put(PACKET);
    await pass();
    expect(sent).toHaveLength(texts.length);
    texts.forEach((text, at) => expect(sent[at]).toContain(text));
    expect(logs.stats.syslog).toEqual({ sent: texts.length, lost: 0 });
  });

  test("keeps no line of a message to the receiver where that gets packet logs", async () => {
    logs.reconfigure({ ...SETTINGS, syslog: TARGET, syslogLevel: "packet" });
    const sink = logs.openHub("home", DAILY);
    await settle();
    sink.put({ ...PACKET, toIp: TARGET.host });
    sink.put({ ...PACKET, toIp: TARGET.host, toPort: 515 });
    await pass();
    expect(sent).toHaveLength(1);
    expect(storage.text("/log/packet_log/home/pkt.log")?.split("\r\n")).toHaveLength(2);
  });

  test("FR-25 tells once that a log is being lost", async () => {
    logs.reconfigure(SETTINGS);
    const sink = logs.openHub("home", DAILY);
    storage.room = 0;
    for (let i = 0; i < 20; i += 1) {
      sink.put(PACKET);
      await pass();
    }
    const told = stderr.filter((line) => line.includes("packet_log/home/pkt.log"));
    expect(told).toHaveLength(1);
    expect(told[0]).toContain("Lines of a log are being lost: ENOSPC");
    expect(logs.stats.lost).toBeGreaterThanOrEqual(20);
    storage.room = Infinity;
  });

  test("a receiver that is named anew gets messages from then on", async () => {
    logs.reconfigure({ ...SETTINGS, syslog: TARGET });
    await settle();
    logs.log.info("a", "To the first");
    logs.reconfigure({ ...SETTINGS, syslog: { ...TARGET, port: 515 } });
    await settle();
    logs.log.info("b", "To the second");
    await settle();
    expect(sent).toHaveLength(2);
    expect(logs.stats.syslog).toEqual({ sent: 2, lost: 0 });
  });
});
