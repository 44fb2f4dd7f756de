import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemRandom } from "../../src/base/random.ts";
import { openStateStore, type StateStore } from "../../src/config/state-store.ts";
import { StoredStartMemory } from "../../src/l3-switch/start-memory.ts";
import { switchConfig } from "./world.ts";

let dir: string;
let store: StateStore;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "vpn-test-"));
  store = openStateStore(dir, { random: systemRandom });
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true });
});

const config = (more = "", name = "core") =>
  switchConfig(`interface = { a = "10.1.0.1/24" }\n${more}`, name);
/** As the next run of the server finds it. */
function again(): StoredStartMemory {
  store.close();
  store = openStateStore(dir, { random: systemRandom });
  return new StoredStartMemory(store, () => 1_000);
}

test("StoredStartMemory keeps what a command has said, until the file says something else", () => {
  const first = again();
  expect(first.wish(config())).toBeUndefined();
  first.setWish(config(), false);
  const next = again();
  expect(next.wish(config())).toBe(false);
  // Names are the same in any case, other switches are others.
  expect(next.wish(config("", "CORE"))).toBe(false);
  expect(next.wish(config("", "other"))).toBeUndefined();
  for (const change of [
    "mtu = 1400",
    "ra = true",
    "enable = false",
    'route = [{ to = "10.9.0.0/16", via = "10.1.0.2" }]',
  ]) {
    expect(next.wish(config(change))).toBeUndefined();
  }
});

test("StoredStartMemory keeps nothing of what the file says already", () => {
  const memory = again();
  memory.setWish(config(), false);
  memory.setWish(config(), true);
  expect(memory.wish(config())).toBeUndefined();
  expect(store.objects.overrides("l3switch")).toEqual([]);
});
