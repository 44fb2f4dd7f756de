import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EXIT, ExitError } from "../../src/base/errors.ts";
import { openControl } from "../../src/client/control.ts";
import { errorReply, openLineServer, type LineServer } from "../../src/client/line-server.ts";
import { servicePath } from "../../src/client/service-call.ts";
import type { ClientStatus } from "../../src/client/status.ts";
import { runApplication } from "../../src/command/application.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";

let stateDir: string;
let opened: { close(): void }[];
let requests: object[];

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), "vpn-test-"));
  [opened, requests] = [[], []];
});
afterEach(() => {
  for (const { close } of opened) close();
  rmSync(stateDir, { recursive: true });
});

/** A service that answers every call with these names, or with the error. */
function serve(answer: readonly string[] | Error): LineServer {
  const server = openLineServer(servicePath(stateDir), tmpdir(), (request) => {
    requests.push(request);
    const isGood = !(answer instanceof Error);
    return { reply: isGood ? { ok: true, result: answer } : errorReply(answer) };
  });
  opened.push(server);
  return server;
}

async function account(name: string, status: Partial<ClientStatus>): Promise<void> {
  const { clock } = new FakeEnvironment();
  opened.push(
    await openControl(
      { stateDir, tempDir: tmpdir(), name, clock },
      { status: () => ({ account: name, ...status }) as ClientStatus, disconnect: () => undefined },
    ),
  );
}

async function run(...args: string[]) {
  const environment = new FakeEnvironment();
  const code = await runApplication(["client", ...args, "--state-dir", stateDir], environment);
  expect([environment.listeners, environment.clock.pending]).toEqual([0, 0]);
  return { code, out: environment.out, err: environment.err, started: environment.started };
}

describe("vpn client up", () => {
  test("asks the service, and waits for those that it names", async () => {
    serve(["hq"]);
    await account("hq", { state: "connected" });
    expect(await run("up")).toMatchObject({ code: 0, out: "hq: connected\n", started: [] });
    expect(requests).toEqual([{ call: "up", names: [] }]);
  });

  test("tells of each account that is named how it went", async () => {
    serve([]);
    await account("hq", { state: "connected" });
    const retry = { failures: 1, at: 0, error: { code: "x", message: "Nobody there" } };
    await account("lab", { state: "retrying", retry });
    const { code, out } = await run("up", "hq", "lab", "gone", "--json");
    expect([code, JSON.parse(out)]).toEqual([
      75,
      [
        { account: "hq", connected: true },
        { account: "lab", connected: false, error: "Nobody there" },
        { account: "gone", connected: false, error: "it has ended, see the log" },
      ],
    ]);
    expect(requests).toEqual([{ call: "up", names: ["hq", "lab", "gone"] }]);
  });

  test("does not wait where it need not", async () => {
    serve(["hq"]);
    expect(await run("up", "--no-wait")).toMatchObject({ code: 0, out: "hq: starting\n" });
  });

  test("says so where there is nothing to do", async () => {
    serve([]);
    expect((await run("up")).out).toBe("No account has autostart, or all are up\n");
  });

  test("hands on what the service refused, with its exit code", async () => {
    serve(new ExitError(EXIT.usage, 'There is no account "x"'));
    expect(await run("up", "x")).toMatchObject({ code: 64, err: 'vpn: There is no account "x"\n' });
  });

  test("starts a service in the background where none runs", async () => {
    const environment = new FakeEnvironment();
    const flags = ["--state-dir", stateDir, "--config", "/dev/null"];
    const ended = runApplication(["client", "up", "hq", "--no-wait", ...flags], environment);
    while (environment.started.length === 0 || environment.clock.pending === 0) await Bun.sleep(1);
    expect(environment.started).toEqual([
      ["client", "service", "--background", "--state-dir", stateDir, "--config", "/dev/null"],
    ]);
    serve(["hq"]);
    environment.clock.advance(250);
    expect([await ended, environment.out]).toEqual([0, "hq: starting\n"]);
  });
});

describe("vpn client down", () => {
  test("ends accounts, and names those that were not up", async () => {
    serve(["hq"]);
    expect(await run("down")).toMatchObject({ code: 0, out: "Down: hq\n" });
    expect(await run("down", "HQ", "--json")).toMatchObject({ code: 0, out: '{"down":["hq"]}\n' });
    expect(await run("down", "hq", "lab")).toMatchObject({
      code: 69,
      err: "vpn: Not connected by the service: lab\n",
    });
  });

  test("ends with 69 where no service runs, and starts none", async () => {
    expect(await run("down")).toMatchObject({
      code: 69,
      err: "vpn: No service runs with this state directory\n",
      started: [],
    });
  });
});

test("vpn client service --unit prints the unit", async () => {
  const { code, out } = await run("service", "--unit");
  expect([code, out]).toEqual([
    0,
    expect.stringContaining("\nExecStart=/usr/local/bin/vpn client service\n"),
  ]);
});
