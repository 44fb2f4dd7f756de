import { beforeEach, describe, expect, test } from "bun:test";
import { FDB_AGE_MS, MAX_FDB_ENTRIES, OWNERSHIP_MS } from "../../src/base/limits.ts";
import { DROP, PASS } from "../../src/hub/drop-reason.ts";
import { Fdb, LEARNT, type MacOwner, MOVED, UNLEARNT } from "../../src/hub/fdb.ts";
import { DEFAULT_HUB_SETTINGS } from "../../src/hub/hub-settings.ts";
import { mac } from "./frames.ts";

const HIGH = 0x0200;

function owner(index: number, parts: Partial<MacOwner> = {}): MacOwner {
  return {
    index,
    macLimit: Infinity,
    macLimitDrops: true,
    macHold: "none",
    isNetworkSession: true,
    checksMac: false,
    ...parts,
  };
}

const ports: MacOwner[] = [];
let fdb: Fdb;

function port(parts: Partial<MacOwner> = {}): MacOwner {
  const made = owner(ports.length, parts);
  ports.push(made);
  return made;
}

const countOf = (index: number) => fdb.list(0).filter((entry) => entry.port === index).length;

beforeEach(() => {
  ports.length = 0;
  fdb = new Fdb(ports, 1);
});

describe("Fdb", () => {
  test("learn() and lookup() keep the same MAC apart by VLAN", () => {
    const [a, b, c] = [port(), port(), port()];
    fdb.learn(a, HIGH, 1, 0, 0);
    fdb.learn(b, HIGH, 1, 200, 0);
    fdb.learn(c, HIGH, 1, 300, 0);
    expect([0, 200, 300, 400].map((vlan) => fdb.lookup(HIGH, 1, vlan))).toEqual([0, 1, 2, -1]);
    expect(fdb.size).toBe(3);
  });

  test("lookup() does not mix up VLAN id and MAC bits", () => {
    const a = port();
    fdb.learn(a, 0x0001, 5, 0, 0);
    expect(fdb.lookup(0x0000, 5, 0xfff)).toBe(-1);
    expect(fdb.lookup(0xf001, 5, 0)).toBe(-1);
  });

  test("learn() does not learn beyond the limit of a port, whatever it does with the frame", () => {
    const strict = port({ macLimit: 3 });
    const ample = port({ macLimit: 2, macLimitDrops: false });
    const answers = [1, 2, 3, 4].map((low) => fdb.learn(strict, HIGH, low, 0, 0));
    expect(answers).toEqual([LEARNT, LEARNT, LEARNT, DROP.mac_limit]);
    const others = [11, 12, 13].map((low) => fdb.learn(ample, HIGH, low, 0, 0));
    expect(others).toEqual([LEARNT, LEARNT, UNLEARNT]);
    expect([countOf(0), countOf(1)]).toEqual([3, 2]);
  });

  test("learn() counts a move against the limit of the port that gains", () => {
    const many = port();
    const few = port({ macLimit: 1 });
    fdb.learn(many, HIGH, 1, 0, 0);
    fdb.learn(few, HIGH, 2, 0, 0);
    expect(fdb.learn(few, HIGH, 1, 0, 0)).toBe(DROP.mac_limit);
    expect(fdb.lookup(HIGH, 1, 0)).toBe(many.index);
  });

  test("learn() moves a MAC and tells who lost it", () => {
    const [a, b] = [port(), port()];
    fdb.learn(a, HIGH, 1, 0, 0);
    expect(fdb.learn(b, HIGH, 1, 0, 10)).toBe(MOVED);
    expect(fdb.movedFrom).toBe(a.index);
    expect(fdb.lookup(HIGH, 1, 0)).toBe(b.index);
    expect(fdb.list(10)).toEqual([
      { id: 1, mac: mac(1), vlanId: 0, port: b.index, created: 10, updated: 10 },
    ]);
    expect([countOf(0), countOf(1)]).toEqual([0, 1]);
  });

  test("learn() follows ten moves in a second and then none until the next", () => {
    const sides = [port(), port()];
    const flip = (i: number, now: number) => fdb.learn(sides[i % 2]!, HIGH, 1, 0, now);
    expect(flip(0, 5000)).toBe(LEARNT);
    for (let i = 1; i <= 10; i += 1) expect(flip(i, 5000 + i)).toBe(MOVED);
    expect(flip(11, 5011)).toBe(DROP.mac_flap);
    expect(fdb.lookup(HIGH, 1, 0)).toBe(0);
    expect(flip(11, 6000)).toBe(MOVED);
  });

  const taking: [string, Partial<MacOwner>, Partial<MacOwner>, number, boolean][] = [
    ["a client from a client", {}, {}, 0, true],
    ["a client from a bridge, fresh", { macHold: "fresh" }, {}, OWNERSHIP_MS - 1, false],
    ["a client from a bridge, stale", { macHold: "fresh" }, {}, OWNERSHIP_MS, true],
    ["a host's at any age", { macHold: "always" }, {}, FDB_AGE_MS, false],
    ["a host's, by a cascade", { macHold: "always" }, { isNetworkSession: false }, 60_000, false],
    ["a bridge's, by a cascade", { macHold: "fresh" }, { isNetworkSession: false }, 0, true],
    ["a client's, by CheckMac, fresh", {}, { checksMac: true }, OWNERSHIP_MS - 1, false],
    ["a client's, by CheckMac, stale", {}, { checksMac: true }, OWNERSHIP_MS, true],
  ];
  test.each(taking)("learn() takes over %s", (_name, holder, taker, age, moves) => {
    const [a, b] = [port(holder), port(taker)];
    fdb.learn(a, HIGH, 1, 0, 0);
    expect(fdb.learn(b, HIGH, 1, 0, age)).toBe(moves ? MOVED : DROP.mac_spoof);
    expect(fdb.lookup(HIGH, 1, 0)).toBe(moves ? b.index : a.index);
  });

  test("expire() is strict: 600 s after the last frame an entry neither forwards nor is listed", () => {
    const a = port();
    fdb.learn(a, HIGH, 1, 0, 0);
    fdb.learn(a, HIGH, 1, 0, 1000);
    fdb.expire(1000 + FDB_AGE_MS);
    expect(fdb.lookup(HIGH, 1, 0)).toBe(0);
    expect(fdb.list(1001 + FDB_AGE_MS)).toEqual([]);
    expect(fdb.lookup(HIGH, 1, 0)).toBe(-1);
    expect(fdb.size).toBe(0);
  });

  test("learn() refuses new sources when the database is full, and goes on with known ones", () => {
    const a = port();
    for (let low = 0; low < MAX_FDB_ENTRIES; low += 1) fdb.learn(a, HIGH, low, 0, 0);
    expect(fdb.learn(a, HIGH, MAX_FDB_ENTRIES, 0, 1)).toBe(DROP.fdb_full);
    expect(fdb.learn(a, HIGH, 77, 0, 1)).toBe(PASS);
    expect(fdb.size).toBe(MAX_FDB_ENTRIES);
    fdb.removePort(0);
    expect(fdb.size).toBe(0);
  });

  test("remove() forgets one entry by MAC and VLAN id", () => {
    const a = port();
    fdb.learn(a, 0xfeff, -2, 7, 0);
    const [entry] = fdb.list(0);
    expect(fdb.remove(entry!.mac, 0)).toBe(false);
    expect(fdb.remove(entry!.mac, 7)).toBe(true);
    expect(fdb.size).toBe(0);
  });

  test("list() gives entries an id that stays with them through refreshes and moves", () => {
    const [a, b] = [port(), port()];
    for (const low of [1, 2, 3]) fdb.learn(a, HIGH, low, 0, 0);
    const idOf = (low: number) => fdb.list(0).find((entry) => entry.mac === mac(low))!.id;
    const ids = [1, 2, 3].map(idOf);
    expect(new Set(ids).size).toBe(3);
    fdb.remove(mac(1), 0);
    fdb.learn(a, HIGH, 2, 0, 1);
    fdb.learn(b, HIGH, 3, 0, 1);
    fdb.learn(a, HIGH, 1, 0, 1);
    expect([2, 3].map(idOf)).toEqual(ids.slice(1));
    expect(ids).not.toContain(idOf(1));
  });

  describe("configure() with mac-rules", () => {
    beforeEach(() => {
      fdb.configure({ ...DEFAULT_HUB_SETTINGS, compat: new Set(["mac-rules"]) });
    });

    test("expire() and lookup() keep old entries until another MAC is learnt, once a second", () => {
      const a = port();
      fdb.learn(a, HIGH, 1, 0, 0);
      fdb.expire(FDB_AGE_MS + 1);
      expect([fdb.lookup(HIGH, 1, 0), fdb.list(FDB_AGE_MS + 1).length]).toEqual([0, 1]);
      fdb.learn(a, HIGH, 2, 0, FDB_AGE_MS);
      fdb.learn(a, HIGH, 3, 0, FDB_AGE_MS + 999);
      expect(fdb.lookup(HIGH, 1, 0)).toBe(0);
      fdb.learn(a, HIGH, 4, 0, FDB_AGE_MS + 1000);
      expect(fdb.lookup(HIGH, 1, 0)).toBe(-1);
    });

    test("learn() lets a port at its limit take over MACs, from bridges and hosts, at any rate", () => {
      const bridge = port({ macHold: "fresh" });
      const host = port({ macHold: "always" });
      const client = port({ macLimit: 1 });
      fdb.learn(bridge, HIGH, 1, 0, 0);
      fdb.learn(host, HIGH, 2, 0, 0);
      expect([1, 2].map((low) => fdb.learn(client, HIGH, low, 0, 0))).toEqual([MOVED, MOVED]);
      for (let i = 0; i < 50; i += 1)
        expect(fdb.learn(i % 2 === 0 ? bridge : client, HIGH, 1, 0, 1)).toBe(MOVED);
    });

    test("learn() keeps fresh MACs from ports that check them", () => {
      const [a, checking] = [port(), port({ checksMac: true })];
      fdb.learn(a, HIGH, 1, 0, 0);
      expect(fdb.learn(checking, HIGH, 1, 0, OWNERSHIP_MS - 1)).toBe(DROP.mac_spoof);
      expect(fdb.learn(checking, HIGH, 1, 0, OWNERSHIP_MS)).toBe(MOVED);
    });
  });
});
