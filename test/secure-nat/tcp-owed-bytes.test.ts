import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { TCP_FLAG } from "../../src/wire/tcp.ts";
import { stream, TcpWorld } from "./tcp/tcp-world.ts";

// A guest that is done and gone while the target still reads: what it has sent must arrive, whole, however the last
// segments between guest and NAT go. A truncated upload with an orderly end would be taken for a whole one.

/** Most of the first window, so that taking it is worth telling of. */
const BYTES = 60_000;
const TAKEN = 1000;

let world: TcpWorld;
beforeEach(() => {
  world = new TcpWorld();
  world.establish();
  world.io.capacity = TAKEN;
});
afterEach(() => world.close());

/** The guest sends all it has, of which the socket takes the beginning. */
function upload(flags: number): void {
  for (let at = 0; at < BYTES; at += 1000) {
    world.send({ ...world.next(at), payload: stream(at, 1000) });
  }
  world.send({ ...world.next(BYTES), flags });
  expect(world.io.takenBytes).toBe(TAKEN);
}

/** The target reads on. */
function read(): void {
  world.io.capacity = Infinity;
  world.connection.resume();
  world.stack.flush();
}

function expectWhole(): void {
  expect(world.io.bytes).toEqual(stream(0, BYTES));
  expect(world.io.events.filter((event) => event === "finished")).toHaveLength(1);
}

/** Each ends with both FINs acknowledged. */
const ENDS: readonly [string, () => void][] = [
  [
    "the target ends first",
    () => {
      world.connection.finish();
      world.stack.flush();
      world.send(world.next(0, 1));
      upload(TCP_FLAG.FIN | TCP_FLAG.ACK);
    },
  ],
  [
    "the guest ends first",
    () => {
      upload(TCP_FLAG.FIN | TCP_FLAG.ACK);
      world.connection.finish();
      world.stack.flush();
      world.send(world.next(BYTES + 1, 1));
    },
  ],
];

describe.each(ENDS)("TcpConnection, %s and the socket is behind", (_name, end) => {
  test("a reset of the guest, which has closed, loses nothing", () => {
    end();
    world.send({ ...world.next(BYTES + 1, 1), flags: TCP_FLAG.RST });
    expect(world.io.events).not.toContain("closed closed");
    read();
    expectWhole();
  });

  test("nothing is lost however long the target takes", () => {
    end();
    for (let minute = 0; minute < 20; minute += 1) world.clock.advance(60_000);
    expect(world.io.events).not.toContain("closed closed");
    read();
    expectWhole();
    world.clock.advance(60_000);
    expect(world.io.events.at(-1)).toBe("closed closed");
  });

  test("the guest, which has closed, is not told of windows", () => {
    end();
    world.takeAll();
    read();
    expect(world.told).toBe("");
    expectWhole();
  });

  test("another connection that wants its place does not cut it off", () => {
    end();
    world.connection.expire();
    read();
    expectWhole();
  });
});
