import { afterEach, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { SystemError } from "../../src/base/errors.ts";
import { tryOpenAioPoller } from "../../src/platform/aio-poller.ts";
import { addressOf, libc } from "../../src/platform/libc.ts";
import { openPoller, type Poller } from "../../src/platform/poller.ts";
import { openWorkerPoller } from "../../src/platform/worker-poller.ts";

const ONE = new BigUint64Array([1n]);
const counter = new BigUint64Array(1);
const NONBLOCK = 0x80800;

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0)) close();
});

function eventFd(): number {
  const fd = libc.eventfd(0, NONBLOCK);
  opened.push(() => libc.close(fd));
  return fd;
}
const raise = (fd: number) => expect(libc.write(fd, addressOf(ONE), 8)).toBe(8);
const lower = (fd: number) => libc.read(fd, addressOf(counter), 8);
const openFds = () => readdirSync("/proc/self/fd").length;

/** Waits for the poller's real wake-ups, bounded by the runner's deadline. */
async function until(claim: () => boolean): Promise<void> {
  while (!claim()) await Bun.sleep(1);
}

/** Arms a watch anew in its own callback, as long as there is something to read and when there is again. */
async function callsBackFromItself(poller: Poller): Promise<void> {
  const fd = eventFd();
  let calls = 0;
  const watch = poller.add(fd, () => {
    calls += 1;
    if (calls === 3) lower(fd);
    watch.arm();
  });
  raise(fd);
  watch.arm();
  await until(() => calls === 3);
  raise(fd);
  await until(() => calls >= 4);
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

describe.each(METHODS)("poller by %s", (_, open) => {
  function start(): Poller {
    const poller = open();
    opened.unshift(() => poller.close());
    return poller;
  }

  test("arm() calls back once when the descriptor is readable", async () => {
    const poller = start();
    const fd = eventFd();
    let calls = 0;
    const watch = poller.add(fd, () => (calls += 1));
    watch.arm();
    watch.arm();
    await Bun.sleep(5);
    expect(calls).toBe(0);
    raise(fd);
    await until(() => calls > 0);
    raise(fd);
    await Bun.sleep(5);
    expect(calls).toBe(1);
  });

  test("arm() calls back again for what is readable still, and in the callback", async () => {
    await callsBackFromItself(start());
  });

  test("add() serves many descriptors at once and each by its own callback", async () => {
    const poller = start();
    const seen = new Set<number>();
    const fds = Array.from({ length: 200 }, eventFd);
    for (const fd of fds) {
      poller
        .add(fd, () => {
          seen.add(fd);
          lower(fd);
        })
        .arm();
    }
    for (const fd of fds) raise(fd);
    await until(() => seen.size === fds.length);
  });

  test("remove() ends the calls, and the place serves another descriptor", async () => {
    const poller = start();
    const [first, second] = [eventFd(), eventFd()];
    let wrong = 0;
    let right = 0;
    const removed = poller.add(first, () => (wrong += 1));
    removed.arm();
    removed.remove();
    removed.remove();
    removed.arm();
    poller.add(second, () => (right += 1)).arm();
    raise(first);
    raise(second);
    await until(() => right > 0);
    await Bun.sleep(5);
    expect(wrong).toBe(0);
  });

  test("remove() lets go of the file, so that closing it ends it", async () => {
    const poller = start();
    const pair = new Int32Array(2);
    expect(libc.socketpair(1, 1, 0, pair)).toBe(0);
    const [near, far] = [pair[0]!, pair[1]!];
    const watch = poller.add(near, () => {});
    watch.arm();
    await Bun.sleep(5);
    watch.remove();
    libc.close(near);
    // The peer of a stream socket that is really closed reads its end.
    let over = false;
    const peer = poller.add(far, () => (over = true));
    peer.arm();
    await until(() => over);
    peer.remove();
    libc.close(far);
  });

  test("close() releases descriptors and calls back no more, also twice and from a callback", async () => {
    const before = openFds();
    for (let round = 0; round < 5; round += 1) {
      const poller = start();
      const fd = libc.eventfd(1, NONBLOCK);
      let calls = 0;
      const other = poller.add(fd, () => (calls += 1));
      const watch = poller.add(fd, () => {
        calls += 1;
        poller.close();
        poller.close();
      });
      watch.arm();
      await until(() => calls > 0);
      other.arm();
      expect(calls).toBe(1);
      libc.close(fd);
    }
    await until(() => openFds() <= before);
  });

  test("garbage collection leaves alone what wakes a poller that waits", async () => {
    // Small arrays, which take the places of those that nobody names any more.
    for (let round = 0; round < 10; round += 1) {
      Bun.gc(true);
      const litter = Array.from({ length: 20_000 }, () => new BigUint64Array(1));
      expect(litter.length).toBe(20_000);
      await Bun.sleep(1);
    }
    await callsBackFromItself(start());
  });

  test("garbage collection leaves a waiting poller alone", async () => {
    const fd = eventFd();
    let calls = 0;
    start()
      .add(fd, () => (calls += 1))
      .arm();
    for (let round = 0; round < 10; round += 1) {
      Bun.gc(true);
      await Bun.sleep(1);
    }
    raise(fd);
    await until(() => calls === 1);
  });
});

describe("openPoller()", () => {
  test("gives a poller that works on this system", async () => {
    const poller = openPoller();
    opened.unshift(() => poller.close());
    const fd = eventFd();
    let calls = 0;
    poller.add(fd, () => (calls += 1)).arm();
    raise(fd);
    await until(() => calls === 1);
  });

  test("FI-05 arm() of a closed descriptor throws with the number of the error", () => {
    const poller = tryOpenAioPoller();
    if (poller instanceof SystemError) throw poller;
    opened.unshift(() => poller.close());
    const fd = libc.eventfd(0, NONBLOCK);
    const watch = poller.add(fd, () => {});
    libc.close(fd);
    expect(() => watch.arm()).toThrow("io_submit failed with EBADF");
  });
});
