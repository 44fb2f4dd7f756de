import { afterAll, beforeAll, expect, test } from "bun:test";
import { describeSystem } from "../support/namespace.ts";
import { SOFTETHER_PROGRAMS } from "../support/softether.ts";
import { transfer, type TransferContent, waitPing } from "../support/transfer.ts";
import {
  ALSO_GOOD,
  dress,
  GOOD,
  HUB,
  INSIDE,
  openSite,
  type Scenario,
  serverConfig,
  SERVER_FROM,
  startClient,
  startServer,
  type Tunnel,
} from "../support/tunnel.ts";
import { tcpUses } from "../support/underlay.ts";
import { VpnServer } from "../support/vpn.ts";

// Both clients compress. What the one end sends and the other receives is counted below the tunnel.

const PORT = 5555;
const BYTES = 30_000_000;
/** Of the payload: Ethernet, IP and TCP inside, the block, TLS around: 1.05; and what TCP inside has to send again. */
const OVERHEAD = 1.12;

const SCENARIOS: readonly Scenario[] = [
  { name: "vpnclient and ours on our server", left: "reference", server: "ours", right: "ours" },
  { name: "two vpnclients on our server", left: "reference", server: "ours", right: "reference" },
  {
    name: "ours and vpnclient on vpnserver",
    left: "ours",
    server: "reference",
    right: "reference",
  },
  { name: "ours alone", left: "ours", server: "ours", right: "ours" },
];

async function openCompressed(scenario: Scenario): Promise<Tunnel> {
  const site = await openSite();
  try {
    const hub = await startServer(scenario.server, site.server);
    const compress = { compress: true };
    const [left, right] = await Promise.all([
      startClient(scenario.left, site.left, SERVER_FROM.left, GOOD, compress),
      startClient(scenario.right, site.right, SERVER_FROM.right, ALSO_GOOD, compress),
    ]);
    await Promise.all([left.waitConnected(), right.waitConnected()]);
    const tunnel = { ...site, hub, clients: { left, right } };
    await dress(tunnel);
    await waitPing(left.at, left.device, INSIDE.right.ipv4);
    return tunnel;
  } catch (thrown) {
    await site.world.close();
    throw thrown;
  }
}

for (const scenario of SCENARIOS) {
  const kinds = [scenario.left, scenario.server, scenario.right];
  const needs = kinds.includes("reference") ? SOFTETHER_PROGRAMS : [];
  describeSystem(`compression, ${scenario.name}`, needs, () => {
    let tunnel: Tunnel;
    beforeAll(async () => {
      tunnel = await openCompressed(scenario);
    });
    afterAll(() => tunnel?.world.close());

    /** Sends BYTES inside, and gives the bytes that one end sent below and the other received, for each of them. */
    async function measured(from: "left" | "right", content: TransferContent) {
      const [near, far] = [
        tunnel.clients[from],
        tunnel.clients[from === "left" ? "right" : "left"],
      ];
      const address = INSIDE[from === "left" ? "right" : "left"].ipv4;
      const count = async () => {
        const [out] = await tcpUses(near.at, PORT);
        const [into] = await tcpUses(far.at, PORT);
        return { sent: out!.sent, received: into!.received };
      };
      const before = await count();
      const result = await transfer(near.at, far.at, address, BYTES, content);
      expect([result.bytes, result.received]).toEqual([BYTES, result.sent]);
      const after = await count();
      return {
        sent: (after.sent - before.sent) / BYTES,
        received: (after.received - before.received) / BYTES,
      };
    }

    test("both ends say so", async () => {
      for (const client of [tunnel.clients.left, tunnel.clients.right]) {
        const view = await client.session();
        expect(view.compressed).toBeTrue();
        expect((await tunnel.hub.session(view.name)).compressed).toBeTrue();
      }
    });

    for (const from of ["left", "right"] as const) {
      test(`text arrives unchanged from ${from}, and is little below the tunnel`, async () => {
        const { sent, received } = await measured(from, "text");
        expect(sent).toBeLessThan(0.4);
        expect(received).toBeLessThan(0.4);
      });

      test(`noise arrives unchanged from ${from}, and does not grow`, async () => {
        const { sent, received } = await measured(from, "noise");
        expect(sent).toBeLessThan(OVERHEAD);
        expect(received).toBeLessThan(OVERHEAD);
      });
    }
  });
}

describeSystem("compression between two of ours", [], () => {
  test("is LZ4", async () => {
    await using site = await openSite();
    const server = await VpnServer.start(site.server, serverConfig(site.server));
    const client = await startClient("ours", site.left, SERVER_FROM.left, GOOD, { compress: true });
    await client.waitConnected();
    const hub = (await server.snapshot()).hubs.find(({ name }) => name === HUB);
    expect(hub?.sessions.map(({ compression }) => compression)).toEqual(["lz4"]);
    await client.stop();
    await server.stop();
  });
});
