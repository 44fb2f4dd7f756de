import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemRandom } from "../../src/base/random.ts";
import { StoredLinkMemory } from "../../src/cascade/link-memory.ts";
import type { CascadeConfig } from "../../src/config/cascade-shape.ts";
import { openStateStore, type StateStore } from "../../src/config/state-store.ts";
import { readServer } from "../config/fixture.ts";

const PASSWORD = "a password that nobody may read";

function cascade(keys = "", name = "branch"): CascadeConfig {
  const text =
    `[hub.home.cascade.${name}]\nto = "far.example/office"\nuser = "home"\n` +
    `password = "file:/etc/vpn/pw"\n${keys}\n`;
  return readServer(text, { files: { "/etc/vpn/pw": PASSWORD } }).config.hubs[0]!.cascades[0]!;
}

let dir: string;
let store: StateStore;
let memory: StoredLinkMemory;
const open = () => {
  store = openStateStore(dir, { random: systemRandom });
  memory = new StoredLinkMemory(store, systemRandom, () => 1_000);
};
/** As the next run of the server finds it. */
const again = () => {
  store.close();
  open();
};

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "vpn-test-"));
  open();
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true });
});

describe("StoredLinkMemory", () => {
  test("installation() is made once, and is the same in the next run", () => {
    const made = memory.installation();
    expect(made.length).toBe(16);
    again();
    expect(memory.installation()).toEqual(made);
  });

  test("remember() keeps what is known of a server, whatever the case of its name", () => {
    const known = { kind: "sha256", fingerprint: "ab".repeat(32) } as const;
    expect(memory.find("far.example:443")).toBeUndefined();
    memory.remember("Far.example:443", known);
    again();
    expect(memory.find("far.Example:443")).toEqual(known);
    expect(memory.find("far.example:444")).toBeUndefined();
    memory.remember("far.example:443", { kind: "system" });
    expect(memory.find("far.example:443")).toEqual({ kind: "system" });
  });

  test("setWish() holds over a restart, for this cascade of this hub alone", () => {
    expect(memory.wish("home", cascade())).toBeUndefined();
    memory.setWish("home", cascade(), false);
    again();
    expect(memory.wish("HOME", cascade())).toBe(false);
    expect(memory.wish("guest", cascade())).toBeUndefined();
    expect(memory.wish("home", cascade("", "other"))).toBeUndefined();
  });

  test("wish() is gone when the file has become another", () => {
    memory.setWish("home", cascade(), false);
    for (const keys of ["connections = 2", "enable = false", "policy = { dhcp_filter = true }"]) {
      expect([keys, memory.wish("home", cascade(keys))]).toEqual([keys, undefined]);
    }
    expect(memory.wish("home", cascade())).toBe(false);
  });

  test("setWish() to what the file says forgets the other wish", () => {
    const off = cascade("enable = false");
    memory.setWish("home", off, true);
    expect(memory.wish("home", off)).toBe(true);
    memory.setWish("home", off, false);
    expect(memory.wish("home", off)).toBeUndefined();
    expect(store.objects.overrides("cascade")).toEqual([]);
  });

  test("a wish tells nothing of the password, not even to who guesses it", () => {
    const other = { ...cascade(), credential: { ...cascade().credential, secret: undefined } };
    memory.setWish("home", cascade(), false);
    expect(memory.wish("home", other as CascadeConfig)).toBe(false);
    store.close();
    expect(readFileSync(join(dir, "state.db")).includes(PASSWORD)).toBe(false);
    open();
  });
});
