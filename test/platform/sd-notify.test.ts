import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check, libc } from "../../src/platform/libc.ts";
import { openServiceNotifier } from "../../src/platform/sd-notify.ts";
import { ManualClock } from "../support/manual-clock.ts";

const EVERY_TYPE = 2 | 0x800;
let folder: string;
let fd: number;
let path: string;

/** A manager that only listens. */
function listen(name: string): void {
  path = name.startsWith("@") ? name : join(folder, name);
  const text = new TextEncoder().encode(path);
  const address = new Uint8Array(2 + text.length + (name.startsWith("@") ? 0 : 1));
  address[0] = 1;
  address.set(text, 2);
  if (name.startsWith("@")) address[2] = 0;
  fd = check(libc.socket(1, EVERY_TYPE, 0), "socket", "listen");
  check(libc.bind(fd, address, address.length), "bind", "listen");
}

function received(): string[] {
  const found: string[] = [];
  const bytes = new Uint8Array(4096);
  for (let length; (length = Number(libc.recv(fd, bytes, bytes.length, 0))) > 0;) {
    found.push(new TextDecoder().decode(bytes.subarray(0, length)));
  }
  return found;
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vpn-test-"));
});
afterEach(() => {
  if (fd >= 0) libc.close(fd);
  fd = -1;
  rmSync(folder, { recursive: true });
});

describe("openServiceNotifier()", () => {
  test.each(["notify.sock", `@patchbay-test-${process.pid}`])("tells the manager at %s", (name) => {
    listen(name);
    const notifier = openServiceNotifier({ NOTIFY_SOCKET: path }, 7, new ManualClock());
    notifier.ready("1 of 2\nconnected");
    notifier.reloading();
    notifier.status("none");
    notifier.stopping();
    notifier.close();
    notifier.close();
    expect(received()).toEqual([
      "READY=1\nSTATUS=1 of 2 connected",
      "RELOADING=1",
      "STATUS=none",
      "STOPPING=1",
    ]);
  });

  test("gives two signs of life in the manager's time, until it is closed", () => {
    listen("notify.sock");
    const clock = new ManualClock();
    const env = { NOTIFY_SOCKET: path, WATCHDOG_USEC: "30000000", WATCHDOG_PID: "7" };
    const notifier = openServiceNotifier(env, 7, clock);
    clock.advance(60_000);
    expect(received()).toEqual([]);
    notifier.ready("up");
    notifier.ready("up again");
    clock.advance(30_000);
    expect(received().slice(2)).toEqual(["WATCHDOG=1", "WATCHDOG=1"]);
    notifier.close();
    clock.advance(60_000);
    expect(received()).toEqual([]);
  });

  test("gives none where they are wanted of another process", () => {
    listen("notify.sock");
    const clock = new ManualClock();
    const env = { NOTIFY_SOCKET: path, WATCHDOG_USEC: "30000000", WATCHDOG_PID: "8" };
    const notifier = openServiceNotifier(env, 7, clock);
    notifier.ready("up");
    clock.advance(60_000);
    expect(received()).toEqual(["READY=1\nSTATUS=up"]);
    notifier.close();
  });

  test.each([undefined, "", "relative", `/${"x".repeat(120)}`])("is silent with %p", (socket) => {
    const notifier = openServiceNotifier({ NOTIFY_SOCKET: socket }, 7, new ManualClock());
    notifier.ready("up");
    notifier.close();
    expect(notifier.status("x")).toBeUndefined();
  });

  test("goes on where the manager is gone", () => {
    const gone = { NOTIFY_SOCKET: join(folder, "gone") };
    const notifier = openServiceNotifier(gone, 7, new ManualClock());
    expect(() => notifier.ready("up")).not.toThrow();
    notifier.close();
  });
});
