import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openControl, type ControlSocket } from "../../src/client/control.ts";
import type { ClientStatus } from "../../src/client/status.ts";
import { runApplication } from "../../src/command/application.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";

let dir: string;
let running: ControlSocket | undefined;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "vpn-test-"));
  writeFileSync(
    join(dir, "client.toml"),
    '[account.hq]\nto = "vpn.example.com/office"\nuser = "alice"\n',
  );
});
afterEach(() => {
  running?.close();
  running = undefined;
  rmSync(dir, { recursive: true });
});

interface Outcome {
  code: number;
  out: string;
  err: string;
}

/** `vpn client ...` with an environment that `prepare` may change. */
async function run(
  args: readonly string[],
  prepare: (environment: FakeEnvironment) => void = () => undefined,
): Promise<Outcome> {
  const environment = new FakeEnvironment();
  prepare(environment);
  const place = ["--config", join(dir, "client.toml"), "--state-dir", join(dir, "state")];
  const ended = runApplication(["client", ...args, ...place], environment);
  const code = await ended;
  expect([environment.listeners, environment.clock.pending]).toEqual([0, 0]);
  return { code, out: environment.out, err: environment.err };
}

const SERVER = ["--server", "h:992", "--hub", "x", "--user", "bob"];

async function add(name: string, ...more: string[]): Promise<void> {
  const { code, err } = await run(["account", "add", name, ...SERVER, ...more]);
  expect([code, err]).toEqual([0, ""]);
}

const show = async (name: string): Promise<Record<string, unknown>> =>
  JSON.parse((await run(["account", "show", name, "--json"])).out) as Record<string, unknown>;

/** A client of that name that says it is connected. */
async function connected(name: string, nic: string): Promise<void> {
  const status = { account: name, pid: 7, state: "connected", nic } as unknown as ClientStatus;
  const { clock } = new FakeEnvironment();
  running = await openControl(
    { stateDir: join(dir, "state"), tempDir: tmpdir(), name, clock },
    { status: () => status, disconnect: () => undefined },
  );
}

describe("vpn client account", () => {
  test("add, list, show, set, remove", async () => {
    await add("lab", "--connections", "8", "--compress", "--no-udp", "--autostart");
    const { out } = await run(["account", "list"]);
    expect(out.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["ACCOUNT", "TO", "USER", "NIC", "AUTOSTART", "STATE", "FROM"],
      ["hq", "vpn.example.com:443/office", "alice", "no", "offline", "file"],
      ["lab", "h:992/x", "bob", "yes", "offline", "commands"],
      [""],
    ]);
    expect((await run(["account", "show", "LAB"])).out).toBe(
      '# From commands; offline\n[account.lab]\nto = "h:992/x"\nuser = "bob"\nconnections = 8\ncompress = true\nudp = false\nautostart = true\n',
    );
    await run(["account", "set", "lab", "--no-compress", "--routes", "10.0.0.0/8,fd00::/8"]);
    expect(await show("lab")).toMatchObject({
      origin: "dynamic",
      compress: false,
      routes: ["10.0.0.0/8", "fd00::/8"],
    });
    const renamed = await run(["account", "rename", "LAB", "the lab", "--json"]);
    expect(JSON.parse(renamed.out)).toEqual({ renamed: "lab", name: "the lab" });
    const removed = await run(["account", "remove", "the lab"]);
    expect(removed.out).toBe("Removed the account the lab\n");
    expect((await run(["account", "list", "--json"])).out).not.toContain("lab");
  });

  test("a password comes from a file or a person, and is never shown", async () => {
    const file = join(dir, "pw");
    writeFileSync(file, "from a file\n", { mode: 0o600 });
    await add("one", "--password-file", file);
    const asked = run(["account", "add", "two", ...SERVER, "--ask-password"], (environment) => {
      environment.stdinIsTerminal = true;
      setTimeout(() => environment.type("typed\r"), 0);
    });
    expect(await asked).toMatchObject({ code: 0 });
    const read = run(
      ["account", "add", "three", ...SERVER, "--plain", "--password-file", "-"],
      (e) => {
        e.input = new TextEncoder().encode("piped\n");
      },
    );
    expect(await read).toMatchObject({ code: 0 });
    for (const name of ["one", "two", "three"]) {
      const shown = await show(name);
      expect(shown["password"]).toEqual({ stored: true });
      expect(JSON.stringify(shown)).not.toMatch(/from a file|typed|piped/);
    }
    const stored = readFileSync(join(dir, "state", "state.db")).toString("latin1");
    expect(stored).not.toMatch(/from a file|typed|piped/);
    await run(["account", "set", "one", "--forget-password"]);
    expect((await show("one"))["password"]).toBeNull();
  });

  test("a password of another user is dropped, with a word", async () => {
    const file = join(dir, "pw");
    writeFileSync(file, "pw", { mode: 0o600 });
    await add("lab", "--password-file", file);
    const { code, err } = await run(["account", "set", "lab", "--user", "carol"]);
    expect([code, err]).toEqual([0, expect.stringContaining("of no use any more")]);
    expect((await show("lab"))["password"]).toBeNull();
  });

  test("set and reset of an account of client.toml leave the file alone", async () => {
    const before = readFileSync(join(dir, "client.toml"), "utf8");
    await run(["account", "set", "hq", "--retry", "3"]);
    expect(await show("hq")).toMatchObject({ origin: "changed", retry: 3 });
    await run(["account", "reset", "hq"]);
    expect(await show("hq")).toMatchObject({ origin: "declared", retry: "forever" });
    expect(readFileSync(join(dir, "client.toml"), "utf8")).toBe(before);
  });

  test.each([
    [["account", "add", "lab"], 64, "An account needs --server, --hub, --user, too"],
    [["account", "add", "hq", ...SERVER], 73, 'The account "hq" exists already'],
    [["account", "add", "x", ...SERVER, "--nic", "no"], 64, 'There is no NIC "no"'],
    [["account", "add", "x", ...SERVER, "--cert", "c"], 64, "--cert and --key belong together"],
    [["account", "add", "x", ...SERVER, "--anonymous", "--plain"], 64, "exclude each other"],
    [["account", "add", "x", ...SERVER, "--connections", "33"], 64, "from 1 to 32"],
    [["account", "add", "x", ...SERVER, "--password-file", "/nonexistent"], 66, "does not exist"],
    [["account", "add", "x", ...SERVER, "--ask-password"], 65, "no terminal"],
    [["account", "set", "hq", "--ask-password", "--forget-password"], 64, "exclude each other"],
    [["account", "add", "x", ...SERVER, "--proxy", "http://u:p@h:1"], 64, "--proxy-password-file"],
    [["account", "set", "nope"], 64, 'There is no account "nope" (hq)'],
    [["account", "show", "nope"], 64, 'There is no account "nope" (hq)'],
    [["account", "remove", "nope"], 64, 'There is no account "nope" (hq)'],
    [["account", "reset", "hq"], 64, "nothing of it was changed"],
    [["account", "import", "/nonexistent"], 66, "it does not exist"],
    [["account", "export", "nope"], 64, 'There is no account "nope"'],
    [["up", "--help", "x"], 0, ""],
    [["nic", "remove", "nope"], 64, 'There is no NIC "nope"'],
    [["nic", "set-mac", "nope", "01:00:5e:00:00:01"], 64, 'There is no NIC "nope"'],
  ])("%j ends with %d", async (args, code, text) => {
    const outcome = await run(args);
    expect([outcome.code, outcome.err]).toEqual([code, expect.stringContaining(text)]);
  });

  test("CL-14 escapes names that came from a file", async () => {
    writeFileSync(join(dir, "x.vpn"), vpnFile("a$1B[31mb"));
    const { err } = await run(["account", "import", join(dir, "x.vpn")]);
    expect(err).not.toContain("\u001b");
    expect(err).toContain("without control characters");
  });

  test("an account that is connected is neither changed nor removed", async () => {
    await add("lab");
    await connected("lab", "vpn0");
    for (const args of [
      ["set", "lab", "--retry", "1"],
      ["remove", "lab"],
      ["reset", "lab"],
    ]) {
      const { code, err } = await run(["account", ...args]);
      expect([code, err]).toEqual([75, expect.stringContaining('"lab" is connected (process 7)')]);
    }
    expect((await run(["account", "list"])).out).toContain("connected");
  });

  test("export writes what import reads, for its owner alone and never over a file", async () => {
    const file = join(dir, "lab.vpn");
    await add("lab", "--anonymous", "--verify", "system", "--connections", "3");
    const made = await run(["account", "export", "lab", "--output", file, "--json"]);
    expect(JSON.parse(made.out)).toEqual({ exported: "lab", file, notes: [] });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect((await run(["account", "export", "lab", "--output", file])).code).toBe(73);
    expect((await run(["account", "import", file])).out).toBe("Imported the account lab (2)\n");
    expect((await run(["account", "import", file, "--name", "other"])).code).toBe(0);
    const [before, after] = [await show("lab"), await show("other")];
    expect({ ...after, name: "lab" }).toEqual({ ...before, proxy: "direct" } as never);
    const shown = await run(["account", "export", "lab", "--output", "-"]);
    expect(shown.out).toBe(readFileSync(file, "utf8"));
  });

  test("import refuses what is no such file", async () => {
    writeFileSync(join(dir, "x.vpn"), "hello");
    const { code, err } = await run(["account", "import", join(dir, "x.vpn")]);
    expect([code, err]).toEqual([65, expect.stringContaining('no "declare root"')]);
  });

  test("import gives the account the NIC of its file's name, or the only one", async () => {
    writeFileSync(join(dir, "x.vpn"), vpnFile("a"));
    await run(["nic", "add", "one"]);
    await run(["account", "import", join(dir, "x.vpn")]);
    await run(["nic", "add", "TEST"]);
    await run(["account", "import", join(dir, "x.vpn")]);
    expect([(await show("a"))["nic"], (await show("a (2)"))["nic"]]).toEqual(["one", "TEST"]);
  });
});

describe("vpn client nic", () => {
  test("add, list, set-mac, remove", async () => {
    const added = await run(["nic", "add", "My Net", "--address", "10.0.0.2/24", "--json"]);
    expect(JSON.parse(added.out)).toEqual({ added: "My Net", device: "vpn_my_net" });
    expect((await run(["nic", "add", "my-net"])).code).toBe(0);
    expect(await run(["nic", "add", "my net"])).toMatchObject({ code: 73 });
    const twin = await run(["nic", "add", "my_net"]);
    expect([twin.code, twin.err]).toEqual([73, expect.stringContaining("device vpn_my_net")]);
    await run(["nic", "set-mac", "my net", "5E-00-53-01-02-03"]);
    const rows = JSON.parse((await run(["nic", "list", "--json"])).out) as { mac: string }[];
    expect(rows[0]).toMatchObject({
      name: "My Net",
      mac: "5e:00:53:01:02:03",
      mtu: 1500,
      address: ["10.0.0.2/24"],
      usedBy: null,
    });
    expect(rows[1]?.mac).toMatch(/^5e:/);
    await run(["nic", "set-mac", "my net", "random"]);
    const changed = JSON.parse((await run(["nic", "list", "--json"])).out) as { mac: string }[];
    expect(changed[0]?.mac).not.toBe(rows[0]?.mac);
    expect((await run(["nic", "remove", "MY NET"])).out).toBe("Removed the NIC My Net\n");
    const bad = await run(["nic", "set-mac", "my-net", "01:00:5e:00:00:01"]);
    expect([bad.code, bad.err]).toEqual([64, expect.stringContaining("the MAC address of one")]);
  });

  test("one that is in use stays as it is", async () => {
    await run(["nic", "add", "work"]);
    await connected("lab", "vpn_work");
    for (const args of [
      ["remove", "work"],
      ["set-mac", "work", "random"],
    ]) {
      const { code, err } = await run(["nic", ...args]);
      expect([code, err]).toEqual([75, expect.stringContaining('in use by the account "lab"')]);
    }
  });

  test("its accounts are told that they have another", async () => {
    await run(["nic", "add", "one"]);
    await run(["nic", "add", "two"]);
    await add("lab", "--nic", "two");
    const { err } = await run(["nic", "remove", "two"]);
    expect(err).toBe("vpn: The account lab has another NIC now\n");
    expect((await show("lab"))["nic"]).toBe("one");
  });
});

function vpnFile(name: string): string {
  return `declare root\n{\ndeclare ClientAuth\n{\nuint AuthType 0\nstring Username u\n}
declare ClientOption\n{\nstring AccountName ${name}\nstring DeviceName test
string Hostname h\nstring HubName x\nuint Port 443\n}\n}\n`;
}
