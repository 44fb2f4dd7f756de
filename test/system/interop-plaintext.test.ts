import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describeSystem } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { SOFTETHER_PROGRAMS } from "../support/softether.ts";
import { ping, transfer, waitPing } from "../support/transfer.ts";
import {
  ALSO_GOOD,
  dress,
  GOOD,
  type Implementation,
  INSIDE,
  openSite,
  SERVER_FROM,
  startClient,
  startServer,
  type Tunnel,
  UNDERLAY,
} from "../support/tunnel.ts";

// Sessions that leave TLS after the login (protocol.md 16): `left` asks for that, `right` does not.

const BYTES = 200_000_000;
/** What the payload of an echo request repeats. */
const PATTERN = "70617463686261792d696e2d636c6561";

const CASES: readonly { client: Implementation; server: Implementation; connections: number }[] = [
  { client: "reference", server: "ours", connections: 4 },
  { client: "ours", server: "reference", connections: 4 },
  { client: "ours", server: "ours", connections: 4 },
];

async function open(
  kind: { client: Implementation; server: Implementation },
  options: { connections: number; allowPlaintext: boolean },
): Promise<Tunnel> {
  const site = await openSite();
  try {
    const { connections, allowPlaintext } = options;
    const hub = await startServer(kind.server, site.server, { allowPlaintext });
    const wish = { encrypt: false, connections };
    const [left, right] = await Promise.all([
      startClient(kind.client, site.left, SERVER_FROM.left, GOOD, wish),
      startClient("ours", site.right, SERVER_FROM.right, ALSO_GOOD),
    ]);
    await Promise.all([left.waitConnected(), right.waitConnected()]);
    const tunnel = { ...site, hub, clients: { left, right } };
    await dress(tunnel);
    await waitPing(left.at, left.device, INSIDE.right.ipv4);
    await until(
      `${connections} connections`,
      async () => (await left.session()).connections === connections,
      { deadlineMs: 20_000, everyMs: 200 },
    );
    return tunnel;
  } catch (thrown) {
    await site.world.close();
    throw thrown;
  }
}

/** What the wire shows while echo requests with PATTERN go through the tunnel. */
async function captured(tunnel: Tunnel): Promise<Buffer> {
  const { left } = tunnel.clients;
  const file = join(tunnel.world.directory, "wire.pcap");
  const dump = left.at.spawn([
    "tcpdump",
    "-i",
    UNDERLAY,
    "--immediate-mode",
    "-U",
    "-s",
    "0",
    "-w",
    file,
    "tcp",
  ]);
  await until("tcpdump listening", () => dump.output().includes("listening on"));
  const count = 10;
  await left.at.check([
    "ping",
    "-n",
    "-c",
    `${count}`,
    "-i",
    "0.05",
    "-p",
    PATTERN,
    "-s",
    "200",
    INSIDE.right.ipv4,
  ]);
  expect((await ping(left.at, INSIDE.right.ipv4)).received).toBe(5);
  await dump.stop("SIGINT");
  return readFileSync(file);
}

for (const { client, server, connections } of CASES) {
  const needs = ["tcpdump", ...(client === server ? [] : SOFTETHER_PROGRAMS)];
  const title = `in the clear, ${client} client on ${server} server, ${connections} connections`;
  describeSystem(title, needs, () => {
    let tunnel: Tunnel;
    beforeAll(async () => {
      tunnel = await open({ client, server }, { connections, allowPlaintext: true });
    });
    afterAll(() => tunnel?.world.close());

    test("both ends say so, and the wire shows what goes inside", async () => {
      const { left, right } = tunnel.clients;
      const told = await left.session();
      expect([told.encrypted, told.connections]).toEqual([false, connections]);
      expect((await tunnel.hub.session(told.name)).encrypted).toBe(false);
      expect((await right.session()).encrypted).toBe(true);
      expect((await captured(tunnel)).includes(Buffer.from(PATTERN, "hex"))).toBe(true);
    });

    for (const [from, to] of [
      ["left", "right"],
      ["right", "left"],
    ] as const) {
      test(`200 MB arrive unchanged from ${from} to ${to}`, async () => {
        const { [from]: near, [to]: far } = tunnel.clients;
        const result = await transfer(near.at, far.at, INSIDE[to].ipv4, BYTES);
        expect([result.bytes, result.received]).toEqual([BYTES, result.sent]);
        expect((await tunnel.clients.left.session()).connections).toBe(connections);
      });
    }

    test("it can end and begin anew", async () => {
      const { left } = tunnel.clients;
      await left.reconnect({ encrypt: false, connections });
      await left.waitConnected();
      await dress(tunnel, client);
      await waitPing(left.at, left.device, INSIDE.right.ipv4);
      expect((await left.session()).encrypted).toBe(false);
    });
  });
}

for (const client of ["ours", "reference"] as const) {
  const needs = ["tcpdump", ...(client === "ours" ? [] : SOFTETHER_PROGRAMS)];
  describeSystem(`asked for and not allowed, ${client} client on our server`, needs, () => {
    test("the session stays in TLS and carries bytes", async () => {
      const options = { connections: 2, allowPlaintext: false };
      await using tunnel = await open({ client, server: "ours" }, options);
      const { left, right } = tunnel.clients;
      expect((await left.session()).encrypted).toBe(true);
      expect((await captured(tunnel)).includes(Buffer.from(PATTERN, "hex"))).toBe(false);
      const there = await transfer(left.at, right.at, INSIDE.right.ipv4, BYTES / 10);
      expect(there.received).toBe(there.sent);
      const back = await transfer(right.at, left.at, INSIDE.left.ipv4, BYTES / 10);
      expect(back.received).toBe(back.sent);
    });
  });
}
