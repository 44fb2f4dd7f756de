import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openControl, type ControlSocket } from "../../src/client/control.ts";
import type { ClientStatus } from "../../src/client/status.ts";
import { runApplication } from "../../src/command/application.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";

describe("vpn client status and disconnect", () => {
  let stateDir: string;
  let running: Map<string, ControlSocket>;
  beforeEach(() => {
    stateDir = mkdtempSync(join(tmpdir(), "vpn-test-"));
    running = new Map();
  });
  afterEach(() => {
    for (const control of running.values()) control.close();
    rmSync(stateDir, { recursive: true });
  });

  const statusOf = (account: string, clock: FakeEnvironment["clock"]): ClientStatus => ({
    account,
    pid: 7,
    state: "retrying",
    startedAt: clock.wall(),
    server: "vpn.example:443",
    hub: "office",
    user: "al\u001bice",
    mode: "client",
    verify: "off",
    insecure: true,
    nic: "vpn0",
    mac: "5e:00:53:00:00:01",
    mtu: 1500,
    addresses: [],
    established: 2,
    retry: {
      failures: 3,
      at: clock.wall() + 15_000,
      error: { code: "x", message: "Nobody there" },
    },
  });

  const serve = async (name: string) => {
    const { clock } = new FakeEnvironment();
    const control = await openControl(
      { stateDir, tempDir: tmpdir(), name, clock },
      { status: () => statusOf(name, clock), disconnect: () => control.close() },
    );
    running.set(name, control);
  };

  const run = async (...args: string[]) => {
    const environment = new FakeEnvironment();
    const code = await runApplication(["client", ...args, "--state-dir", stateDir], environment);
    expect([environment.listeners, environment.clock.pending]).toEqual([0, 0]);
    return { code, out: environment.out, err: environment.err };
  };

  test("status tells that nothing runs", async () => {
    expect(await run("status")).toEqual({ code: 0, out: "No client runs\n", err: "" });
    expect(await run("status", "--json")).toEqual({ code: 0, out: "[]\n", err: "" });
    expect((await run("status", "hq")).code).toBe(69);
  });

  test("status shows every client, insecurity and the next try, and CL-14 escapes names", async () => {
    await serve("hq");
    await serve("lab");
    const { out } = await run("status");
    expect(out).toMatch(/^Account +hq\nState +retrying, INSECURE/m);
    expect(out).toContain("\n\nAccount    lab\n");
    expect(out).toContain("user al\\u001bice");
    expect(out).toMatch(/^Next try +in 00:00:15$/m);
  });

  test("CL-11 status gives an array, and one object for one name", async () => {
    await serve("hq");
    expect(JSON.parse((await run("status", "--json")).out)).toMatchObject([{ account: "hq" }]);
    expect(JSON.parse((await run("status", "HQ", "--json")).out)).toMatchObject({ account: "hq" });
  });

  test("disconnect ends the only client, or the one that is named", async () => {
    await serve("hq");
    expect(await run("disconnect")).toEqual({ code: 0, out: "Disconnected hq\n", err: "" });
    await serve("hq");
    await serve("lab");
    const several = await run("disconnect");
    expect([several.code, several.err]).toEqual([
      64,
      "vpn: Several clients run, name one: hq, lab\n",
    ]);
    expect((await run("disconnect", "lab", "--json")).out).toBe('{"disconnected":"lab"}\n');
    expect((await run("disconnect", "lab")).code).toBe(69);
  });
});
