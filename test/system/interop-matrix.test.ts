import { afterAll, expect, test } from "bun:test";
import { makeCertificate } from "../support/certificate.ts";
import { describeSystem } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import type { Certificate, SessionOptions, SessionView } from "../support/session-options.ts";
import { SOFTETHER_PROGRAMS } from "../support/softether.ts";
import { transfer, waitPing } from "../support/transfer.ts";
import type { TransferContent } from "../support/transfer.ts";
import {
  ALSO_GOOD,
  CARD_HOLDER,
  dressClient,
  GOOD,
  INSIDE,
  openSite,
  OUR_PAIRS,
  SERVER_FROM,
  SESSION_TIMEOUT_S,
  startClient,
  startServer,
  UNDERLAY,
} from "../support/tunnel.ts";
import type { Credentials, Pair, Site, TunnelClient, TunnelServer } from "../support/tunnel.ts";
import { deviceUse, tcpUses, udpUse } from "../support/underlay.ts";

// Every kind of session between every kind of client and server. `left` is the client under test, `right` a plain
// client of the server's kind. An option counts as tried where both ends say that it is in force, and where the
// kernel's own counts below the tunnel show its effect.

const PORT = 5555;
const BYTES = 20_000_000;
const MONITOR_REFUSED = 107;
const RECONNECTS = 10;
/** A cell waits for its turn, opens up to 32 connections at one a second, and shares the machine with three others. */
const CELL_MS = 150_000;

const PAIRS: readonly Pair[] = [{ client: "reference", server: "reference" }, ...OUR_PAIRS];

/** What the kernel counted below the tunnel while BYTES went each way inside. */
interface Use {
  /** Bytes of each TCP connection. */
  readonly tcp: readonly { readonly sent: number; readonly received: number }[];
  readonly udp: { readonly sent: number; readonly received: number };
  readonly device: { readonly sent: number; readonly received: number };
}

interface Cell {
  readonly name: string;
  readonly options: SessionOptions | ((card: Certificate) => SessionOptions);
  readonly as?: Credentials;
  readonly content?: TransferContent;
  /** What differs from a plain session of one connection. */
  readonly becomes?: Partial<SessionView>;
  /** Says what is wrong, or nothing. */
  readonly shows?: (use: Use) => string | undefined;
}

const connections = (count: number): Pick<Cell, "options" | "becomes"> => ({
  options: { connections: count },
  becomes: { connections: count, maxConnections: count },
});

const CELLS: readonly Cell[] = [
  { name: "1 connection", ...connections(1) },
  { name: "2 connections", ...connections(2) },
  { name: "8 connections", ...connections(8) },
  { name: "32 connections", ...connections(32) },
  {
    name: "half duplex",
    options: { connections: 4, halfDuplex: true },
    becomes: { connections: 4, maxConnections: 4, halfDuplex: true },
    shows: ({ tcp }) => {
      const bothWays = tcp.filter((one) => Math.min(one.sent, one.received) > BYTES / 20);
      return bothWays.length === 0 ? undefined : "a connection carried both directions";
    },
  },
  {
    name: "compression",
    options: { compress: true },
    content: "text",
    becomes: { compressed: true },
    shows: ({ device }) =>
      Math.max(device.sent, device.received) < BYTES / 2 ? undefined : "nothing shrank",
  },
  {
    name: "QoS",
    options: { qos: true },
    becomes: { connections: 2, maxConnections: 2, qos: true },
  },
  { name: "plain password", options: { plain: true } },
  { name: "certificate", options: (certificate) => ({ certificate }), as: CARD_HOLDER },
  {
    name: "UDP acceleration",
    options: { udp: true },
    becomes: { udpActive: true },
    shows: ({ tcp, udp }) => {
      // The datagrams themselves tell little: the kernel counts one for many that are sent or taken at once.
      const byTcp = tcp.reduce((sum, { sent, received }) => sum + sent + received, 0);
      if (byTcp > BYTES / 10) return "the bytes went by TCP";
      return Math.min(udp.sent, udp.received) > 100 ? undefined : "no datagrams";
    },
  },
  {
    name: "half duplex, compression, QoS and UDP at once",
    options: { connections: 4, halfDuplex: true, compress: true, qos: true, udp: true },
    content: "text",
    becomes: {
      connections: 4,
      maxConnections: 4,
      halfDuplex: true,
      compressed: true,
      qos: true,
      udpActive: true,
    },
    shows: ({ device }) =>
      Math.max(device.sent, device.received) < BYTES / 2 ? undefined : "nothing shrank",
  },
];

// ---- places -------------------------------------------------------------------

interface Place extends Site {
  readonly hub: TunnelServer;
  readonly left: Site["left"];
  readonly client: TunnelClient;
  readonly station: TunnelClient;
  readonly card: Certificate;
}

async function openPlace({ client, server }: Pair): Promise<Place> {
  const site = await openSite();
  try {
    const card = await makeCertificate(site.world, "card");
    const hub = await startServer(server, site.server, { card: card.cert });
    const [left, station] = await Promise.all([
      startClient(client, site.left, SERVER_FROM.left, GOOD),
      startClient(server, site.right, SERVER_FROM.right, ALSO_GOOD),
    ]);
    await Promise.all([left.waitConnected(), station.waitConnected()]);
    await dressClient(station, "right");
    return { ...site, hub, client: left, station, card };
  } catch (thrown) {
    await site.world.close();
    throw thrown;
  }
}

/** One place for all cells of a pair, which use it in turn. One in which something failed is not used again. */
class Turns implements AsyncDisposable {
  readonly #pair: Pair;
  #open: Promise<Place> | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(pair: Pair) {
    this.#pair = pair;
  }

  take(body: (place: Place) => Promise<void>): Promise<void> {
    const turn = this.#last.then(async () => {
      try {
        this.#open ??= openPlace(this.#pair);
        await body(await this.#open);
      } catch (thrown) {
        await this.#close();
        throw thrown;
      }
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #close(): Promise<void> {
    const place = await this.#open?.catch(() => undefined);
    this.#open = undefined;
    await place?.world.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
    await this.#close();
  }
}

// ---- what a cell does -----------------------------------------------------------

async function tryCell(place: Place, cell: Cell): Promise<void> {
  const { client } = place;
  const options = typeof cell.options === "function" ? cell.options(place.card) : cell.options;
  const expected: Omit<SessionView, "name"> = {
    connections: 1,
    maxConnections: 1,
    halfDuplex: false,
    compressed: false,
    qos: false,
    encrypted: true,
    udpActive: false,
    ...cell.becomes,
  };
  await client.reconnect(options, cell.as ?? GOOD);
  await client.waitConnected();
  await dressClient(client, "left");
  const view = await settle(place, expected);
  await waitPing(client.at, client.device, INSIDE.right.ipv4);
  expect(await tcpUses(client.at, PORT)).toBeArrayOfSize(expected.connections);

  const before = await measure(place);
  const [there, back] = await Promise.all([
    transfer(client.at, place.station.at, INSIDE.right.ipv4, BYTES, cell.content),
    transfer(place.station.at, client.at, INSIDE.left.ipv4, BYTES, cell.content),
  ]);
  expect([there.bytes, there.received]).toEqual([BYTES, there.sent]);
  expect([back.bytes, back.received]).toEqual([BYTES, back.sent]);
  expect(cell.shows?.(used(before, await measure(place)))).toBeUndefined();
  await waitPing(client.at, client.device, INSIDE.right.ipv4);
  // The same session, whole to the end.
  expect(await client.session()).toEqual(view);
}

/** Until all connections are there, and UDP carries frames where it should, in the words of both ends. */
async function settle(
  { client, hub }: Place,
  expected: Omit<SessionView, "name">,
): Promise<SessionView> {
  let views: readonly SessionView[] = [];
  const isReached = ({ connections, udpActive }: SessionView) =>
    connections === expected.connections && udpActive === expected.udpActive;
  await until(
    "the session to become what it should",
    async () => {
      const own = await client.session();
      views = [own, await hub.session(own.name)];
      return views.every(isReached);
    },
    {
      // One connection a second, or the 10 s for which UDP has to work before it is used (protocol.md 17.5).
      deadlineMs: 1000 * Math.max(20, 1.5 * expected.connections),
      everyMs: 200,
      explain: () => JSON.stringify(views),
    },
  );
  const [view, other] = views;
  expect(view).toMatchObject(expected);
  expect(other).toMatchObject(expected);
  return view!;
}

async function measure({ client }: Place) {
  const [tcp, udp, device] = await Promise.all([
    tcpUses(client.at, PORT),
    udpUse(client.at),
    deviceUse(client.at, UNDERLAY),
  ]);
  return { tcp, udp, device };
}

function used(
  before: Awaited<ReturnType<typeof measure>>,
  after: Awaited<ReturnType<typeof measure>>,
): Use {
  type Both = { readonly sent: number; readonly received: number };
  const between = (from: Both | undefined, to: Both): Both => ({
    sent: to.sent - (from?.sent ?? 0),
    received: to.received - (from?.received ?? 0),
  });
  return {
    tcp: after.tcp.map((one) =>
      between(
        before.tcp.find(({ localPort }) => localPort === one.localPort),
        one,
      ),
    ),
    udp: between(before.udp, after.udp),
    device: between(before.device, after.device),
  };
}

describeSystem("interop matrix", SOFTETHER_PROGRAMS, () => {
  const places = PAIRS.map((pair) => ({ ...pair, turns: new Turns(pair) }));
  afterAll(async () => {
    await Promise.all(places.map(({ turns }) => turns[Symbol.asyncDispose]()));
  });

  // By cells first, so that the tests which run at once are of different pairs.
  for (const cell of CELLS) {
    for (const { client, server, turns } of places) {
      test.concurrent(
        `client ${client}, server ${server}: ${cell.name}`,
        () => turns.take((place) => tryCell(place, cell)),
        CELL_MS,
      );
    }
  }

  for (const { client, server, turns } of places) {
    test.concurrent(
      `client ${client}, server ${server}: monitor refused with 107`,
      () =>
        turns.take(async (place) => {
          await place.client.reconnect({ mode: "monitor" }, GOOD);
          expect(await place.client.waitRefused()).toBe(MONITOR_REFUSED);
        }),
      CELL_MS,
    );
  }

  for (const { client, server, turns } of places) {
    test.concurrent(
      `client ${client}, server ${server}: ${RECONNECTS} reconnects`,
      () =>
        turns.take(async (place) => {
          const left = place.client;
          const names = new Set<string>();
          for (let n = 0; n < RECONNECTS; n++) {
            await left.reconnect({}, GOOD);
            await left.waitConnected();
            await dressClient(left, "left");
            await waitPing(left.at, left.device, INSIDE.right.ipv4);
            names.add((await left.session()).name);
          }
          expect(names.size).toBe(RECONNECTS);
          const there = await transfer(left.at, place.station.at, INSIDE.right.ipv4, BYTES);
          expect([there.bytes, there.received]).toEqual([BYTES, there.sent]);
          // No session stays behind longer than a lost one would.
          await until(
            "one session of each",
            async () => (await place.hub.users()).join() === "left,right",
            { deadlineMs: 1000 * (SESSION_TIMEOUT_S + 5), everyMs: 200 },
          );
        }),
      CELL_MS,
    );
  }
});
