import { expect, test } from "bun:test";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { SOFTETHER_PROGRAMS } from "../support/softether.ts";
import { arping, neighbour, ping, waitPing } from "../support/transfer.ts";
import {
  ALSO_GOOD,
  dressClient,
  GOOD,
  type Implementation,
  INSIDE,
  openSite,
  openTunnel,
  SERVER_FROM,
  serverConfig,
  startClient,
} from "../support/tunnel.ts";
import { FrameListener } from "../support/two-lans.ts";
import { VpnServer } from "../support/vpn.ts";

/** Hosts are polled every 5 s from the tenth second on: after this one that never was asked has been silent longer. */
const KNOWN_S = 17;
const IDLE_S = 8;

/** What the neighbour table of a host says of an address; nothing where it has no entry. */
async function neighbourState(at: Namespace, device: string, address: string): Promise<string> {
  const shown = await at.ip("-j", "neigh", "show", "to", address, "dev", device);
  const rows = JSON.parse(shown.stdout || "[]") as { state?: string[] }[];
  return rows.flatMap(({ state }) => state ?? []).join(",");
}

describeSystem(
  "polling of silent hosts, vpnclient and our client on our hub",
  SOFTETHER_PROGRAMS,
  () => {
    test("both answer and stay in the IP table; nobody keeps a dead neighbour", async () => {
      await using site = await openSite();
      const server = await VpnServer.start(site.server, serverConfig(site.server));
      const clients = await Promise.all([
        startClient("reference", site.left, SERVER_FROM.left, GOOD),
        startClient("ours", site.right, SERVER_FROM.right, ALSO_GOOD),
      ]);
      const [left, right] = clients;
      await Promise.all(clients.map((client) => client.waitConnected()));
      await Promise.all([dressClient(left, "left"), dressClient(right, "right")]);
      await waitPing(site.left, left.device, INSIDE.right.ipv4);
      const hub = async () => (await server.snapshot()).hubs[0]!;
      const { station } = await hub();
      // Of either host the address that it was given, and a link-local one that solicitations keep.
      await until(
        "hosts that are known for long, and were heard lately",
        async () => {
          const { ipTable, sessions } = await hub();
          return sessions.every(({ name }) => {
            const kept = ipTable.filter(
              (row) =>
                row.session === name && row.ageSeconds >= KNOWN_S && row.idleSeconds <= IDLE_S,
            );
            const isIn = (prefix: string) => kept.some((row) => row.address.startsWith(prefix));
            return isIn("10.92.") && isIn("fe80:");
          });
        },
        { deadlineMs: 45_000, everyMs: 500 },
      );
      for (const { at, device } of clients) {
        expect(await neighbourState(at, device, station.ipv4)).toBe("");
        expect(await neighbourState(at, device, station.ipv6)).not.toMatch(/FAILED|INCOMPLETE/);
        // Who asks for the station all the same is answered.
        await at.ip("route", "add", station.ipv4, "dev", device);
        expect(await arping(at, device, station.ipv4)).toBe(true);
        expect(await neighbour(at, device, station.ipv4)).toBe(station.mac);
        await ping(at, `${station.ipv6}%${device}`, { count: 1 });
        expect(await neighbour(at, device, station.ipv6)).toBe(station.mac);
      }
    });
  },
);

describeSystem("a broadcast storm of 500 frames at 100 a second", SOFTETHER_PROGRAMS, () => {
  const storm = async (server: Implementation): Promise<number> => {
    await using tunnel = await openTunnel({
      name: "storm",
      left: "ours",
      server,
      right: "ours",
    });
    const { left, right } = tunnel.clients;
    await waitPing(left.at, left.device, INSIDE.right.ipv4);
    // To all, from the left, IPv4.
    const mac = (await left.at.macOf(left.device)).replaceAll(":", "");
    const listener = await FrameListener.start(right.at, `ffffffffffff${mac}0800`, right.device);
    await left.at.run(["ping", "-b", "-q", "-c", "500", "-i", "0.01", "-W", "0.1", "10.92.0.255"]);
    let before = -1;
    await until(
      "the last frames",
      () => {
        const isOver = listener.frames.length === before;
        before = listener.frames.length;
        return isOver;
      },
      { everyMs: 300 },
    );
    return before;
  };

  test("lets about as many pass on our hub as on vpnserver", async () => {
    const [ours, reference] = await Promise.all([storm("ours"), storm("reference")]);
    expect(reference).toBeLessThan(400);
    expect(ours).toBeGreaterThanOrEqual(reference / 2);
    expect(ours).toBeLessThanOrEqual(reference * 2);
  });
});
