// Many connections, and fewer buffers than they want: one of them that lets its buffers lie must not stop the others.
import { afterEach, expect, test } from "bun:test";
import { CHUNK_BYTES } from "../../../src/secure-nat/tcp/tcp-io.ts";
import type { TcpConnection } from "../../../src/secure-nat/tcp/tcp-connection.ts";
import { FakeIo, GUEST_MAC, INNER, OUTER, stream, synOptions, TcpWorld } from "./tcp-world.ts";

const CHUNKS = 4;

let world = new TcpWorld();
afterEach(() => {
  world.onFrame = () => undefined;
  world.close();
});

interface Guest {
  readonly io: FakeIo;
  readonly connection: TcpConnection;
}

/** Guests of their own ports; the last of them is the one that `world.send` speaks for. */
function guests(count: number, chunks = CHUNKS): Guest[] {
  world.close();
  world = new TcpWorld({ maxBytes: chunks * CHUNK_BYTES });
  return Array.from({ length: count }, (_, n) => {
    const io = new FakeIo();
    const ends = { inner: INNER, innerPort: 50_000 + n, outer: OUTER, outerPort: 80 };
    const connection = world.stack.connect(ends, GUEST_MAC, io);
    Object.assign(world, { connection, innerPort: ends.innerPort });
    world.establish(synOptions());
    return { io, connection };
  });
}

/** The socket side of one that finds no buffer. */
function waitForChunk(): string[] {
  const woken: string[] = [];
  expect(world.stack.chunks.take()).toBeUndefined();
  world.stack.chunks.whenFree(() => woken.push("woken"));
  world.stack.flush();
  return woken;
}

test("guests that never read lose their connections when others want the buffers, the first of them first", () => {
  const all = guests(CHUNKS);
  for (const { connection } of all) {
    Object.assign(world, { connection });
    world.write(0, 20_000);
    world.clock.advance(100);
  }
  const woken = waitForChunk();
  world.clock.advance(5_000);
  expect(all.map(({ connection }) => connection.state)).toEqual(all.map(() => "established"));
  expect(woken).toEqual([]);
  world.clock.advance(7_000);
  expect(all[0]!.io.events.at(-1)).toBe("closed aborted");
  expect(woken).toEqual(["woken"]);
  expect(world.stack.chunks.taken).toBeLessThan(CHUNKS);
});

test("nobody loses anything while there are buffers left", () => {
  const all = guests(CHUNKS - 1);
  for (const { connection } of all) {
    Object.assign(world, { connection });
    world.write(0, 20_000);
  }
  world.clock.advance(60_000);
  expect(all.map(({ connection }) => connection.state)).toEqual(all.map(() => "established"));
});

test("a guest that leaves a gap open for ever, and a target that takes nothing, are ended as well", () => {
  for (const isGap of [true, false]) {
    const [{ io } = expect.unreachable()] = guests(1);
    io.capacity = 0;
    const at = isGap ? 100 : 0;
    world.send({ ...world.next(at), payload: stream(at, 50) });
    const rest = Array.from({ length: CHUNKS - 1 }, () => world.stack.chunks.take()!);
    const woken = waitForChunk();
    world.clock.advance(12_000);
    expect(io.events.at(-1)).toBe("closed aborted");
    expect(woken).toEqual(["woken"]);
    for (const chunk of rest) world.stack.chunks.give(chunk);
  }
});

test("bytes that were read while there was room are sent, though the buffer itself has used that up", () => {
  guests(1, 3 * CHUNKS);
  world.send({ ...world.next(), window: 0 });
  let written = 0;
  for (let room = world.connection.sendRoom; room > 0; room = world.connection.sendRoom) {
    // Whole buffers that are half full: what may be held shrinks by a quarter of each.
    const bytes = Math.min(room, 30_000);
    world.write(written, bytes);
    written += bytes;
    expect(world.connection.details!.unsent).toBe(written);
  }
  expect(written).toBeGreaterThan(120_000);
});
