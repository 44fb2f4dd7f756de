import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ExitError } from "../../src/base/errors.ts";
import { systemRandom } from "../../src/base/random.ts";
import { AccountBook } from "../../src/client/account-book.ts";
import {
  DEFAULT_ACCOUNT,
  DEFAULT_NIC,
  type AccountConfig,
} from "../../src/config/client-config.ts";
import { loadClientConfig, type LoadedClient } from "../../src/config/load.ts";
import { formatProblem } from "../../src/config/problem.ts";
import { openStateStore, type StateStore } from "../../src/config/state-store.ts";
import { hashUserPassword } from "../../src/crypto/password.ts";
import { CONFIG_PATH, memoryFiles } from "../config/fixture.ts";
import { ManualClock } from "../support/manual-clock.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const FILE = `
[nic.eth]
[account.hq]
to = "vpn.example.com/office"
user = "alice"
password = "env:PW"
`;

let dir: string;
let store: StateStore;
let file: string;
let warnings: string[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "vpn-test-"));
  store = openStateStore(dir, { random: systemRandom });
  file = FILE;
  warnings = [];
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true });
});

function load(): LoadedClient {
  return loadClientConfig(
    {
      path: CONFIG_PATH,
      env: { PW: "declared", HOME: "/home/alice" },
      isRoot: false,
      hostName: "host.example",
      files: memoryFiles({ [CONFIG_PATH]: file }),
      warn: (problem) => warnings.push(formatProblem(problem)),
    },
    () => ({ store, path: "state.db" }),
  );
}

/** A book on what file and database say now: each command opens its own. */
const book = () => new AccountBook({ ...load(), store, clock: new ManualClock() });
const account = (name: string) => book().account(name);
const origin = (name: string) => load().objects.find((owned) => owned.name === name)?.origin;
const names = () => load().config.accounts.map(({ name }) => name);

function made(name: string, change: Partial<AccountConfig> = {}): AccountConfig {
  const server = { host: "h", port: 443, hub: "x", user: "bob" };
  return { ...DEFAULT_ACCOUNT, ...server, name, ...change };
}

const withPassword = (text: string, plain = false): Partial<AccountConfig> => ({
  credential: { kind: "password", secret: { kind: "plain", bytes: bytes(text) }, plain },
});

function exitOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ExitError) return `${error.exitCode} ${error.message}`;
    throw error;
  }
  return "none";
}

describe("an account made by a command", () => {
  test("is there the next time, with every setting", () => {
    const full = made("lab", {
      ...withPassword("sent", true),
      verify: { kind: "sha256", fingerprint: new Uint8Array(32).fill(7) },
      nic: "eth",
      mode: "monitor",
      wishes: {
        connections: 8,
        intervalMs: 90_000,
        lifetimeMs: 3_600_000,
        halfDuplex: true,
        compress: true,
        encrypt: false,
        qos: false,
        udp: false,
      },
      proxy: { kind: "socks5", host: "::1", port: 1080, user: "a@b", password: bytes("pp") },
      retry: 0,
      retryIntervalMs: 1500,
      family: "ipv6",
      autostart: true,
      dns: true,
      routes: [{ family: 4, bytes: Uint8Array.of(10, 0, 0, 0), prefix: 8 }],
      killSwitch: true,
    });
    book().addAccount(full);
    expect(account("lab")).toEqual(full);
    expect([origin("lab"), warnings]).toEqual(["dynamic", []]);
  });

  test("keeps no password where its hash does", () => {
    book().addAccount(made("lab", withPassword("pw")));
    const hash = hashUserPassword("bob", bytes("pw"));
    expect(account("lab").credential).toMatchObject({ secret: { kind: "sha0", hash } });
  });

  test.each(["a b", "quo\"te's", "a/b:c", "é中文", "שלום", "../x", "NAME (2)", "a.b", "__proto__"])(
    "CL-10 may be called %j",
    (name) => {
      book().addAccount(made(name, withPassword("pw")));
      expect(names()).toContain(name);
      expect(account(name.toUpperCase()).name).toBe(name);
      book().changeAccount({ ...account(name), retry: 3 });
      expect(account(name)).toMatchObject({ retry: 3, credential: { secret: { kind: "sha0" } } });
      book().removeAccount(name);
      expect(names()).not.toContain(name);
    },
  );

  test.each(["", " a", "a\n", "\u001b[1m", "x".repeat(256)])("is not called %j", (name) => {
    expect(exitOf(() => book().addAccount(made(name)))).toMatch(/^64 Cannot call the account/);
  });

  test("cannot have a name that is taken, in any case", () => {
    book().addAccount(made("lab"));
    expect(exitOf(() => book().addAccount(made("LAB")))).toBe(
      '73 The account "lab" exists already',
    );
    expect(exitOf(() => book().addAccount(made("HQ")))).toBe('73 The account "hq" exists already');
    expect(book().freeAccountName("HQ")).toBe("HQ (2)");
    book().addAccount(made("HQ (2)"));
    expect(book().freeAccountName("hq")).toBe("hq (3)");
  });

  test("leaves nothing of its secrets when it is removed", () => {
    book().addAccount(made("lab", withPassword("pw")));
    book().removeAccount("lab");
    book().addAccount(made("lab"));
    expect(account("lab").credential).toMatchObject({ secret: undefined });
    expect(store.secret("account.lab.password")).toBeUndefined();
  });

  test("forgets its password when it is told to", () => {
    book().addAccount(made("lab", withPassword("pw")));
    expect(book().forgetPassword("lab")).toBe(true);
    expect(book().forgetPassword("lab")).toBe(false);
    expect(store.secret("account.lab.password")).toBeUndefined();
  });

  test("can be called by another name, with its secrets", () => {
    book().addAccount(made("lab", { ...withPassword("pw"), retry: 3 }));
    const { name: _, ...settings } = account("lab");
    book().renameAccount("LAB", "é/2");
    expect(names()).toEqual(["hq", "é/2"]);
    expect(account("é/2")).toEqual({ name: "é/2", ...settings });
    expect(store.secret("account.lab.password")).toBeUndefined();
    book().renameAccount("é/2", "É/2");
    expect(account("é/2")).toEqual({ name: "É/2", ...settings });
    expect(exitOf(() => book().renameAccount("é/2", "HQ"))).toContain("73 The account");
    expect(names()).toEqual(["hq", "É/2"]);
    expect(exitOf(() => book().renameAccount("hq", "x"))).toContain("declared in client.toml");
  });

  test("gives way to one of its name in the file", () => {
    book().addAccount(made("lab"));
    file = `${FILE}[account.Lab]\nto = "declared/x"\nuser = "u"\n`;
    expect(account("lab").host).toBe("declared");
    expect(warnings.join()).toContain("account.lab: a file declares one of this name");
  });

  test("that is not there is an error with the names of those that are", () => {
    expect(exitOf(() => account("nope"))).toBe('64 There is no account "nope" (hq)');
    expect(exitOf(() => book().removeAccount("nope"))).toBe('64 There is no account "nope" (hq)');
  });
});

describe("an account of client.toml", () => {
  test("keeps what commands change of it, and nothing else", () => {
    book().changeAccount({ ...account("hq"), retry: 3, mode: "bridge" });
    book().changeAccount({ ...account("hq"), family: "ipv4" });
    expect(account("hq")).toMatchObject({
      retry: 3,
      mode: "bridge",
      family: "ipv4",
      user: "alice",
    });
    expect(store.objects.overrides("account")[0]?.keys).toEqual({
      retry: 3,
      mode: "bridge",
      family: "ipv4",
    });
    expect(origin("hq")).toBe("changed");
    expect(store.secret("account.hq.password")).toBeUndefined();
  });

  test("can have a password of its own in place of the file's", () => {
    book().changeAccount({ ...account("hq"), ...withPassword("other") });
    expect(account("hq").credential).toMatchObject({
      secret: { kind: "sha0", hash: hashUserPassword("alice", bytes("other")) },
    });
    book().reset("account", "hq");
    expect(account("hq").credential).toMatchObject({ secret: { bytes: bytes("declared") } });
    expect(store.secret("account.hq.password")).toBeUndefined();
  });

  test("can lose its password, proxy and NIC", () => {
    file = `${FILE}proxy = "http://p:1"\nnic = "eth"\n`;
    const anonymous = {
      credential: { kind: "anonymous" },
      proxy: undefined,
      nic: undefined,
    } as const;
    book().changeAccount({ ...account("hq"), ...anonymous });
    expect(account("hq")).toMatchObject(anonymous);
  });

  test("is again what the file says once its text has changed", () => {
    book().changeAccount({ ...account("hq"), ...withPassword("other"), retry: 3 });
    file = FILE.replace("alice", "carol");
    expect(account("hq")).toMatchObject({ user: "carol", retry: "forever" });
    expect(warnings).toEqual([
      "state.db:1:1: account.hq: the file has changed: what commands had changed of it is dropped",
    ]);
    expect(store.secret("account.hq.password")).toBeUndefined();
    warnings = [];
    expect([origin("hq"), warnings]).toEqual(["declared", []]);
  });

  test("does not lose what was changed where only its place in the file did", () => {
    book().changeAccount({ ...account("hq"), retry: 3 });
    file = `# moved\n[account.hq]\npassword = "env:PW"\nuser = "alice"\nto = "vpn.example.com/office"\n`;
    expect(account("hq").retry).toBe(3);
  });

  test("stays away after it was removed, until it is reset", () => {
    book().removeAccount("hq");
    expect([names(), origin("hq")]).toEqual([[], "removed"]);
    expect(exitOf(() => book().addAccount(made("hq")))).toContain(
      '73 The account "hq" is declared',
    );
    book().reset("account", "hq");
    expect([names(), origin("hq")]).toEqual([["hq"], "declared"]);
    expect(exitOf(() => book().reset("account", "hq"))).toContain("nothing of it was changed");
  });
});

describe("an account with a fault", () => {
  test("is not kept", () => {
    const host = made("lab", { host: "a b" });
    expect(exitOf(() => book().addAccount(host))).toMatch(
      /^65 Cannot keep the account: to: expected/,
    );
    const gone = { kind: "certificate", cert: { path: "/nonexistent" }, key: { pem: "" } } as const;
    const change = { ...account("hq"), credential: gone };
    expect(exitOf(() => book().changeAccount(change))).toContain("/nonexistent does not exist");
    expect(names()).toEqual(["hq"]);
  });

  test("that came later is passed over with a word, and can be removed or reset", () => {
    const keys = { to: "h/x", user: "u", cert: "/gone", key: "/gone" };
    store.objects.put("account", "lab", keys, 1);
    store.objects.put("account", "good", { to: "h/x", user: "u" }, 2);
    book().changeAccount({ ...account("hq"), retry: 3 });
    const [change] = store.objects.overrides("account");
    store.objects.override("account", { ...change!, keys: { retry: "often" } }, 3);
    warnings = [];
    expect(names()).toEqual(["hq", "good"]);
    expect(account("hq").retry).toBe("forever");
    expect(warnings[0]).toBe(
      'state.db:1:1: account.hq.retry: passed over: expected "forever", found "often"',
    );
    expect(warnings.join()).toContain("account.lab.cert: passed over: /gone does not exist");
    book().reset("account", "hq");
    expect(book().removeAccount("LAB")).toBe("lab");
    warnings = [];
    expect([names(), warnings]).toEqual([["hq", "good"], []]);
  });

  test("whose NIC the file has no more gets another", () => {
    book().addAccount(made("lab", { nic: "eth" }));
    file = FILE.replace("[nic.eth]", "[nic.new]");
    expect(account("lab").nic).toBeUndefined();
    expect(warnings).toEqual(['state.db:1:1: account.lab.nic: there is no NIC "eth" any more']);
  });

  test("in the file is the file's, and stops everything", () => {
    store.objects.put("account", "lab", { to: "h/x", user: "u", retry: -1 }, 1);
    file = `${FILE}retry = -2\n`;
    expect(() => load()).toThrow("account.hq.retry: expected a whole number");
  });
});

describe("a NIC made by a command", () => {
  const nic = { ...DEFAULT_NIC, name: "Work", device: "vpn_work", mtu: 1400 };

  test("is there the next time, for accounts of the file, too", () => {
    book().addNic(nic);
    file = `${FILE}nic = "work"\n`;
    expect(load().config.nics.map(({ name }) => name)).toEqual(["eth", "Work"]);
    expect(account("hq").nic).toBe("Work");
    book().changeNic({ ...book().nic("work"), mtu: 1300 });
    expect(book().nic("work")).toMatchObject({ mtu: 1300, device: "vpn_work" });
  });

  test("is refused where its name or device is taken, or no name", () => {
    book().addNic(nic);
    expect(exitOf(() => book().addNic(nic))).toBe('73 The NIC "Work" exists already');
    const twin = { ...nic, name: "work2" };
    expect(exitOf(() => book().addNic(twin))).toContain('its device vpn_work is that of "Work"');
    expect(exitOf(() => book().addNic({ ...nic, name: "é" }))).toContain("64 Cannot call the NIC");
    expect(exitOf(() => book().addNic({ ...nic, name: "x".repeat(32) }))).toContain("at most 31");
  });

  test("leaves its accounts to one that remains", () => {
    book().addNic(nic);
    book().addAccount(made("lab", { nic: "Work" }));
    expect(book().removeNic("WORK")).toEqual(["lab"]);
    expect([account("lab").nic, load().config.nics.length]).toEqual(["eth", 1]);
    book().removeNic("eth");
    expect([account("lab").nic, load().config.nics]).toEqual([undefined, []]);
  });
});
