import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runApplication } from "../../src/command/application.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";

/** A port that nobody listens on just now. */
function freePort(): number {
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  probe.stop(true);
  return probe.port;
}

describe("vpn server and the commands that ask it", () => {
  let folder: string;
  let port: number;
  let environment: FakeEnvironment;
  let ended: Promise<number> | undefined;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "vpn-test-"));
    port = freePort();
    environment = new FakeEnvironment();
    ended = undefined;
  });
  afterEach(async () => {
    if (ended !== undefined) {
      environment.signal("SIGTERM");
      expect(await ended).toBe(0);
    }
    expect([environment.listeners, environment.clock.pending]).toEqual([0, 0]);
    rmSync(folder, { recursive: true });
  });

  const configFile = () => join(folder, "config.toml");
  const stateDir = () => join(folder, "state");
  const write = (more: string) =>
    writeFileSync(configFile(), `[server]\nlisten = ["127.0.0.1:${port}"]\n${more}`);

  /** Starts the server and waits until it says that it is ready. */
  const start = async (more = "[hub.office]\nuser.alice = {}\n") => {
    write(more);
    const args = [
      "server",
      "--config",
      configFile(),
      "--state-dir",
      stateDir(),
      "--log-format",
      "json",
    ];
    ended = runApplication(args, environment);
    await until(() => events().includes("ready"));
  };
  const lines = () =>
    environment.err
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  const events = () => lines().map((line) => line.event);
  const until = async (done: () => boolean) => {
    const end = performance.now() + 10_000;
    while (!done()) {
      if (performance.now() > end) throw new Error(`waited in vain:\n${environment.err}`);
      await Bun.sleep(5);
    }
  };
  const ask = async (...args: string[]) => {
    const asker = new FakeEnvironment();
    const code = await runApplication([...args, "--state-dir", stateDir()], asker);
    return { code, out: asker.out, err: asker.err };
  };

  test("says when it is ready, and shows a made password once and never in the log", async () => {
    await start();
    expect(lines().find((line) => line.event === "ready")).toMatchObject({
      level: "info",
      pid: 4242,
      hubs: 1,
      ports: String(port),
    });
    const made = lines().find((line) => line.event === "password_made");
    expect(made).toMatchObject({ hub: "office", user: "alice" });
    expect(environment.err.split(made.password).length).toBe(2);
    environment.signal("SIGTERM");
    expect(await ended!).toBe(0);
    environment = new FakeEnvironment();
    await start();
    expect(events()).not.toContain("password_made");
  });

  test("CL-16 a second server on the state directory ends with 75 and names the first", async () => {
    await start();
    const second = await ask("server", "--config", configFile());
    expect(second.code).toBe(75);
    expect(second.err).toContain("process 4242");
  });

  test("CL-17 SIGHUP reads the configuration again; SIGPIPE is ignored", async () => {
    await start();
    environment.signal("SIGPIPE");
    write("[hub.office]\nuser.alice = {}\n[hub.lab]\nuser.bob = { anonymous = true }\n");
    environment.signal("SIGHUP");
    await until(() => events().includes("reloaded"));
    const { hubs } = JSON.parse((await ask("status", "--json")).out);
    expect(hubs.map((hub: { name: string }) => hub.name)).toEqual(["office", "lab"]);
  });

  test("a server that ends while it reads its configuration looks at files no more", async () => {
    await start("watch = true\n[hub.office]\nuser.alice = {}\n");
    write("watch = true\n[hub.office]\nuser.alice = { enable = false }\n");
    environment.signal("SIGHUP");
    environment.signal("SIGTERM");
    expect(await ended!).toBe(0);
    ended = undefined;
    const seen = Promise.withResolvers<void>();
    const watcher = watch(folder, () => seen.resolve());
    write("[hub.office]\n");
    await seen.promise;
    watcher.close();
    // Who looked would wait for the file to come to rest.
    expect(environment.clock.pending).toBe(0);
  });

  test("a fault of ours is logged, and the server ends in order with 70", async () => {
    await start();
    environment.fault(new TypeError("oops"));
    expect(await ended!).toBe(70);
    ended = undefined;
    expect(lines().find((line) => line.event === "internal_error")).toMatchObject({ text: "oops" });
    expect((await ask("status")).code).toBe(69);
  });

  test("a fault in the file leaves the old configuration, and vpn reload ends with 78", async () => {
    await start();
    write("[hub.office]\nuser.alice = {}\nfoo = 1\nbar = 2\n");
    const { code, err } = await ask("reload");
    expect(code).toBe(78);
    expect(err.trimEnd().split("\n").length).toBe(2);
    expect(err).toContain("config.toml:5:1: hub.office.foo: unknown key");
    expect(events()).toContain("reload_failed");
    expect((await ask("status", "--json")).code).toBe(0);
  });

  test("vpn reload tells what changed", async () => {
    await start();
    write("[hub.office]\nuser.alice = {}\nuser.bob = { anonymous = true }\n");
    expect((await ask("reload")).out).toContain("hub.office.user.bob");
    expect((await ask("reload")).out).toBe("Nothing changed\n");
  });

  test("vpn status, session list and mac list give tables, and CL-11 JSON", async () => {
    await start();
    const status = await ask("status");
    expect(status.code).toBe(0);
    expect(status.out).toMatch(/^Port 127\.0\.0\.1 \d+ +listening$/m);
    expect(status.out).toMatch(/^office +online +1 +0 +0 +0 B +0 B +0$/m);
    expect((await ask("session", "list")).out).toBe("No session\n");
    expect((await ask("mac", "list", "OFFICE")).out).toBe("No MAC address has been learned\n");
    for (const command of [
      ["session", "list"],
      ["mac", "list"],
    ]) {
      expect(JSON.parse((await ask(...command, "--json")).out)).toEqual([]);
    }
    const unknown = await ask("session", "list", "nowhere");
    expect([unknown.code, unknown.err]).toEqual([
      64,
      'vpn: The server has no hub "nowhere" (it has office)\n',
    ]);
  });

  test("CL-12 where no server runs the commands end with 69", async () => {
    for (const command of [["status"], ["session", "list"], ["mac", "list"], ["reload"]]) {
      const { code, err } = await ask(...command);
      expect(code).toBe(69);
      expect(err).toContain(stateDir());
    }
  });

  test("ends with 78 for a wrong file, 66 for none, before anything is made", async () => {
    write("x = 1\n");
    const wrong = await ask("server", "--config", configFile());
    expect([wrong.code, wrong.err]).toEqual([78, `${configFile()}:3:1: server.x: unknown key\n`]);
    expect((await ask("server", "--config", join(folder, "no.toml"))).code).toBe(66);
    expect(() => readFileSync(join(stateDir(), "lock"))).toThrow("ENOENT");
  });

  test("vpn config check names faults, or what is in the file", async () => {
    const check = async () => {
      const asker = new FakeEnvironment();
      const code = await runApplication(["config", "check", configFile()], asker);
      return { code, out: asker.out, err: asker.err };
    };
    write("[hub.office]\nuser.alice = { anonymous = true }\n");
    expect(await check()).toEqual({
      code: 0,
      out: `${configFile()} is good: 1 hub, 1 user, 0 warnings\n`,
      err: "",
    });
    write("[hub.office]\nusers.alice = {}\n");
    const { code, err } = await check();
    expect(code).toBe(78);
    expect(err).toContain("hub.office.users");
  });
});
