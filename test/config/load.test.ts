import { describe, expect, test } from "bun:test";
import { EXIT, ExitError } from "../../src/base/errors.ts";
import { loadClientConfig, loadServerConfig } from "../../src/config/load.ts";
import { ConfigProblemsError } from "../../src/config/problem.ts";
import { CONFIG_PATH, cpuMsOf, faultsOf, memoryFiles, readServer } from "./fixture.ts";

const OPTIONS = { env: {}, isRoot: true, hostName: "host.example", warn: () => undefined };

describe("CF-01 a missing file", () => {
  test("loadServerConfig() ends with 66 when it was named", () => {
    const load = () =>
      loadServerConfig({ ...OPTIONS, path: "/srv/none.toml", files: memoryFiles({}) });
    expect(load).toThrow(ExitError);
    expect(load).toThrow(expect.objectContaining({ exitCode: EXIT.noInput }));
    expect(load).toThrow("/srv/none.toml");
  });

  test("loadServerConfig() runs on defaults where none is at the default place, and says so", () => {
    const loaded = loadServerConfig({ ...OPTIONS, files: memoryFiles({}) });
    expect(loaded).toMatchObject({ usedDefaults: true, files: [] });
    expect(loaded.config.hubs.map(({ name }) => name)).toEqual(["DEFAULT"]);
  });

  test("the default place is that of the program and of its user", () => {
    const asked: string[] = [];
    const files = {
      ...memoryFiles({}),
      read: (path: string) => (asked.push(path), { kind: "missing" as const }),
    };
    loadServerConfig({ ...OPTIONS, files });
    loadClientConfig({ ...OPTIONS, files });
    loadClientConfig({ ...OPTIONS, files, isRoot: false, env: { HOME: "/home/alice" } });
    loadClientConfig({ ...OPTIONS, files, isRoot: false, env: { XDG_CONFIG_HOME: "/x" } });
    loadClientConfig({ ...OPTIONS, files, isRoot: false });
    expect(asked).toEqual([
      "/etc/vpn/config.toml",
      "/etc/vpn/client.toml",
      "/home/alice/.config/vpn/client.toml",
      "/x/vpn/client.toml",
    ]);
  });
});

describe("CF-02 an empty file", () => {
  test("gives the defaults, and a warning that nobody can log in", () => {
    const { config, usedDefaults, files, warnings } = readServer("");
    expect(usedDefaults).toBe(false);
    expect(files).toEqual([CONFIG_PATH]);
    expect(warnings).toEqual([
      "config.toml:1:1: nobody can log in to the hub DEFAULT: it has no users",
    ]);
    expect(config.server).toEqual({
      name: "host.example",
      listen: [443, 992, 5555].map((port) => ({ address: undefined, port, enable: true })),
      stateDir: undefined,
      maxSessions: 0,
      revealHubs: false,
      hashedLogin: true,
      allowPlaintext: false,
      udpAcceleration: true,
      udpPorts: { first: 40_000, last: 44_999 },
      compat: [],
      ntlmAuth: "/usr/bin/ntlm_auth",
      watch: false,
    });
    expect(config.tls).toEqual({
      cert: undefined,
      key: undefined,
      min: "1.2",
      max: "1.3",
      ciphers: undefined,
    });
    expect(config.log).toEqual({
      format: "text",
      level: "info",
      dir: undefined,
      rotation: "day",
      maxBytes: 2 ** 30,
      keepMs: 90 * 86_400_000,
      minFreeBytes: 100 * 2 ** 20,
      syslog: undefined,
      syslogLevel: "server",
    });
    expect(config.lockout).toEqual({
      enable: true,
      penaltyMs: 5000,
      enforceAtMs: 15_000,
      maxMs: 600_000,
      userFailures: 20,
      userWindowMs: 600_000,
      exempt: [],
    });
    expect(config.limits).toEqual({
      connectionsPerSource: 16,
      connections: 1000,
      tlsHandshakeMs: 10_000,
      firstRequestMs: 20_000,
      loginMs: 30_000,
    });
  });
});

describe("faults", () => {
  test("all of them are told at once, in the order of the lines, without a trace", () => {
    const text = "[hub.a]\nonlin = true\n[server]\nwatch = 1\n[log]\nlevel = 'loud'\n";
    expect(faultsOf(() => readServer(text))).toEqual([
      'config.toml:2:1: hub.a.onlin: unknown key (did you mean "online"?)',
      "config.toml:4:9: server.watch: expected true or false, found 1",
      'config.toml:6:9: log.level: expected "debug" or "info" or "warn" or "error", found "loud"',
    ]);
  });

  test("an error carries its problems for other front ends", () => {
    const load = () => readServer("[server]\nwatch = 1\n");
    expect(load).toThrow(ConfigProblemsError);
    expect(load).toThrow(
      expect.objectContaining({
        code: "config",
        key: "server.watch",
        position: { file: CONFIG_PATH, line: 2, column: 9 },
      }),
    );
  });

  test("CF-09 more than a hundred faults are not listed", () => {
    const text = Array.from({ length: 100_000 }, (_, i) => `k${i} = 1`).join("\n");
    let faults: string[] = [];
    expect(cpuMsOf(() => (faults = faultsOf(() => readServer(text))))).toBeLessThan(2000);
    expect(faults).toHaveLength(101);
    expect(faults.at(-1)).toContain("stopped after 100 faults");
  });

  test("CF-09 a file of 5 MiB is refused unread", () => {
    const faults = faultsOf(() => readServer("#".repeat(5 << 20)));
    expect(faults).toEqual(["config.toml:1:1: the file is too large"]);
  });
});

describe("CF-20 schema", () => {
  test("the present version is accepted, a higher one is the only fault told", () => {
    expect(readServer("schema = 1\n").config.hubs).toHaveLength(1);
    expect(faultsOf(() => readServer("schema = 2\nquantum = true\n"))).toEqual([
      "config.toml:1:10: schema: this file is written for a newer program: expected at most 1, found 2",
    ]);
    expect(faultsOf(() => readServer("schema = 0\n"))).toEqual([
      "config.toml:1:10: schema: expected a whole number from 1 to 1, found 0",
    ]);
  });
});

test("loadServerConfig() gives values that nobody can change", () => {
  const { config } = readServer("[hub.a.user.b]\npassword = 'env:P'\n", { env: { P: "secret" } });
  expect(Object.isFrozen(config)).toBe(true);
  expect(Object.isFrozen(config.server.listen[0])).toBe(true);
  expect(Object.isFrozen(config.hubs)).toBe(true);
  expect(Object.isFrozen(config.hubs[0]?.users[0]?.credential)).toBe(true);
});

test("loadServerConfig() warns when no listener is enabled", () => {
  const text = "[server]\nlisten = [{ port = 443, enable = false }]\n[hub.a.user.b]\n";
  expect(readServer(text).warnings).toEqual([
    "config.toml:2:10: server.listen: no listener is enabled, so nobody can connect",
  ]);
});
