import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createServer, type Server, type Socket } from "node:net";
import { systemClock } from "../../src/base/clock.ts";
import {
  LOG_CALM_MS,
  LOG_CLOSE_MS,
  MAX_LOG_QUEUE_BYTES,
  SYSLOG_RETRY_MS,
  SYSLOG_STALL_MS,
} from "../../src/base/limits.ts";
import { Syslog, type SyslogTrouble } from "../../src/observe/syslog.ts";
import { openSyslogLink, type SyslogLinkEvents } from "../../src/observe/syslog-link.ts";
import { encodeSyslog, type SyslogMessage } from "../../src/observe/syslog-message.ts";
import { tryParseSyslogTarget } from "../../src/observe/syslog-target.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { until } from "../support/process.ts";
import { settle } from "./memory-storage.ts";

const SENDER = { host: "gate.example", app: "vpn", processId: 123 };
const WALL = Date.UTC(2026, 10, 22, 13, 45, 0, 7);

function message(text: string, other: Partial<SyslogMessage> = {}): SyslogMessage {
  return { wall: WALL, level: "info", event: "login", text, fields: {}, ...other };
}

const decode = (bytes: Uint8Array) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

describe("encodeSyslog()", () => {
  test("gives a message of RFC 5424 with the fields as structured data", () => {
    const fields = { hub: "home", user: 'a"b\\c]', bytes: 5, left: undefined };
    const encoded = encodeSyslog(
      message("alice logged in", { level: "warn", fields }),
      SENDER,
      2048,
    );
    expect(decode(encoded)).toBe(
      "<28>1 2026-11-22T13:45:00.007Z gate.example vpn 123 login " +
        '[patchbay@32473 hub="home" user="a\\"b\\\\c\\]" bytes="5"] alice logged in',
    );
  });

  test("announces UTF-8, and lets no name make another line or another field", () => {
    const fields = { 'x"] y=': "a\nb" };
    const encoded = encodeSyslog(message("gr\u00fcn\r\nrot", { fields }), SENDER, 2048);
    expect(decode(encoded)).toEndWith('[patchbay@32473 x___y_="a b"] \u{feff}gr\u00fcn  rot');
  });

  test("cuts what is too long, but not within a character", () => {
    const whole = encodeSyslog(message("\u00fc".repeat(3000)), SENDER, 1e6);
    for (const most of [2047, 2048]) {
      const encoded = encodeSyslog(message("\u00fc".repeat(3000)), SENDER, most);
      expect(encoded.length).toBeGreaterThan(most - 2);
      expect(encoded.length).toBeLessThanOrEqual(most);
      expect(whole.subarray(0, encoded.length)).toEqual(encoded);
      expect(() => new TextDecoder("utf-8", { fatal: true }).decode(encoded)).not.toThrow();
    }
  });
});

test.each([
  ["udp://192.0.2.5", { protocol: "udp", host: "192.0.2.5", port: 514 }],
  ["tcp://log.example:6514", { protocol: "tcp", host: "log.example", port: 6514 }],
  ["udp://[2001:db8::5]:1514", { protocol: "udp", host: "2001:db8::5", port: 1514 }],
  ["http://192.0.2.5", undefined],
  ["udp://", undefined],
  ["udp://a:0", undefined],
  ["udp://a:65536", undefined],
  ["udp://a b", undefined],
] as const)("tryParseSyslogTarget(%j)", (text, target) => {
  expect(tryParseSyslogTarget(text)).toEqual(target);
});

describe("Syslog with a receiver", () => {
  let syslog: Syslog | undefined;
  let server: Server | undefined;
  const sockets: Socket[] = [];

  afterEach(async () => {
    await syslog?.close();
    for (const socket of sockets.splice(0)) socket.destroy();
    server?.close();
  });

  const start = (protocol: "udp" | "tcp", port: number) =>
    new Syslog(
      { protocol, host: "127.0.0.1", port },
      { clock: systemClock, sender: SENDER, open: openSyslogLink, onTrouble: () => undefined },
    );

  test("sends a datagram a message by UDP", async () => {
    const received: string[] = [];
    const receiver = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: { data: (_, bytes) => void received.push(bytes.toString()) },
    });
    try {
      syslog = start("udp", receiver.port);
      syslog.send(message("one"));
      syslog.send(message("two"));
      await until("two datagrams", () => received.length === 2);
      expect(received[0]).toEndWith("vpn 123 login - one");
      expect(received[1]).toEndWith("vpn 123 login - two");
    } finally {
      receiver.close();
    }
  });

  test("counts octets by TCP (RFC 6587), and sends what waits when it is closed", async () => {
    let received = "";
    let wasReset: boolean | undefined;
    server = createServer((socket) => {
      sockets.push(socket);
      socket.on("error", () => undefined);
      socket.on("close", (hadError) => (wasReset = hadError));
      socket.on("data", (bytes) => (received += bytes.toString()));
    });
    const listening = server;
    await new Promise<void>((done) => listening.listen(0, "127.0.0.1", done));
    syslog = start("tcp", (listening.address() as { port: number }).port);
    syslog.send(message("one"));
    await until("a connection", () => sockets.length === 1);
    await until("the first", () => received !== "");
    syslog.send(message("two\nlines"));
    await syslog.close();
    await until("both messages", () => received.includes("two lines"));
    const [, count, rest] = /^(\d+) (.*)$/s.exec(received)!;
    const first = rest!.slice(0, Number(count));
    expect(first).toEndWith("login - one");
    const second = rest!.slice(Number(count));
    expect(second.slice(second.indexOf(" ") + 1)).toHaveLength(parseInt(second, 10));
    expect(syslog.sent).toBe(2);
    await until("the end of the connection", () => wasReset !== undefined);
    expect(wasReset).toBe(false);
  });
});

describe("Syslog", () => {
  let clock: ManualClock;
  let troubles: SyslogTrouble[];
  let events: SyslogLinkEvents[];
  let taken: string[];
  /** Bytes that the link takes before it is full. */
  let room: number;
  let refusal: string | undefined;
  let closed: number;
  let gate: Promise<void>;
  let syslog: Syslog;

  beforeEach(() => {
    clock = new ManualClock();
    troubles = [];
    events = [];
    taken = [];
    room = Infinity;
    refusal = undefined;
    closed = 0;
    gate = Promise.resolve();
    syslog = connect();
  });

  function connect(): Syslog {
    return new Syslog(
      { protocol: "tcp", host: "192.0.2.5", port: 514 },
      {
        clock,
        sender: SENDER,
        onTrouble: (trouble) => void troubles.push(trouble),
        open: async (_, its) => {
          events.push(its);
          await gate;
          if (refusal !== undefined) throw new Error(refusal);
          return {
            address: "192.0.2.5",
            send: (bytes) => {
              const count = Math.min(bytes.length, room);
              room -= count;
              taken.push(decode(bytes.subarray(0, count)));
              return count;
            },
            close: () => void (closed += 1),
            abort: () => void (closed += 1),
          };
        },
      },
    );
  }

  afterEach(async () => {
    const done = syslog.close();
    await settle();
    clock.advance(LOG_CLOSE_MS);
    await done;
    expect(clock.pending).toBe(0);
  });

  test("keeps messages until the connection stands", async () => {
    await syslog.close();
    const open = Promise.withResolvers<void>();
    gate = open.promise;
    syslog = connect();
    syslog.send(message("early"));
    await settle();
    expect(taken).toEqual([]);
    open.resolve();
    await settle();
    expect(taken.join("")).toEndWith("early");
    expect(syslog.address).toBe("192.0.2.5");
  });

  test("dials a receiver that takes nothing anew, and counts the message that it took a part of", async () => {
    await settle();
    room = 10;
    for (const text of ["one", "two"]) syslog.send(message(text));
    clock.advance(SYSLOG_STALL_MS);
    expect(troubles).toEqual([{ kind: "failed", why: "the receiver takes nothing" }]);
    expect(closed).toBe(1);
    expect(syslog.lost).toBe(1);
    taken = [];
    room = Infinity;
    clock.advance(SYSLOG_RETRY_MS.first);
    await settle();
    expect(taken).toHaveLength(1);
    expect(taken[0]).toMatch(/^\d+ <30>1 .*two$/);
    clock.advance(LOG_CALM_MS);
    syslog.send(message("three"));
    expect(troubles.at(-1)).toEqual({ kind: "recovered", lost: 1 });
  });

  test("waits longer after each failure, says so once, and loses what finds no room", async () => {
    await settle();
    refusal = "ECONNREFUSED";
    events[0]!.onLost("the receiver closed the connection");
    const dialled = () => events.length;
    for (const [after, count] of [
      [1_000, 2],
      [2_000, 3],
      [4_000, 4],
    ] as const) {
      clock.advance(after - 1);
      await settle();
      expect(dialled()).toBe(count - 1);
      clock.advance(1);
      await settle();
      expect(dialled()).toBe(count);
    }
    expect(troubles).toHaveLength(1);
    const text = "x".repeat(4_000);
    for (let i = 0; i < 300; i += 1) syslog.send(message(text));
    expect(syslog.lost).toBeGreaterThan(300 - MAX_LOG_QUEUE_BYTES / 4_000);
    expect(syslog.lost).toBeLessThan(60);
  });

  test("goes on when there is room again", async () => {
    await settle();
    room = 3;
    syslog.send(message("whole"));
    room = Infinity;
    events[0]!.onReady();
    expect(taken.join("")).toMatch(/^\d+ <30>1 .*whole$/);
    expect(syslog).toMatchObject({ sent: 1, lost: 0 });
  });
});
