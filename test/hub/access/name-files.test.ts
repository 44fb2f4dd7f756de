import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MAX_ACCESS_FILE_BYTES } from "../../../src/base/limits.ts";
import { AccessList } from "../../../src/hub/access/access-list.ts";
import {
  type NameFileReader,
  parseNames,
  systemNameFiles,
} from "../../../src/hub/access/name-files.ts";
import { BROADCAST } from "../frames.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { until } from "../../support/process.ts";
import { seededRandom } from "../../support/seeded-random.ts";
import { AccessWorld, drop, settings, type Who } from "./access-world.ts";
import { bytesOf, FRAME } from "./reference.ts";

test("parseNames() takes one name a line, without comments, domains and case", () => {
  const text =
    "# staff\n alice \r\n\r\n//bob\n;carol\nEXAMPLE\\dave\nerin@example.com\nfrank # boss";
  expect([...parseNames(text)]).toEqual(["ALICE", "DAVE", "ERIN", "FRANK # BOSS"]);
});

/** A list with one rule on files that exist in the test alone. */
function open(kind: "include" | "exclude", lifetimeS = 30) {
  const files = new Map([["/names", "alice\n"]]);
  const waiting: (() => void)[] = [];
  const read = (path: string) => {
    const text = files.get(path);
    if (text === undefined) throw new Error(`Cannot read ${path}: it is not there`);
    return text;
  };
  const reader: NameFileReader = {
    read,
    reread: async (path) => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return read(path);
    },
  };
  const clock = new ManualClock();
  const warnings: string[] = [];
  const log = {
    debug() {},
    info() {},
    warn: (event: string) => void warnings.push(event),
    error() {},
  };
  const rules = [drop({ fromUser: { kind, path: "/names" } })];
  const list = new AccessList(settings(rules, { AccessListIncludeFileCacheLifetime: lifetimeS }), {
    clock,
    random: seededRandom(1),
    log,
    reader,
  });
  let ports = 0;
  const isMeant = (user: string, who: Who = {}) => {
    const port = {
      name: `${user}-${ports}`,
      index: ports++,
      kind: who.kind ?? "bridge",
      user,
      group: who.group,
      isNetworkSession: who.kind === undefined,
    };
    return !list.arrivalMatcher(port as never).isEmpty;
  };
  /** Lets the reading end that the timer has begun. */
  const settle = async () => {
    for (const go of waiting.splice(0)) go();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { files, list, clock, warnings, isMeant, settle, waiting };
}

test("include: means those whom the file names, exclude: all others", () => {
  for (const kind of ["include", "exclude"] as const) {
    const { list, isMeant } = open(kind);
    expect(isMeant("Alice")).toBe(kind === "include");
    expect(isMeant("bob")).toBe(kind === "exclude");
    // The group is not what the file speaks of.
    expect(isMeant("bob", { group: "alice" })).toBe(kind === "exclude");
    list.close();
  }
});

test("neither means sessions of the server itself", () => {
  for (const kind of ["include", "exclude"] as const) {
    const { list, isMeant } = open(kind);
    expect(isMeant("alice", { kind: "local-bridge" })).toBe(false);
    expect(isMeant("bob", { kind: "cascade" })).toBe(false);
    list.close();
  }
});

test("a file is read again when its time is over; until it is read the old names hold", async () => {
  const { list, files, clock, isMeant, settle } = open("include");
  files.set("/names", "bob\n");
  clock.advance(29_999);
  await settle();
  expect([isMeant("alice"), isMeant("bob")]).toEqual([true, false]);
  clock.advance(1);
  expect([isMeant("alice"), isMeant("bob")]).toEqual([true, false]);
  await settle();
  expect([isMeant("alice"), isMeant("bob")]).toEqual([false, true]);
  expect(list.generation).toBe(1);
  clock.advance(30_000);
  await settle();
  // Nothing new in it: nothing is worked out anew.
  expect(list.generation).toBe(1);
  list.close();
  expect(clock.pending).toBe(0);
});

test("a reading that takes long is waited for before the next", async () => {
  const { list, clock, waiting, settle } = open("include");
  clock.advance(90_000);
  expect(waiting).toHaveLength(1);
  await settle();
  clock.advance(30_000);
  expect(waiting).toHaveLength(1);
  list.close();
  await settle();
});

test("a file that goes away counts as what it was, and is told of once", async () => {
  const { list, files, clock, warnings, isMeant, settle } = open("include");
  files.clear();
  for (let n = 0; n < 3; n += 1) {
    clock.advance(30_000);
    await settle();
  }
  expect(isMeant("alice")).toBe(true);
  expect(warnings).toEqual(["access_file_unreadable"]);
  files.set("/names", "bob\n");
  clock.advance(30_000);
  await settle();
  expect(isMeant("alice")).toBe(false);
  list.close();
});

test("a lifetime of 0 reads files once", () => {
  const { list, clock } = open("include", 0);
  expect(clock.pending).toBe(0);
  list.close();
});

test("ports that are there meet the names of a file that has changed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "names-"));
  try {
    const path = join(folder, "names");
    writeFileSync(path, "nobody\n");
    const world = new AccessWorld([
      drop({ toUser: { kind: "include", path } }),
      drop({ priority: 1, fromUser: { kind: "include", path } }),
    ]);
    const alice = world.attach("alice");
    const bob = world.attach("bob");
    const hello = bytesOf({ ...FRAME, toMac: BROADCAST });
    alice.send(hello);
    expect(bob.take()).toHaveLength(1);
    writeFileSync(path, "alice\n");
    world.clock.advance(30_000);
    // Until the file has been read, frames pass.
    await until("the file has been read", () => {
      alice.send(hello);
      return alice.at.counters.record().drops.access_list !== undefined;
    });
    bob.take();
    alice.send(hello);
    expect(bob.take()).toEqual([]);
    world.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("systemNameFiles refuses what is larger than a list of names may be", async () => {
  const folder = mkdtempSync(join(tmpdir(), "names-"));
  try {
    const path = join(folder, "names");
    writeFileSync(path, "alice\n");
    expect(systemNameFiles.read(path)).toBe("alice\n");
    expect(await systemNameFiles.reread(path)).toBe("alice\n");
    truncateSync(path, MAX_ACCESS_FILE_BYTES + 1);
    expect(() => systemNameFiles.read(path)).toThrow(/at most 1048576/);
    await expect(systemNameFiles.reread(path)).rejects.toThrow(/at most 1048576/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a sender in another group is met by other rules at once, where files say who else is", () => {
  const folder = mkdtempSync(join(tmpdir(), "names-"));
  try {
    const path = join(folder, "names");
    writeFileSync(path, "guard\n");
    const world = new AccessWorld([
      drop({ fromUser: { kind: "name", name: "guests" }, toUser: { kind: "include", path } }),
    ]);
    const alice = world.attach("alice", { group: "staff" });
    const guard = world.attach("guard");
    const hello = bytesOf({ ...FRAME, toMac: BROADCAST });
    for (const [group, wanted] of [
      ["staff", 1],
      ["guests", 0],
      ["staff", 1],
    ] as const) {
      alice.at.reconfigure(alice.at.policy, { group });
      alice.send(hello);
      expect(guard.take()).toHaveLength(wanted);
    }
    world.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
