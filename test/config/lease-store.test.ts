import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { EXIT } from "../../src/base/errors.ts";
import type { Ipv4 } from "../../src/base/ip.ts";
import type { MacAddress } from "../../src/base/mac.ts";
import { LEASE_TABLE, LeaseStore, type StoredLease } from "../../src/config/lease-store.ts";

const lease = (change: Partial<StoredLease> = {}): StoredLease => ({
  address: 0xc0a8_1e0a as Ipv4,
  mac: 0xffff_ffff_fffe as MacAddress,
  hostname: "pc'; DROP TABLE lease",
  leasedAt: 1_700_000_000_000,
  renewedAt: 1_700_000_000_001,
  expires: 1_700_000_007_200,
  ...change,
});

function open(): { database: Database; store: LeaseStore } & Disposable {
  const database = new Database(":memory:");
  database.run(LEASE_TABLE);
  return {
    database,
    store: new LeaseStore(database),
    [Symbol.dispose]: () => database.close(),
  };
}

test("write() keeps one lease for an address of a hub, whatever the case of its name", () => {
  using world = open();
  const { store } = world;
  const other = lease({ address: 0xffff_fffe as Ipv4, expires: undefined });
  store.write("Home", [lease(), other], []);
  store.write("other", [lease()], []);
  store.write("HOME", [lease({ hostname: "" })], [other.address]);
  expect(store.read("home")).toEqual([lease({ hostname: "" })]);
  expect(store.read("OTHER")).toEqual([lease()]);
  store.write("home", [other], []);
  expect(store.read("home")).toEqual([lease({ hostname: "" }), other]);
});

test("write() of an address that is removed and leased again keeps the lease", () => {
  using world = open();
  world.store.write("home", [lease()], []);
  world.store.write("home", [lease({ hostname: "b" })], [lease().address]);
  expect(world.store.read("home")).toEqual([lease({ hostname: "b" })]);
});

test("forget() takes the leases of one hub away, whatever the case of its name", () => {
  using world = open();
  world.store.write("home", [lease()], []);
  world.store.write("other", [lease()], []);
  world.store.forget("HOME");
  expect(world.store.read("home")).toEqual([]);
  expect(world.store.read("other")).toEqual([lease()]);
});

test("CF-19 write() that fails says so and keeps the old rows", () => {
  using world = open();
  world.store.write("home", [lease()], []);
  world.database.run("PRAGMA query_only = 1");
  expect(() => world.store.write("home", [], [lease().address])).toThrow("Cannot write state.db");
  expect(() => world.store.forget("home")).toThrow("Cannot write state.db");
  expect(world.store.read("home")).toEqual([lease()]);
});

test("read() of a damaged row ends with 65", () => {
  using world = open();
  world.database.run("INSERT INTO lease VALUES ('home', 4294967296, 1, '', 0, 0, NULL)");
  expect(() => world.store.read("home")).toThrow(expect.objectContaining({ exitCode: EXIT.data }));
});
