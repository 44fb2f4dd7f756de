import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createBlockCodec } from "../../../src/session/block-codec.ts";
import { grantUdp, offerUdp, type UdpPath } from "../../../src/session/udp/udp-path.ts";
import { framesOf, runOf } from "../../support/array-port.ts";
import { toHex } from "../../support/hex.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { until } from "../../support/process.ts";
import { seededRandom } from "../../support/seeded-random.ts";
import { SEGMENT, SYN, tcpFrame } from "../../wasm/random-frames.ts";
import { Relay } from "./relay.ts";

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
const FAST = { everyMs: 1, deadlineMs: 5_000 };

interface End {
  readonly path: UdpPath;
  readonly frames: string[];
  batches: number;
}

interface Options {
  readonly version?: 1;
  readonly isPlain?: boolean;
  readonly compress?: boolean;
  readonly leavesMss?: boolean;
}

/** Both ends of a path on the loop-back net, with a relay between them that does as it is told. */
class World {
  readonly clock = new ManualClock();
  readonly client: End;
  readonly server: End;
  readonly relay: Relay;

  static async open(options: Options = {}) {
    return new World(options, await Relay.open());
  }

  private constructor(options: Options, relay: Relay) {
    this.relay = relay;
    const deps = { clock: this.clock, random: seededRandom(5), log: SILENT };
    const codec = () => (options.compress ? createBlockCodec("deflate") : undefined);
    const offer = offerUdp({ ...deps, localAddress: "127.0.0.1" })!;
    const { grant, path } = grantUdp(
      { ...offer.wish, version: options.version ?? 2, ip: "127.0.0.1", port: relay.serverSide },
      {
        ...deps,
        localAddress: "127.0.0.2",
        remoteAddress: "127.0.0.1",
        ports: { first: 42_000, last: 42_999 },
        isEncrypted: !options.isPlain,
        codec: codec(),
        leavesMss: options.leavesMss ?? false,
      },
    )!;
    relay.connect({ client: offer.wish.port, server: grant.port });
    const ours = { ...grant, ip: "127.0.0.1", port: relay.clientSide };
    this.client = endOf(offer.accept(ours, { remoteAddress: "127.0.0.1", codec: codec() }));
    this.server = endOf(path);
  }

  /** Time passes in steps that datagrams keep up with. */
  async pass(ms: number, stepMs = 250): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.clock.advance(Math.min(stepMs, left));
      await this.relay.quiet();
    }
  }

  async untilReady(): Promise<void> {
    await this.pass(13_000);
    expect([this.client.path.isReady, this.server.path.isReady]).toEqual([true, true]);
  }

  close(): void {
    this.client.path.close();
    this.server.path.close();
    this.relay.close();
  }
}

function endOf(path: UdpPath): End {
  const end: End = { path, frames: [], batches: 0 };
  path.onRun = (run) => end.frames.push(...framesOf(run).map(toHex));
  path.onBatchEnd = () => void end.batches++;
  return end;
}

function send(from: End, ...frames: Uint8Array[]): void {
  from.path.deliver(runOf(frames));
  from.path.flush();
}

function randomFrames(seed: number, count: number): Uint8Array[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => random.bytes(14 + random.below(1_500)));
}

function received(to: End, count: number): Promise<boolean> {
  return until("frames", () => to.frames.length >= count, {
    ...FAST,
    explain: () => `${to.frames.length} of ${count}, ${JSON.stringify(to.path.stats)}`,
  });
}

describe.each([
  ["version 2", {}],
  ["version 1", { version: 1 }],
  ["version 2 in clear", { isPlain: true }],
  ["version 2, compressed", { compress: true }],
] as const)("DatagramPath, %s", (_, options) => {
  let world: World;
  beforeEach(async () => {
    world = await World.open(options);
  });
  afterEach(() => world.close());

  test("frames of all sizes arrive both ways, in their order", async () => {
    const { client, server } = world;
    for (const [from, to, seed] of [
      [client, server, 1],
      [server, client, 2],
    ] as const) {
      const frames = randomFrames(seed, 40);
      for (let n = 0; n < 40; n += 10) send(from, ...frames.slice(n, n + 10));
      await received(to, 40);
      expect(to.frames).toEqual(frames.map(toHex));
      expect(to.batches).toBeGreaterThan(0);
    }
  });

  test("it is ready after ten seconds, not when datagrams stop, and again when they have come back", async () => {
    const { client, server, relay } = world;
    await world.pass(9_000);
    expect([client.path.isAlive, client.path.isReady]).toEqual([true, false]);
    await world.pass(4_000);
    expect([client.path.isReady, server.path.isReady]).toEqual([true, true]);
    relay.drops = () => true;
    await world.pass(3_250);
    expect([client.path.isReady, server.path.isReady]).toEqual([false, false]);
    relay.drops = () => false;
    await world.pass(9_000);
    expect([client.path.isAlive, client.path.isReady]).toEqual([true, false]);
    await world.pass(4_000);
    expect([client.path.isReady, server.path.isReady]).toEqual([true, true]);
  });

  test("UD-01 what anybody sends is dropped, counted, and not answered", async () => {
    const { server, relay } = world;
    await world.pass(1_500);
    const before = server.path.stats.sentDatagrams;
    const random = seededRandom(3);
    const stranger = await relay.stranger();
    const sizes = [0, 1, 22, 23, 51, 1_400, 4_097, 60_000];
    for (const size of sizes) stranger.send(random.bytes(size));
    const drops = () => {
      const { short, long, tag, cookie, size } = server.path.stats.drops;
      return short + long + tag + cookie + size;
    };
    await until("drops", () => drops() >= sizes.length, FAST);
    expect([drops(), server.frames.length, stranger.answers]).toEqual([sizes.length, 0, 0]);
    expect(server.path.stats.sentDatagrams).toBe(before);
  });

  test("UD-10 large datagrams that do not arrive end it within three seconds", async () => {
    // What goes in clear has no padding, so nothing to try the size with.
    if ("isPlain" in options) return;
    const { client, server, relay } = world;
    await world.untilReady();
    relay.drops = (datagram) => datagram.length > 600;
    const large = seededRandom(8).bytes(1_400);
    for (let n = 0; n < 13; n += 1) {
      if (client.path.isReady) send(client, large, new Uint8Array(60).fill(n + 1));
      await world.pass(250);
    }
    expect([client.path.isReady, client.path.isAlive]).toEqual([false, true]);
    expect(server.frames).not.toContain(toHex(large));
    relay.drops = () => false;
    await world.untilReady();
  });
});

describe("DatagramPath", () => {
  let world: World;
  beforeEach(async () => {
    world = await World.open();
  });
  afterEach(() => world.close());

  test("UD-02 a datagram that comes again is dropped, one that is late is not, one of 30 s ago is", async () => {
    const { client, server, relay } = world;
    await world.untilReady();
    relay.copies = 3;
    send(client, new Uint8Array(100).fill(7));
    await until("copies", () => server.path.stats.drops.replay >= 2, FAST);
    relay.copies = 1;
    relay.holds = true;
    send(client, new Uint8Array(100).fill(8));
    await until("a held datagram", () => relay.held.length === 1, FAST);
    relay.holds = false;
    await world.pass(2_000);
    relay.release();
    await received(server, 2);
    relay.holds = true;
    send(client, new Uint8Array(100).fill(9));
    await until("a held datagram", () => relay.held.length === 1, FAST);
    relay.holds = false;
    await world.pass(31_000, 500);
    relay.release();
    await until("a stale datagram", () => server.path.stats.drops.tick === 1, FAST);
    expect(server.frames).toEqual([7, 8].map((value) => toHex(new Uint8Array(100).fill(value))));
  });

  test("UD-03 the address follows the newest datagram with a right tag, and no other", async () => {
    const { client, server, relay } = world;
    await world.pass(1_500);
    const address = server.path.peer;
    const stranger = await relay.stranger();
    // Without a tag, with that of an older datagram, and with one that came already.
    stranger.send(new Uint8Array(100));
    relay.holds = true;
    send(client, new Uint8Array(100));
    await until("a held datagram", () => relay.held.length === 1, FAST);
    relay.holds = false;
    await world.pass(2_000);
    const late = relay.held.pop()!;
    stranger.send(late);
    await received(server, 1);
    stranger.send(late);
    await until("a replay", () => server.path.stats.drops.replay === 1, FAST);
    expect(server.path.peer).toBe(address);
    // The client behind another NAT.
    relay.holds = true;
    await world.pass(1_000);
    relay.holds = false;
    stranger.send(relay.held.pop()!);
    await until("another address", () => server.path.peer !== address, FAST);
    expect(server.path.peer).toBe(`127.0.0.1:${stranger.port}`);
  });

  test("FI-02 loss, copies, disorder and flipped bits: what arrives is what was sent", async () => {
    const { client, server, relay } = world;
    const random = seededRandom(12);
    const sent = new Set<string>();
    relay.drops = () => random.below(100) < 30;
    relay.flips = () => random.below(10) === 0;
    relay.shuffles = () => random.below(4) === 0;
    relay.copiesOf = () => 1 + random.below(2);
    for (let n = 0; n < 60; n += 1) {
      const frames = randomFrames(100 + n, 5);
      for (const frame of frames) sent.add(toHex(frame));
      send(n % 2 === 0 ? client : server, ...frames);
      await world.pass(100);
    }
    for (const { frames } of [client, server]) {
      expect(frames.length).toBeGreaterThan(30);
      expect(new Set(frames).size).toBe(frames.length);
      expect(frames.filter((frame) => !sent.has(frame))).toEqual([]);
    }
    expect(server.path.stats.drops.tag).toBeGreaterThan(0);
    expect(server.path.stats.drops.replay).toBeGreaterThan(0);
  });

  test("close() ends timers and sockets, may be called twice, and the port is free again", async () => {
    const { client, server, clock } = world;
    await world.pass(1_000);
    for (const { path } of [client, server]) {
      path.close();
      path.close();
      path.deliver(runOf([new Uint8Array(60)]));
      path.flush();
      expect([path.isReady, path.isAlive]).toEqual([false, false]);
    }
    expect(clock.pending).toBe(0);
    const deps = { clock, random: seededRandom(1), log: SILENT, localAddress: "127.0.0.2" };
    const offer = offerUdp(deps)!;
    const more = { remoteAddress: "127.0.0.1", isEncrypted: true, codec: undefined };
    const ports = { first: 42_000, last: 42_000 };
    const first = grantUdp(offer.wish, { ...deps, ...more, ports });
    expect(first?.grant.port).toBe(42_000);
    expect(grantUdp(offer.wish, { ...deps, ...more, ports })).toBeUndefined();
    first?.path.close();
    offer.close();
    offer.close();
  });

  test("a keep-alive of TCP tells another address, which is tried while nothing is heard", async () => {
    const { client, relay } = world;
    relay.drops = () => true;
    const stranger = await relay.stranger();
    const words = new TextEncoder().encode("NATT_MY_PORT");
    client.path.keepaliveNote(Uint8Array.of(...words, stranger.port >> 8, stranger.port & 255));
    await world.pass(2_500);
    expect(stranger.answers).toBeGreaterThan(0);
  });
});

describe("DatagramPath.clampOut() and clampIn()", () => {
  const syn = tcpFrame({
    ...SEGMENT,
    flags: SYN,
    options: Uint8Array.of(2, 4, 5, 180),
    payload: new Uint8Array(0),
  });

  test("lower the segment size of SYNs unless the hub wants it left", async () => {
    for (const leavesMss of [false, true]) {
      const world = await World.open({ leavesMss });
      try {
        const run = runOf([syn]);
        const { path } = world.server;
        for (const clamped of [path.clampOut(run), path.clampIn(run)])
          expect(clamped === run).toBe(leavesMss);
      } finally {
        world.close();
      }
    }
  });
});
