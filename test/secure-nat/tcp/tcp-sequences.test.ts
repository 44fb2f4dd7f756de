// The machine against the plainest twin over networks that lose, double, delay and reorder: whatever happens between,
// bytes arrive exactly once and in order both ways, and both sides end as they should.
import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../support/seeded-random.ts";
import { PlainGuest } from "./plain-guest.ts";
import { byteAt, type GuestSegment, stream, TcpWorld } from "./tcp-world.ts";

interface Network {
  readonly loss: number;
  readonly double: number;
  /** Milliseconds of the way, and what is added at random. */
  readonly delay: number;
  readonly jitter: number;
}

const NETWORKS: Readonly<Record<string, Network>> = {
  "a perfect one": { loss: 0, double: 0, delay: 0.1, jitter: 0 },
  "one that loses 1 %": { loss: 0.01, double: 0, delay: 2, jitter: 0 },
  "one that loses 10 %": { loss: 0.1, double: 0.01, delay: 2, jitter: 0 },
  "one that reorders": { loss: 0, double: 0, delay: 5, jitter: 8 },
  "one that doubles": { loss: 0, double: 0.3, delay: 1, jitter: 3 },
  "one that does it all": { loss: 0.05, double: 0.05, delay: 10, jitter: 20 },
};

/** Runs one exchange and gives what is to be said of it. */
function exchange(seed: number, network: Network) {
  const random = seededRandom(seed);
  const coin = (share: number) => random.fraction() < share;
  const down = coin(0.5) ? 300_000 : random.below(20_000);
  const up = coin(0.5) ? 150_000 : random.below(20_000);
  const initial = coin(0.3) ? 2 ** 32 - 5_000 : random.below(2 ** 31);
  const world = new TcpWorld({ guestInitial: initial });
  const { clock, io, connection } = world;
  const way = (run: () => void) => {
    const copies = coin(network.double) ? 2 : 1;
    for (let n = 0; n < copies; n += 1) {
      if (coin(network.loss)) continue;
      clock.after(network.delay + random.fraction() * network.jitter, run);
    }
  };
  const guest = new PlainGuest(
    clock,
    {
      initial,
      toSend: up,
      hasSack: coin(0.7),
      hasTimestamps: coin(0.5),
      segmentBytes: coin(0.2) ? 100 : 1400,
      windowBytes: coin(0.3) ? 5_000 : 200_000,
    },
    (segment: GuestSegment) => way(() => world.send(segment)),
  );
  world.onFrame = (frame) => way(() => guest.receive(world.parse(frame)));

  // The target: writes what there is room for, and stops taking now and then.
  let written = 0;
  const pump = () => {
    while (written < down && connection.sendRoom > 0) {
      const chunk = world.stack.chunks.take();
      if (chunk === undefined) break;
      const bytes = Math.min(connection.sendRoom, down - written, 1 + random.below(65_536));
      chunk.bytes.set(stream(written, bytes));
      chunk.end = bytes;
      connection.write(chunk);
      written += bytes;
    }
    if (written === down && !hasFinished && io.events.includes("established")) {
      hasFinished = true;
      connection.finish();
    }
    world.stack.flush();
  };
  let hasFinished = false;
  io.onRoom = () => void clock.after(0, pump);
  if (coin(0.5)) io.capacity = 10_000;

  guest.start();
  for (let n = 0; n < 40_000; n += 1) {
    clock.advance(20);
    // Answered from the first SYN on that has come.
    connection.open();
    if (connection.state === "closed") break;
    pump();
    if (io.capacity < 1_000) {
      io.capacity += random.below(60_000);
      connection.resume();
      world.stack.flush();
    }
    const isOver = guest.hasAllReceived && guest.hasAllAcknowledged;
    if (isOver && io.events.includes("finished")) break;
  }
  guest.stop();
  const received = io.bytes;
  const wrongAt = received.findIndex((byte, n) => byte !== byteAt(n));
  clock.advance(100_000);
  const result = {
    up: received.length === up && wrongAt < 0,
    down: guest.received === down + 1 && !guest.isWrong,
    isReset: guest.isReset,
    events: io.events.filter((event) => event !== "room"),
    state: connection.state,
    timers: clock.pending,
    chunks: world.stack.chunks.taken,
  };
  world.onFrame = () => undefined;
  world.close();
  return result;
}

describe("TcpConnection carries both streams whole over", () => {
  for (const [name, network] of Object.entries(NETWORKS)) {
    test(name, () => {
      for (let seed = 1; seed <= 12; seed += 1) {
        expect({ seed, ...exchange(seed, network) }).toEqual({
          seed,
          up: true,
          down: true,
          isReset: false,
          events: ["established", "finished", "closed closed"],
          state: "closed",
          timers: 0,
          chunks: 0,
        });
      }
    });
  }
});
