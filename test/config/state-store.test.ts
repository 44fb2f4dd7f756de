import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EXIT, VpnError } from "../../src/base/errors.ts";
import { systemRandom } from "../../src/base/random.ts";
import { openStateStore, type StateStore } from "../../src/config/state-store.ts";

let dir = "";
let opened: StateStore[] = [];
const open = () => {
  const store = openStateStore(dir, { random: systemRandom });
  opened.push(store);
  return store;
};
const mode = (name: string) => statSync(join(dir, name)).mode & 0o777;
const bytes = (text: string) => new TextEncoder().encode(text);

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "vpn-state-"));
});
afterEach(() => {
  for (const store of opened) store.close();
  opened = [];
  rmSync(dir, { recursive: true });
});

describe("openStateStore()", () => {
  test("keeps secrets from one run to the next", () => {
    const first = open();
    expect(first.secret("a")).toBeUndefined();
    first.setSecret("a", bytes("one"));
    first.setSecret("a", bytes("two"));
    first.setSecret("b", new Uint8Array(0));
    first.close();
    first.close();
    const second = open();
    expect(second.secret("a")).toEqual(bytes("two"));
    expect(second.secret("b")).toEqual(new Uint8Array(0));
  });

  test("makes files that their owner alone can read, whatever the umask", () => {
    const before = process.umask(0);
    try {
      open().setSecret("a", bytes("x"));
    } finally {
      process.umask(before);
    }
    expect(["state.db", "state.db-wal", "state.db-shm", "secret.key"].map(mode)).toEqual([
      0o600, 0o600, 0o600, 0o600,
    ]);
    expect(statSync(join(dir, "secret.key")).size).toBe(32);
  });

  test("writes no secret in clear", () => {
    const store = open();
    store.setSecret("a", bytes("hunter2-hunter2"));
    store.close();
    expect(readFileSync(join(dir, "state.db")).includes("hunter2")).toBe(false);
  });

  test("CF-20 refuses a database of a newer program and leaves it as it is", () => {
    open().close();
    const path = join(dir, "state.db");
    using database = new Database(path);
    database.run("UPDATE meta SET value = '2'");
    expect(open).toThrow(expect.objectContaining({ exitCode: EXIT.config }));
    expect(open).toThrow("version 2, this program knows 1");
    expect(database.query("SELECT value FROM meta WHERE key = 'version'").get()).toEqual({
      value: "2",
    });
  });

  test("refuses a file that is no database", () => {
    writeFileSync(join(dir, "state.db"), "x".repeat(5000));
    expect(open).toThrow(expect.objectContaining({ exitCode: EXIT.data }));
  });

  test("refuses a secret under another key, as when secret.key was lost", () => {
    const store = open();
    store.setSecret("a", bytes("x"));
    store.close();
    rmSync(join(dir, "secret.key"));
    const second = open();
    expect(() => second.secret("a")).toThrow(expect.objectContaining({ exitCode: EXIT.data }));
    expect(() => second.secret("a")).toThrow("secret.key is another one");
  });

  test("refuses a value that was moved to another place", () => {
    const store = open();
    store.setSecret("a", bytes("x"));
    store.close();
    const database = new Database(join(dir, "state.db"));
    database.run("UPDATE secret SET path = 'b'");
    database.close();
    expect(() => open().secret("b")).toThrow("Cannot decrypt b");
  });

  test("CF-11 refuses a key that everybody can read", () => {
    open().close();
    chmodSync(join(dir, "secret.key"), 0o644);
    expect(open).toThrow(expect.objectContaining({ exitCode: EXIT.noPermission }));
  });

  test("refuses a key that was cut", () => {
    open().close();
    truncateSync(join(dir, "secret.key"), 31);
    expect(open).toThrow(expect.objectContaining({ exitCode: EXIT.data }));
  });

  test("ends with 73 where a file cannot be made", () => {
    mkdirSync(join(dir, "secret.key"));
    expect(open).toThrow(expect.objectContaining({ exitCode: EXIT.cannotCreate }));
  });

  test("CF-19 a write that fails is told to its caller, and the old value stands", () => {
    const store = open();
    store.setSecret("a", bytes("old"));
    const database = new Database(join(dir, "state.db"));
    database.run(
      "CREATE TRIGGER full BEFORE UPDATE ON secret BEGIN SELECT RAISE(FAIL, 'disk is full'); END",
    );
    database.close();
    const write = () => store.setSecret("a", bytes("new"));
    expect(write).toThrow(VpnError);
    expect(write).toThrow(expect.objectContaining({ code: "state_write" }));
    expect(write).toThrow("disk is full");
    expect(store.secret("a")).toEqual(bytes("old"));
  });

  test("two processes that make the directory's key agree on one", async () => {
    const program = `
      const { openStateStore } = await import(process.env.MODULE);
      const { systemRandom } = await import(process.env.RANDOM);
      const store = openStateStore(process.env.DIR, { random: systemRandom });
      store.setSecret(process.env.NAME, new TextEncoder().encode(process.env.NAME));
      store.close();`;
    const source = (path: string) => join(import.meta.dir, "../../src", path);
    const names = ["a", "b", "c", "d"];
    const runs = names.map((name) =>
      Bun.spawn([process.execPath, "-e", program], {
        env: {
          ...process.env,
          MODULE: source("config/state-store.ts"),
          RANDOM: source("base/random.ts"),
          DIR: dir,
          NAME: name,
        },
        stderr: "inherit",
      }),
    );
    expect(await Promise.all(runs.map((run) => run.exited))).toEqual([0, 0, 0, 0]);
    const store = open();
    for (const name of names) expect(store.secret(name)).toEqual(new TextEncoder().encode(name));
    expect(readdirSync(dir).filter((name) => name.startsWith("secret.key"))).toEqual([
      "secret.key",
    ]);
  });

  test("transaction() keeps all or nothing, also one within another", () => {
    const store = open();
    const put = (name: string) => store.objects.put("account", name, { user: name }, 1);
    store.transaction(() => {
      put("a");
      store.transaction(() => put("b"));
    });
    const fail = () =>
      store.transaction(() => {
        put("c");
        store.removeSecret("x");
        throw new Error("no");
      });
    expect(fail).toThrow("no");
    expect(store.objects.dynamic("account").map(({ name }) => name)).toEqual(["a", "b"]);
  });
});
