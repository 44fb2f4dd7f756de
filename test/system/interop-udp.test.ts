import { afterAll, beforeAll, expect, test } from "bun:test";
import { describeSystem } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { SOFTETHER_PROGRAMS } from "../support/softether.ts";
import { transfer, waitPing } from "../support/transfer.ts";
import {
  ALSO_GOOD,
  dressClient,
  GOOD,
  OUR_PAIRS,
  INSIDE,
  openSite,
  SERVER_FROM,
  type Site,
  startClient,
  startServer,
  type TunnelClient,
  type TunnelServer,
} from "../support/tunnel.ts";
import { tcpUses } from "../support/underlay.ts";

// UDP acceleration of the client on the left while the way of its datagrams is cut and mended.

const PORT = 5555;
const BYTES = 20_000_000;
/** Until datagrams are used, after ten seconds without a gap (protocol.md 17.5), on a busy machine. */
const READY_MS = 30_000;
/** Within 2.1 s an end knows that it hears nothing, and TCP inside needs its time to try again. */
const FALLBACK_MS = 6_000;

/** Datagrams of the tunnel that do not arrive. Nobody is told: a sender's own firewall would answer with an error. */
const CUTS = {
  none: "",
  all: "meta l4proto udp drop",
  /** As behind a link that takes less: the small ones get through (robustness.md UD-10). */
  large: "meta l4proto udp meta length > 600 drop",
} as const;

async function cut(site: Site, what: keyof typeof CUTS): Promise<void> {
  const chain = `chain in { type filter hook input priority 0; ${CUTS[what]}; }`;
  const rules = `add table inet cut\ndelete table inet cut\ntable inet cut {\n${chain}\n}\n`;
  for (const at of [site.left, site.server]) {
    await at.check(["nft", "-f", "-"], { stdin: rules });
  }
}

async function bytesByTcp(client: TunnelClient): Promise<number> {
  const uses = await tcpUses(client.at, PORT);
  return uses.reduce((sum, { sent, received }) => sum + sent + received, 0);
}

for (const { client: kind, server } of OUR_PAIRS) {
  const needs = kind === "reference" || server === "reference" ? SOFTETHER_PROGRAMS : [];
  describeSystem(`UDP acceleration, client ${kind}, server ${server}`, needs, () => {
    let site: Site;
    let hub: TunnelServer;
    let left: TunnelClient;
    let right: TunnelClient;

    const isActive = async (): Promise<boolean> => {
      const own = await left.session();
      return own.udpActive && (await hub.session(own.name)).udpActive;
    };
    const untilActive = () =>
      until("datagrams in use at both ends", isActive, { deadlineMs: READY_MS, everyMs: 250 });
    /** Sends bytes to the right, whole; gives those that TCP carried below the tunnel meanwhile. */
    const send = async (bytes = BYTES): Promise<number> => {
      const before = await bytesByTcp(left);
      const sent = await transfer(left.at, right.at, INSIDE.right.ipv4, bytes);
      expect([sent.bytes, sent.received]).toEqual([bytes, sent.sent]);
      return (await bytesByTcp(left)) - before;
    };

    beforeAll(async () => {
      site = await openSite();
      hub = await startServer(server, site.server);
      left = await startClient(kind, site.left, SERVER_FROM.left, GOOD, { udp: true });
      right = await startClient(server, site.right, SERVER_FROM.right, ALSO_GOOD);
      await Promise.all([left.waitConnected(), right.waitConnected()]);
      await Promise.all([dressClient(left, "left"), dressClient(right, "right")]);
      await waitPing(left.at, left.device, INSIDE.right.ipv4);
    }, 60_000);
    afterAll(() => site?.world.close());

    test("frames go by UDP after ten seconds, by TCP within seconds of a cut, and come back", async () => {
      await untilActive();
      expect(await send()).toBeLessThan(BYTES / 20);

      await cut(site, "all");
      const cutAt = performance.now();
      await waitPing(left.at, left.device, INSIDE.right.ipv4, FALLBACK_MS);
      expect(performance.now() - cutAt).toBeLessThan(FALLBACK_MS);
      expect(await send()).toBeGreaterThan(BYTES);

      await cut(site, "none");
      await untilActive();
      expect(await send()).toBeLessThan(BYTES / 20);
    }, 150_000);

    if (kind === "reference") return;

    test("UD-10 a way that swallows large datagrams alone is left to TCP", async () => {
      await untilActive();
      await cut(site, "large");
      // Small ones, such as pings, still pass by UDP; the first large ones show that it is not good any more.
      expect(await send()).toBeGreaterThan(BYTES / 2);
      await cut(site, "none");
      await untilActive();
      expect(await send()).toBeLessThan(BYTES / 20);
    }, 150_000);
  });
}
