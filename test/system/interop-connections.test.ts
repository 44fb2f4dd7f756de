import { expect, test } from "bun:test";
import { describeSystem } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import type { SessionOptions } from "../support/session-options.ts";
import { SOFTETHER_PROGRAMS } from "../support/softether.ts";
import { lostOf, streams } from "../support/stream.ts";
import { transfer, waitPing } from "../support/transfer.ts";
import {
  ALSO_GOOD,
  type Cable,
  dressClient,
  GOOD,
  type Implementation,
  OUR_PAIRS,
  type Pair,
  INSIDE,
  openSite,
  SERVER_FROM,
  SESSION_TIMEOUT_S,
  type Site,
  startClient,
  startServer,
  type TunnelClient,
  type TunnelServer,
} from "../support/tunnel.ts";
import { stall, tcpUses } from "../support/underlay.ts";

// Sessions of several connections: what a lost one costs, how one gives way to the next, and that a long, lossy way
// has the use of all of them. Where one end is the reference, our end is what is looked at.

const PORT = 5555;
const CONNECTIONS = 8;
/** So many that each connection has some, whatever the hash makes of their ports. */
const FLOWS = 40;
/** What a loaded machine may add to a time that the protocol or a requirement fixes. */
const SLACK_MS = 3000;

interface Place extends Site {
  readonly hub: TunnelServer;
  readonly client: TunnelClient;
  readonly station: TunnelClient;
}

/** Opens a site with the pair at left and server, and a plain station of the server's kind at right. */
async function open(pair: Pair, options: SessionOptions, cable?: Cable): Promise<Place> {
  const site = await openSite(cable);
  try {
    const hub = await startServer(pair.server, site.server);
    const [client, station] = await Promise.all([
      startClient(pair.client, site.left, SERVER_FROM.left, GOOD, options),
      startClient(pair.server, site.right, SERVER_FROM.right, ALSO_GOOD),
    ]);
    await Promise.all([client.waitConnected(), station.waitConnected()]);
    await Promise.all([dressClient(client, "left"), dressClient(station, "right")]);
    for (const { at, device } of [client, station]) {
      // A program that a busy machine does not let run for a while must not cost frames before the tunnel.
      await at.ip("link", "set", device, "txqueuelen", "4000");
    }
    await until(
      "all connections",
      async () => (await tcpUses(site.left, PORT)).length === options.connections,
      { deadlineMs: 20_000, everyMs: 100 },
    );
    await waitPing(client.at, client.device, INSIDE.right.ipv4);
    return { ...site, hub, client, station };
  } catch (thrown) {
    await site.world.close();
    throw thrown;
  }
}

/** Flows in the direction in which our end sends. */
function sendStreams(
  { client, station }: Place,
  pair: Pair,
  shape: { perSecond: number; seconds: number },
) {
  const [from, to, address] =
    pair.client === "ours"
      ? [client.at, station.at, INSIDE.right.ipv4]
      : [station.at, client.at, INSIDE.left.ipv4];
  return streams(from, to, address, { flows: FLOWS, ...shape });
}

/** Stalls one connection after a while; gives the milliseconds until it has a successor. */
async function stallOne({ client }: Place): Promise<number> {
  await Bun.sleep(1500);
  // Not the newest: that one carries all that the reference sends.
  const { localPort: lost } = (await tcpUses(client.at, PORT))[0]!;
  await stall(client.at, lost);
  const stalled = performance.now();
  await until(
    "a successor of the stalled connection",
    async () => {
      const uses = await tcpUses(client.at, PORT);
      return uses.filter(({ localPort }) => localPort !== lost).length === CONNECTIONS;
    },
    { deadlineMs: 30_000, everyMs: 50 },
  );
  return performance.now() - stalled;
}

for (const pair of OUR_PAIRS) {
  const kinds: Implementation[] = [pair.client, pair.server];
  const programs = kinds.includes("reference") ? SOFTETHER_PROGRAMS : [];
  describeSystem(
    `several connections, client ${pair.client}, server ${pair.server}`,
    [...programs, "nft", "python3"],
    () => {
      test.concurrent(
        "FI-03: one of eight connections stalls and dies, the others carry on, and another takes its place",
        async () => {
          await using place = await open(pair, { connections: CONNECTIONS });
          const [flows, replacedMs] = await Promise.all([
            sendStreams(place, pair, { perSecond: 20, seconds: SESSION_TIMEOUT_S + 8 }),
            stallOne(place),
          ]);
          // It counts as dead when nothing has come for the time-out, and has a successor 5 s later at most.
          expect(replacedMs).toBeLessThan(1000 * (SESSION_TIMEOUT_S + 5) + SLACK_MS);
          // The flows of seven of eight connections lose nothing at all.
          const whole = flows.filter(({ sent, received }) => sent === received);
          expect(whole.length).toBeGreaterThan(FLOWS / 2);
          // The others lose no more than their connection took with it, and go on by another.
          for (const { sent, received } of flows) {
            expect(sent - received).toBeLessThan(20 * (SESSION_TIMEOUT_S + SLACK_MS / 1000));
          }
          const { name } = await place.client.session();
          await until(
            "eight connections in the server's list",
            async () => (await place.hub.session(name)).connections === CONNECTIONS,
            { deadlineMs: 10_000, everyMs: 100 },
          );
        },
      );

      // The reference's client ends its connections without a pause, and loses frames by it.
      for (const halfDuplex of pair.client === "ours" ? [false, true] : []) {
        test.concurrent(
          `connections (${halfDuplex ? "half" : "full"} duplex) that have lived their time give way to others, and no frame is lost`,
          async () => {
            const lifetimeS = 3;
            await using place = await open(pair, { connections: 4, lifetimeS, halfDuplex });
            const { client, station, hub } = place;
            const before = new Set((await tcpUses(client.at, PORT)).map((one) => one.localPort));
            const { name } = await client.session();
            const shape = { flows: FLOWS, perSecond: 20, seconds: 4 * lifetimeS };
            const [out, back] = await Promise.all([
              streams(client.at, station.at, INSIDE.right.ipv4, shape),
              streams(station.at, client.at, INSIDE.left.ipv4, shape),
            ]);
            expect({ out: lostOf(out), back: lostOf(back) }).toEqual({ out: 0, back: 0 });
            const after = (await tcpUses(client.at, PORT)).map((one) => one.localPort);
            expect(after.filter((port) => before.has(port))).toEqual([]);
            expect((await client.session()).name).toBe(name);
            expect(await hub.users()).toEqual(["left", "right"]);
          },
        );
      }

      test.concurrent("a long, lossy way has the use of all eight connections", async () => {
        const cable = { delayMs: 25, lossPercent: 0.5 };
        await using place = await open(pair, { connections: CONNECTIONS }, cable);
        const { client, station } = place;
        const [from, to, address] =
          pair.client === "ours"
            ? [client.at, station.at, INSIDE.right.ipv4]
            : [station.at, client.at, INSIDE.left.ipv4];
        const before = await tcpUses(client.at, PORT);
        // Few flows of many bytes, compared by checksum, and so many of few bytes that each connection has some.
        const bytes = 1_500_000;
        const [done] = await Promise.all([
          Promise.all(Array.from({ length: 8 }, () => transfer(from, to, address, bytes))),
          streams(from, to, address, { flows: 100, perSecond: 4, seconds: 4 }),
        ]);
        for (const one of done) expect([one.bytes, one.received]).toEqual([bytes, one.sent]);
        const carried = (await tcpUses(client.at, PORT)).map((now) => {
          const then = before.find(({ localPort }) => localPort === now.localPort)!;
          return pair.client === "ours" ? now.sent - then.sent : now.received - then.received;
        });
        expect(carried).toBeArrayOfSize(CONNECTIONS);
        // One flow of the many brings 16 datagrams of more than 400 bytes.
        expect(Math.min(...carried)).toBeGreaterThan(16 * 400);
      });
    },
  );
}
