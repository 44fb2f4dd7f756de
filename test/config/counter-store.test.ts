import { expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { EXIT } from "../../src/base/errors.ts";
import { COUNTER_TABLE, type CounterRow, CounterStore } from "../../src/config/counter-store.ts";

const row = (change: Partial<CounterRow> = {}): CounterRow => ({
  kind: "user",
  hub: "Home",
  name: "Alice",
  created: 1,
  logins: 2,
  lastLogin: 3,
  lastTraffic: 4,
  traffic: [1, 2, 3, 4, 5, 6, 7, 2 ** 53 - 1],
  ...change,
});

test("write() keeps a row for each item, whatever the case of its name", () => {
  using database = new Database(":memory:");
  database.run(COUNTER_TABLE);
  const store = new CounterStore(database);
  store.write([row(), row({ kind: "hub", name: "" }), row({ hub: "other" })]);
  store.write([row({ name: "ALICE", logins: 5 })]);
  const rows = store.read("HOME");
  expect(rows.map(({ kind, name, logins }) => [kind, name, logins])).toEqual([
    ["user", "Alice", 5],
    ["hub", "", 2],
  ]);
  expect(rows[0]?.traffic).toEqual(row().traffic);
});

test("CF-19 write() that fails says so and keeps the old rows", () => {
  using database = new Database(":memory:");
  database.run(COUNTER_TABLE);
  const store = new CounterStore(database);
  store.write([row()]);
  database.run("PRAGMA query_only = 1");
  expect(() => store.write([row({ logins: 9 })])).toThrow("Cannot write state.db");
  expect(store.read("home")[0]?.logins).toBe(2);
});

test("read() of a damaged row ends with 65 and says where it stands", () => {
  using database = new Database(":memory:");
  database.run(COUNTER_TABLE);
  const store = new CounterStore(database);
  store.write([row()]);
  database.run("UPDATE counter SET value_json = '{'");
  expect(() => store.read("home")).toThrow(expect.objectContaining({ exitCode: EXIT.data }));
});
