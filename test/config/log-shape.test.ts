import { describe, expect, test } from "bun:test";
import { NO_PACKETS } from "../../src/observe/packet-record.ts";
import { faultsOf, readServer } from "./fixture.ts";

describe("log.*", () => {
  test("reads sizes, durations and the receiver", () => {
    const { config } = readServer(`
      [log]
      dir = "/srv/logs"
      rotate = "hour"
      max_size = "64MiB"
      keep = "0"
      min_free = "0B"
      syslog = "tcp://[2001:db8::5]:6514"
      syslog_level = "packet"
    `);
    expect(config.log).toEqual({
      format: "text",
      level: "info",
      dir: "/srv/logs",
      rotation: "hour",
      maxBytes: 64 * 2 ** 20,
      keepMs: 0,
      minFreeBytes: 0,
      syslog: { protocol: "tcp", host: "2001:db8::5", port: 6514 },
      syslogLevel: "packet",
    });
  });

  test('takes "-" for standard error alone, and no folder', () => {
    expect(readServer('[log]\ndir = "-"').config.log.dir).toBe("-");
  });

  test.each([
    'max_size = "64MB"',
    'max_size = "1"',
    'max_size = "1B"',
    "max_size = 1024",
    'keep = "0d"',
    'keep = "forever"',
    'min_free = "-1B"',
    'rotate = "week"',
    'rotate = "off"',
    'syslog = "192.0.2.5"',
    'syslog = "udp://192.0.2.5:99999"',
    'syslog_level = "all"',
    'dir = ""',
  ])("refuses %s", (line) => {
    expect(faultsOf(() => readServer(`[log]\n${line}`))).toHaveLength(1);
  });
});

describe("hub.NAME.log", () => {
  const read = (line: string) => readServer(`[hub.home.log]\n${line}`).config.hubs[0]!.log;

  test("keeps connections and DHCP unless it says otherwise", () => {
    const { log } = readServer("[hub.home]").config.hubs[0]!;
    expect(log).toEqual({
      security: "day",
      packetRotation: "day",
      packet: { ...NO_PACKETS, tcpconn: 1, dhcp: 1 },
    });
    expect(readServer("").config.hubs[0]!.log).toEqual(log);
  });

  test("reads kinds, with the whole frame or not; the more of two wins", () => {
    expect(read('packet = ["arp:all", "arp", "udp"]').packet).toEqual({
      ...NO_PACKETS,
      arp: 2,
      udp: 1,
    });
    expect(read("packet = []").packet).toEqual(NO_PACKETS);
    expect(read('security = "off"\npacket_rotate = "none"')).toMatchObject({
      security: "off",
      packetRotation: "none",
    });
  });

  test.each([
    'packet = ["tcp"]',
    'packet = ["arp:header"]',
    'packet = "arp"',
    'security = "never"',
  ])("refuses %s", (line) => {
    expect(faultsOf(() => read(line))).toHaveLength(1);
  });
});
