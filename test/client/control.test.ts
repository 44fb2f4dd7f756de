import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExitError } from "../../src/base/errors.ts";
import {
  askDisconnect,
  askStatus,
  controlPath,
  listControls,
} from "../../src/client/control-call.ts";
import { openControl, type ControlSocket } from "../../src/client/control.ts";
import type { ClientStatus } from "../../src/client/status.ts";
import { ManualClock } from "../support/manual-clock.ts";

const STATUS = { account: "hq", pid: 7, hub: "b\u00fcro \u{1f600}" } as unknown as ClientStatus;

describe("control socket of a client", () => {
  const clock = new ManualClock();
  let stateDir: string;
  let open: ControlSocket[];
  beforeEach(() => {
    stateDir = mkdtempSync(join(tmpdir(), "vpn-test-"));
    open = [];
  });
  afterEach(() => {
    for (const control of open) control.close();
    expect(clock.pending).toBe(0);
    rmSync(stateDir, { recursive: true });
  });

  const serve = async (name: string, onDisconnect: () => void = () => undefined) => {
    const control = await openControl(
      { stateDir, tempDir: tmpdir(), name, clock },
      { status: () => STATUS, disconnect: onDisconnect },
    );
    open.push(control);
    return control;
  };

  test("answers with the status, on a socket of its owner alone", async () => {
    await serve("hq");
    const path = controlPath(stateDir, "HQ");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await askStatus(path, clock)).toEqual(STATUS);
    expect(listControls(stateDir)).toEqual([path]);
  });

  test("is gone after close()", async () => {
    const control = await serve("hq");
    control.close();
    control.close();
    expect(readdirSync(stateDir)).toEqual([]);
    expect(await askStatus(controlPath(stateDir, "hq"), clock)).toBeUndefined();
  });

  test("askDisconnect() returns only when the client has put everything away", async () => {
    const called = Promise.withResolvers<void>();
    const control = await serve("hq", called.resolve);
    let isDone = false;
    const asked = askDisconnect(controlPath(stateDir, "hq"), clock).then((found) => {
      isDone = true;
      return found;
    });
    await called.promise;
    // The answer of another caller comes behind that of the first.
    await askStatus(controlPath(stateDir, "hq"), clock);
    expect(isDone).toBe(false);
    control.close();
    expect(await asked).toBe(true);
  });

  test("openControl() refuses a name that runs already, with 75 and its process", async () => {
    await serve("hq");
    const refused: ExitError = await serve("HQ").then(
      () => expect.unreachable(),
      (error: ExitError) => error,
    );
    expect(refused.exitCode).toBe(75);
    expect(refused.message).toContain("process 7");
    expect(refused.message).toContain("vpn client disconnect HQ");
  });

  test("openControl() takes the place of a client that died", async () => {
    const path = controlPath(stateDir, "hq");
    const child = Bun.spawnSync({
      cmd: [
        process.execPath,
        "-e",
        `Bun.listen({ unix: ${JSON.stringify(path)}, socket: { data() {} } }); process.kill(process.pid, "SIGKILL")`,
      ],
    });
    expect(child.signalCode).toBe("SIGKILL");
    expect(await askStatus(path, clock)).toBeUndefined();
    await serve("hq");
    expect(await askStatus(path, clock)).toEqual(STATUS);
  });

  test.each([
    "a b",
    "../../etc",
    "a/b",
    "\u0000",
    "Gr\u00fc\u00dfe",
    "\u202eabc",
    ".",
    "%41",
    "x".repeat(255),
    "\u{1f600}".repeat(120),
  ])(
    "CL-10 a client called %j stays inside the state directory and is found again",
    async (name) => {
      await serve(name);
      const files = readdirSync(stateDir);
      expect(files.length).toBe(1);
      expect(await askStatus(controlPath(stateDir, name), clock)).toEqual(STATUS);
    },
  );

  test("answers requests that are none with an error, and goes on", async () => {
    await serve("hq");
    const lines = await talk(
      controlPath(stateDir, "hq"),
      'x\n{"call":"format"}\nnull\n{"call":"status"}\n',
      4,
    );
    expect(lines.map((line) => line.error?.code ?? "ok")).toEqual([
      "unknown_call",
      "unknown_call",
      "unknown_call",
      "ok",
    ]);
  });

  test("hangs up on a line without an end", async () => {
    await serve("hq");
    expect(await talk(controlPath(stateDir, "hq"), "x".repeat(70_000), 1)).toEqual([]);
    expect(await askStatus(controlPath(stateDir, "hq"), clock)).toEqual(STATUS);
  });

  test("takes at most 16 callers at once", async () => {
    await serve("hq");
    const path = controlPath(stateDir, "hq");
    const socket = { data() {} };
    const callers = await Promise.all(
      Array.from({ length: 16 }, () => Bun.connect({ unix: path, socket })),
    );
    await expect(askStatus(path, clock)).rejects.toThrow("it gave no answer");
    for (const caller of callers) caller.terminate();
  });

  test("a client that does not answer is given up after 5 s", async () => {
    const path = controlPath(stateDir, "mute");
    const mute = Bun.listen({ unix: path, socket: { data: () => clock.advance(5_000) } });
    await expect(askStatus(path, clock)).rejects.toThrow("no answer within 5 s");
    mute.stop(true);
  });

  test.each(["hello\n", "{}\n", '{"ok":false,"error":{"message":"no"}}\n', "x".repeat(70_000)])(
    "an answer that is none is an error (%#)",
    async (answer) => {
      const path = controlPath(stateDir, "odd");
      const odd = Bun.listen({
        unix: path,
        socket: { data: (socket) => void socket.write(answer) },
      });
      const error = await askStatus(path, clock).then(
        () => undefined,
        (thrown: { code: string }) => thrown.code,
      );
      expect(error).toBe("control_failed");
      odd.stop(true);
    },
  );

  test("listControls() finds nothing where there is no directory", () => {
    writeFileSync(join(stateDir, "macs"), "x");
    expect(listControls(stateDir)).toEqual([]);
    expect(listControls(join(stateDir, "nowhere"))).toEqual([]);
  });
});

/** Writes `text`, and gives the lines that came until there are `count` or the other side hangs up. */
async function talk(
  path: string,
  text: string,
  count: number,
): Promise<{ error?: { code: string } }[]> {
  const done = Promise.withResolvers<void>();
  let got = "";
  const socket = await Bun.connect({
    unix: path,
    socket: {
      open: (opened) => void opened.write(text),
      data(_socket, chunk) {
        got += chunk.toString();
        if (got.split("\n").length > count) done.resolve();
      },
      close: () => done.resolve(),
    },
  });
  await done.promise;
  socket.terminate();
  return got
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}
