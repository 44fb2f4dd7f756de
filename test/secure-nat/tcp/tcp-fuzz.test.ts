// Segments and calls drawn at random, most of them near what the connection stands at: whatever they are, it throws nothing,
// ends once, and leaves no buffer and no timer behind.
import { expect, test } from "bun:test";
import { CHUNK_BYTES } from "../../../src/secure-nat/tcp/tcp-io.ts";
import { seededRandom } from "../../support/seeded-random.ts";
import { type GuestSegment, sack, stream, synOptions, TcpWorld, timestamps } from "./tcp-world.ts";

type SeededRandom = ReturnType<typeof seededRandom>;

const RUNS = 150;
const STEPS = 120;

function near(random: SeededRandom): number {
  const spans = [1, 3_000, 70_000, 2 ** 32] as const;
  const span = spans[random.below(spans.length)]!;
  return random.below(span) - (span >>> 1);
}

function segment(world: TcpWorld, random: SeededRandom): GuestSegment {
  const { seq, ack } = world.next(near(random), near(random));
  const flags = random.below(4) === 0 ? random.below(64) : 16 | random.below(2);
  const edges = () => sack(ack + near(random), ack + near(random), ack, ack + near(random));
  const options = [new Uint8Array(0), timestamps(random.below(2 ** 32), 0), edges(), synOptions()];
  return {
    seq,
    ack,
    flags,
    window: random.below(3) === 0 ? 0 : random.below(65_536),
    options: options[random.below(options.length)]!,
    payload: stream(0, random.below(2) * random.below(1_460)),
  };
}

function step(world: TcpWorld, random: SeededRandom): void {
  const { connection, stack, io } = world;
  switch (random.below(12)) {
    case 0:
      if (connection.sendRoom > 0)
        world.write(0, 1 + random.below(Math.min(connection.sendRoom, CHUNK_BYTES)));
      break;
    case 1:
      if (random.below(4) === 0) connection.finish();
      break;
    case 2:
      io.capacity = random.below(2) * random.below(100_000);
      if (connection.state !== "closed") connection.resume();
      break;
    case 3:
      world.clock.advance(random.below([10, 1_000, 100_000][random.below(3)]!));
      break;
    case 4:
      if (random.below(10) === 0 && connection.state !== "closed") connection.abort();
      break;
    default:
      world.send(...Array.from({ length: 1 + random.below(3) }, () => segment(world, random)));
  }
  stack.flush();
  world.takeAll();
}

test(`TcpConnection ends once and leaves nothing behind, in ${RUNS} runs of nonsense`, () => {
  for (let seed = 1; seed <= RUNS; seed += 1) {
    const random = seededRandom(seed);
    const world = new TcpWorld({ maxBytes: 1 << 20, guestInitial: random.below(2 ** 32) });
    world.io.keepsBytes = false;
    if (random.below(8) === 0) {
      world.send({ seq: world.guestInitial, flags: 2, options: synOptions() });
      if (random.below(2) === 0) world.connection.open();
    } else world.establish(synOptions({ mss: 1460, sack: random.below(2) === 0, scale: 7 }));
    for (let n = 0; n < STEPS && world.connection.state !== "closed"; n += 1) step(world, random);
    world.stack.close();
    const ends = world.io.events.filter((event) => event.startsWith("closed"));
    expect({ seed, ends: ends.length, chunks: world.stack.chunks.taken }).toEqual({
      seed,
      ends: 1,
      chunks: 0,
    });
    world.close();
  }
});
