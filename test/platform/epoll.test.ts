import { afterEach, describe, expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { SystemError } from "../../src/base/errors.ts";
import { tryOpenAioPoller } from "../../src/platform/aio-poller.ts";
import { Epoll, EPOLLHUP, EPOLLIN, EPOLLOUT } from "../../src/platform/epoll.ts";
import { addressOf, libc } from "../../src/platform/libc.ts";
import type { Poller } from "../../src/platform/poller.ts";
import { openWorkerPoller } from "../../src/platform/worker-poller.ts";
import { until } from "../support/process.ts";

const ONE = new BigUint64Array([1n]);
const counter = new BigUint64Array(1);
const NONBLOCK = 0x80800;

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0).reverse()) close();
});

function eventFd(): number {
  const fd = libc.eventfd(0, NONBLOCK);
  opened.push(() => libc.close(fd));
  return fd;
}
const raise = (fd: number) => expect(libc.write(fd, addressOf(ONE), 8)).toBe(8);
const lower = (fd: number) => expect(libc.read(fd, addressOf(counter), 8)).toBe(8);
/** Sets of watched descriptors that this process has. */
function epollFds(): string[] {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === "anon_inode:[eventpoll]";
    } catch {
      // One that a thread has closed meanwhile.
      return false;
    }
  });
}

/** Lets whatever is due be called: turns of the loop, of which the poller needs a few. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Bun.sleep(1);
}

const METHODS: readonly [string, () => Poller][] = [
  [
    "asynchronous I/O",
    () => {
      const poller = tryOpenAioPoller();
      if (poller instanceof SystemError) throw poller;
      return poller;
    },
  ],
  ["a worker", openWorkerPoller],
];

test("Epoll.close() gives its descriptor back", () => {
  const poller = METHODS[0]![1]();
  opened.push(() => poller.close());
  const before = new Set(epollFds());
  const epoll = Epoll.open(poller);
  const [own, ...others] = epollFds().filter((fd) => !before.has(fd));
  expect([own, others]).toEqual([expect.any(String), []]);
  epoll.close();
  expect(epollFds()).not.toContain(own!);
});

describe.each(METHODS)("Epoll over a poller by %s", (_, openPoller) => {
  function open(): Epoll {
    const poller = openPoller();
    opened.push(() => poller.close());
    const epoll = Epoll.open(poller);
    opened.push(() => epoll.close());
    return epoll;
  }

  test("add() tells of readiness once, and again of each news", async () => {
    const epoll = open();
    const fd = eventFd();
    const seen: number[] = [];
    epoll.add(fd, (events) => seen.push(events));
    await until("the first news", () => seen.length === 1);
    expect(seen).toEqual([EPOLLOUT]);
    raise(fd);
    await until("the second news", () => seen.length === 2);
    expect(seen[1]).toBe(EPOLLIN | EPOLLOUT);
    await settle();
    // Nobody has read, and yet nothing is told twice.
    expect(seen).toHaveLength(2);
    raise(fd);
    await until("the third news", () => seen.length === 3);
  });

  test("afterTurn() comes once behind all handlers of a wake-up", async () => {
    const epoll = open();
    const order: string[] = [];
    epoll.afterTurn = () => order.push("after");
    for (const name of ["a", "b", "c"]) epoll.add(eventFd(), () => order.push(name));
    await until("the turn", () => order.includes("after"));
    expect(order).toEqual(["a", "b", "c", "after"]);
  });

  test("again() calls in the next turn, behind which the others get theirs", async () => {
    const epoll = open();
    const order: string[] = [];
    const greedy = epoll.add(eventFd(), (events) => {
      order.push(`greedy ${events}`);
      if (order.length < 6) greedy.again(EPOLLIN);
    });
    epoll.add(eventFd(), () => order.push("other"));
    await until("four calls", () => order.length >= 6);
    expect(order.slice(0, 3)).toEqual([`greedy ${EPOLLOUT}`, "other", `greedy ${EPOLLIN}`]);
  });

  test("again() outside of a turn begins one", async () => {
    const epoll = open();
    const seen: number[] = [];
    const watch = epoll.add(eventFd(), (events) => seen.push(events));
    await until("the first news", () => seen.length === 1);
    await settle();
    watch.again(EPOLLIN);
    watch.again(EPOLLHUP);
    await until("the call", () => seen.length === 2);
    expect(seen[1]).toBe(EPOLLIN | EPOLLHUP);
  });

  test("remove() in the same turn keeps news that have been taken from being told", async () => {
    const epoll = open();
    const seen: string[] = [];
    const watches = ["a", "b"].map((name, index) =>
      epoll.add(eventFd(), () => {
        seen.push(name);
        watches[1 - index]!.remove();
      }),
    );
    await until("the first", () => seen.length > 0);
    await settle();
    expect(seen).toHaveLength(1);
    expect(epoll.size).toBe(1);
  });

  test("a descriptor that is used again does not get the news of the one before", async () => {
    const epoll = open();
    const first = libc.eventfd(0, NONBLOCK);
    const seen: string[] = [];
    const watch = epoll.add(first, () => seen.push("first"));
    watch.remove();
    libc.close(first);
    const second = eventFd();
    expect(second).toBe(first);
    epoll.add(second, () => seen.push("second"));
    await until("news", () => seen.length > 0);
    await settle();
    expect(seen).toEqual(["second"]);
  });

  test("a thousand descriptors are told of in bounded turns", async () => {
    const epoll = open();
    let turns = 0;
    let calls = 0;
    epoll.afterTurn = () => (turns += 1);
    for (let n = 0; n < 1000; n += 1) epoll.add(eventFd(), () => (calls += 1));
    await until("all", () => calls === 1000);
    expect(turns).toBeGreaterThanOrEqual(4);
  });

  test("an idle set makes no turns", async () => {
    const epoll = open();
    const fd = eventFd();
    let turns = 0;
    epoll.add(fd, (events) => {
      if ((events & EPOLLIN) !== 0) lower(fd);
    });
    epoll.afterTurn = () => (turns += 1);
    raise(fd);
    await until("the turn", () => turns > 0);
    await settle();
    const before = turns;
    await settle();
    expect(turns).toBe(before);
  });

  test("close() may come twice, and from a handler", async () => {
    const epoll = open();
    let calls = 0;
    const close = () => {
      calls += 1;
      epoll.close();
      epoll.close();
    };
    epoll.add(eventFd(), close);
    epoll.add(eventFd(), close);
    await until("the call", () => calls > 0);
    await settle();
    expect(calls).toBe(1);
    expect(epoll.size).toBe(0);
  });
});

test("Epoll.add() refuses what cannot be polled", () => {
  const epoll = Epoll.open();
  opened.push(() => epoll.close());
  expect(() => epoll.add(-1, () => undefined)).toThrow("EBADF");
  expect(epoll.size).toBe(0);
});
