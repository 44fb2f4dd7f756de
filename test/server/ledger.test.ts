import { expect, test } from "bun:test";
import { PortCounters } from "../../src/hub/port-counters.ts";
import { Ledger } from "../../src/server/ledger.ts";
import { memoryBooks } from "../support/counter-books.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { recordingLog } from "../support/test-server.ts";

function world() {
  const clock = new ManualClock();
  const books = memoryBooks();
  const log = recordingLog();
  return { clock, books, log, ledger: new Ledger("home", { books, clock, log }) };
}
const session = (user: string | undefined, group: string | undefined) => ({
  user,
  group,
  counters: new PortCounters(),
});
const alice = () => session("alice", "staff");

test("open() books what a session carries for its user, group and hub every ten seconds", () => {
  const { clock, books, ledger } = world();
  const open = alice();
  const settle = ledger.open(open);
  open.counters.countIngress(false, 2, 120);
  open.counters.countEgress(true, 1, 60);
  clock.advance(10_000);
  const traffic = [2, 120, 0, 0, 0, 0, 1, 60];
  for (const row of ["hub/", "user/alice", "group/staff"]) {
    expect(books.rows.get(row)).toMatchObject({ traffic, lastTraffic: clock.wall() });
  }
  open.counters.countIngress(false, 1, 14);
  settle();
  ledger.close();
  expect(books.rows.get("user/alice")?.traffic).toEqual([3, 134, 0, 0, 0, 0, 1, 60]);
  expect(clock.pending).toBe(0);
});

test("a session counts as a login after half a minute", () => {
  const { clock, books, ledger } = world();
  ledger.open(alice())();
  const settle = ledger.open(session("bob", undefined));
  clock.advance(40_000);
  settle();
  ledger.close();
  expect(books.rows.get("user/alice")).toMatchObject({
    logins: 0,
    lastLogin: clock.wall() - 40_000,
  });
  expect(books.rows.get("user/bob")?.logins).toBe(1);
  expect(books.rows.get("hub/")?.logins).toBe(1);
});

test("sessions of the server's own count for the hub alone, and are no logins", () => {
  const { clock, books, ledger } = world();
  const inner = session(undefined, undefined);
  const settle = ledger.open(inner);
  inner.counters.countEgress(false, 1, 100);
  clock.advance(60_000);
  settle();
  ledger.close();
  expect([...books.rows.keys()]).toEqual(["hub/"]);
  expect(books.rows.get("hub/")).toMatchObject({ logins: 0, lastLogin: 0 });
  expect(books.rows.get("hub/")?.traffic[5]).toBe(100);
});

test("another run goes on from what is in the books", () => {
  const { clock, books, log, ledger } = world();
  const first = alice();
  const settle = ledger.open(first);
  first.counters.countIngress(false, 1, 100);
  settle();
  ledger.close();
  const next = new Ledger("home", { books, clock, log });
  const second = session("ALICE", undefined);
  next.open(second);
  second.counters.countIngress(false, 1, 11);
  next.close();
  expect(next.row("user", "alice")?.traffic[1]).toBe(111);
  expect(books.rows.size).toBe(3);
});

test("nothing waits while there are no sessions", () => {
  const { clock, ledger } = world();
  expect(clock.pending).toBe(0);
  ledger.open(alice())();
  clock.advance(20_000);
  expect(clock.pending).toBe(0);
});

test("CF-19 numbers wait while the books cannot be written, which is told once", () => {
  const { clock, books, log, ledger } = world();
  const open = alice();
  const settle = ledger.open(open);
  open.counters.countIngress(false, 1, 100);
  books.fault = new Error("disk full");
  clock.advance(30_000);
  expect(books.rows.size).toBe(0);
  expect(log.lines.filter(({ event }) => event === "counters_not_written").length).toBe(1);
  delete books.fault;
  clock.advance(10_000);
  expect(books.rows.get("user/alice")?.traffic[1]).toBe(100);
  settle();
  ledger.close();
});

test("the rows of many users are written a part at a time", () => {
  const { clock, books, ledger } = world();
  const settles = Array.from({ length: 600 }, (_, n) => ledger.open(session(`u${n}`, undefined)));
  const sizes: number[] = [];
  const write = books.write.bind(books);
  books.write = (rows) => {
    sizes.push(rows.length);
    write(rows);
  };
  clock.advance(10_000);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(256);
  expect(books.rows.size).toBe(601);
  for (const settle of settles) settle();
  ledger.close();
});
