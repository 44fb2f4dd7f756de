import { afterEach, beforeEach, expect, test } from "bun:test";
import { describeSystem } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { SOFTETHER_PROGRAMS, SoftEtherServer } from "../support/softether.ts";
import { neighbour, ping, transfer, waitPing } from "../support/transfer.ts";
import {
  ALSO_GOOD,
  dressClient,
  GOOD,
  HUB,
  INSIDE,
  openSite,
  plainMac,
  SERVER_FROM,
  startClient,
  startServer,
} from "../support/tunnel.ts";
import type { Implementation, Site, TunnelServer } from "../support/tunnel.ts";

// A hub of the reference joined to ours: left is the far server with a TAP on its hub, right a client of ours.
const LINK = "link";
/** As many as a cascade of the reference has unless told otherwise. */
const CONNECTIONS = 8;

interface FarSide {
  readonly name: string;
  readonly program: "vpnserver" | "vpnbridge";
  readonly hub: string;
}
const FAR_SIDES: readonly FarSide[] = [
  { name: "a cascade of vpnserver", program: "vpnserver", hub: "FAR" },
  { name: "vpnbridge", program: "vpnbridge", hub: "BRIDGE" },
];

for (const far of FAR_SIDES) {
  for (const near of ["reference", "ours"] as const satisfies Implementation[]) {
    describeSystem(`${far.name} to a client ${near} of our server`, SOFTETHER_PROGRAMS, () => {
      let site: Site;
      let hub: TunnelServer;
      let branch: SoftEtherServer;
      let tap: string;

      beforeEach(async () => {
        site = await openSite();
        hub = await startServer("ours", site.server);
        branch = await SoftEtherServer.start(site.left, far.program);
        if (far.program === "vpnserver") await branch.createHub(far.hub);
        tap = await branch.createTap(far.hub, "lan");
        await site.left.address(tap, `${INSIDE.left.ipv4}/24`, `${INSIDE.left.ipv6}/64`);
      });
      afterEach(() => site?.world.close());

      const join = (password = GOOD.password) =>
        branch.createCascade(far.hub, LINK, {
          server: `${SERVER_FROM.left}:5555`,
          hub: HUB,
          user: GOOD.user,
          password: `"${password}"`,
          connections: CONNECTIONS,
        });

      test("logs in, and ARP, IPv6 and TCP pass in both directions", async () => {
        await join();
        await branch.waitCascade(far.hub, LINK);
        const client = await startClient(near, site.right, SERVER_FROM.right, ALSO_GOOD);
        await client.waitConnected();
        await dressClient(client, "right");

        await waitPing(client.at, client.device, INSIDE.left.ipv4);
        await waitPing(site.left, tap, INSIDE.right.ipv4);
        await waitPing(site.left, tap, INSIDE.right.ipv6);
        const echoes = await ping(site.left, INSIDE.right.ipv4, { size: 1472, noFragment: true });
        expect(echoes.received).toBe(echoes.sent);
        expect(await neighbour(client.at, client.device, INSIDE.left.ipv4)).toBe(
          await site.left.macOf(tap),
        );
        const there = await transfer(site.left, client.at, INSIDE.right.ipv4, 50_000_000);
        expect(there.received).toBe(there.sent);
        const back = await transfer(client.at, site.left, INSIDE.left.ipv4, 50_000_000);
        expect(back.received).toBe(back.sent);
        // The station behind the link stands in the table under the link's session.
        const mac = plainMac(await site.left.macOf(tap));
        const row = (await hub.macs()).find((entry) => entry.mac === mac);
        expect(row?.session).toStartWith("SID-LEFT-");
        await until(
          "all connections of the link",
          async () => (await hub.session(row!.session)).connections === CONNECTIONS,
          { deadlineMs: 15_000, everyMs: 200 },
        );
      });

      test("carries more stations than a client may have", async () => {
        await join();
        await branch.waitCascade(far.hub, LINK);
        const client = await startClient(near, site.right, SERVER_FROM.right, ALSO_GOOD);
        await client.waitConnected();
        await dressClient(client, "right");
        for (let station = 0; station < 8; station++) {
          const device = `mv${station}`;
          await site.left.ip(
            "link",
            "add",
            device,
            "link",
            tap,
            "type",
            "macvlan",
            "mode",
            "bridge",
          );
          await site.left.address(device, `10.92.0.${100 + station}/32`);
          await site.left.ip("route", "replace", `${INSIDE.right.ipv4}/32`, "dev", device);
          await waitPing(site.left, device, INSIDE.right.ipv4);
        }
        const table = await hub.macs();
        const behind = table.filter(({ session }) => session.startsWith("SID-LEFT-"));
        expect(behind.length).toBeGreaterThanOrEqual(8);
      });

      test("is refused with 9 for a wrong password", async () => {
        await join("not it");
        await until(
          "the far side's note of the refusal",
          () => branch.log("server_log").includes("(code 9)"),
          { explain: () => branch.log("server_log") },
        );
        expect(await hub.users()).toEqual([]);
      });
    });
  }
}
