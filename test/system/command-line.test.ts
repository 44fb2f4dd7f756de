import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, Running, until } from "../support/process.ts";
import { assertNoTraces, VPN_BIN } from "../support/vpn.ts";

// The built binary as a shell sees it: exit codes, pipes and signals.

function freePort(): number {
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  probe.stop(true);
  return probe.port;
}

describe("the built binary", () => {
  let folder: string;
  let started: Running[];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "vpn-test-"));
    started = [];
  });
  afterEach(async () => {
    for (const process of started) await process.stop("SIGKILL");
    rmSync(folder, { recursive: true });
  });

  const vpn = async (...args: string[]) => {
    const finished = await run([VPN_BIN, ...args], { stdin: "" });
    assertNoTraces(args.join(" "), [finished.stderr]);
    return finished;
  };
  const shell = (script: string) =>
    run(["bash", "-c", `set -o pipefail; ${script}`], { env: { VPN: VPN_BIN, DIR: folder } });

  /** Starts a server and waits until it is ready. */
  const serve = async () => {
    const config = join(folder, "config.toml");
    writeFileSync(config, `[server]\nlisten = ["127.0.0.1:${freePort()}"]\n[hub.office]\n`);
    const args = ["server", "--config", config, "--state-dir", folder, "--log-format", "json"];
    const server = new Running([VPN_BIN, ...args]);
    started.push(server);
    await until("the server", () => server.output().includes('"event":"ready"'), {
      explain: () => server.output(),
    });
    return server;
  };

  test("CL-01 ends with 64 without arguments, and with 0 after --help and --version", async () => {
    const codes = [await vpn(), await vpn("--help"), await vpn("--version")];
    expect(codes.map(({ exitCode }) => exitCode)).toEqual([64, 0, 0]);
    expect(codes[2]!.stdout).toMatch(/^vpn \d+\.\d+\.\d+ \(\S+, \S+\)\n$/);
  });

  // A process that denies dumps shows its environment to root alone.
  test.if(process.getuid?.() === 0)(
    "server starts itself anew in its own place, as the same process, where the runtime would not let it sleep",
    async () => {
      const server = await serve();
      const told = /"event":"ready".*?"pid":(\d+)/.exec(server.output())?.[1];
      expect(Number(told)).toBe(server.pid);
      const variables = readFileSync(`/proc/${server.pid}/environ`, "utf8").split("\0");
      expect(variables).toContain("BUN_GC_TIMER_INTERVAL=20000");
      for (const [name, value] of Object.entries(process.env)) {
        if (name !== "BUN_GC_TIMER_INTERVAL") expect(variables).toContain(`${name}=${value}`);
      }
      expect(readFileSync(`/proc/${server.pid}/cmdline`, "utf8").split("\0")[1]).toBe("server");
    },
  );

  test("CL-05 does not wait for a password where nobody can type one", async () => {
    const flags = ["--server", "127.0.0.1:1", "--hub", "x", "--user", "u", "--state-dir", folder];
    expect((await vpn("client", "connect", ...flags)).exitCode).toBe(65);
  });

  test("CL-06 bears a reader that goes away", async () => {
    for (const command of ["--help", "help client", "client connect --help"]) {
      const finished = await shell(`$VPN ${command} | head -n 1 >/dev/null`);
      expect([0, 141]).toContain(finished.exitCode);
      expect(finished.stderr).toBe("");
      const closed = await shell(`$VPN ${command} >&-`);
      expect(closed.stderr).toBe("");
    }
  });

  test("CL-15 SIGTERM ends a server with 0 and leaves neither socket nor lock", async () => {
    const server = await serve();
    expect(await server.stop("SIGTERM", 5_000)).toBe(0);
    assertNoTraces("vpn server", server.lines.stderr);
    expect(readdirSync(folder)).not.toContain("admin.sock");
    const again = await serve();
    expect(await again.stop("SIGINT", 5_000)).toBe(0);
  });

  test("CL-16 a second server on the state directory ends with 75 and names the first", async () => {
    const server = await serve();
    const second = await vpn(
      "server",
      "--config",
      join(folder, "config.toml"),
      "--state-dir",
      folder,
    );
    expect(second.exitCode).toBe(75);
    expect(second.stderr).toContain(`process ${server.pid}`);
  });

  test("CL-17 SIGHUP reloads, SIGPIPE is ignored, and a stop and continue does no harm", async () => {
    const server = await serve();
    for (const signal of ["SIGPIPE", "SIGSTOP", "SIGCONT", "SIGHUP"] as const) {
      process.kill(server.pid, signal);
    }
    await until("the reload", () => server.output().includes('"event":"reloaded"'), {
      explain: () => server.output(),
    });
    const status = await vpn("status", "--json", "--state-dir", folder);
    expect(JSON.parse(status.stdout)).toMatchObject({ pid: server.pid });
  });

  test("the server bears that nobody reads its output any more", async () => {
    const config = join(folder, "config.toml");
    writeFileSync(config, `[server]\nlisten = ["127.0.0.1:${freePort()}"]\n[hub.office]\n`);
    const finished = await shell(
      `$VPN server --config $DIR/config.toml --state-dir $DIR 2> >(head -n 1 >/dev/null) & pid=$!
       for i in $(seq 100); do $VPN status --state-dir $DIR >/dev/null 2>&1 && break; sleep 0.05; done
       kill -HUP $pid; $VPN reload --state-dir $DIR; kill -TERM $pid; wait $pid`,
    );
    expect([finished.exitCode, finished.stdout]).toEqual([0, "Nothing changed\n"]);
  });
});
