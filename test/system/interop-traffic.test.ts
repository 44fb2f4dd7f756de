import { afterAll, beforeAll, expect, test } from "bun:test";
import { describeScenarios, INSIDE, openTunnel, plainMac } from "../support/tunnel.ts";
import type { Tunnel } from "../support/tunnel.ts";
import { forgetNeighbours, neighbour, ping, transfer, waitPing } from "../support/transfer.ts";

const WAYS = [
  { from: "left", to: "right" },
  { from: "right", to: "left" },
] as const;

describeScenarios("traffic", (scenario) => {
  let tunnel: Tunnel;
  beforeAll(async () => {
    tunnel = await openTunnel(scenario);
    const { left } = tunnel.clients;
    await waitPing(left.at, left.device, INSIDE.right.ipv4);
  });
  afterAll(() => tunnel?.world.close());

  for (const { from, to } of WAYS) {
    test(`ARP and ping pass from ${from} to ${to}`, async () => {
      const [near, far] = [tunnel.clients[from], tunnel.clients[to]];
      await forgetNeighbours(near.at, near.device);
      const result = await ping(near.at, INSIDE[to].ipv4);
      expect(result.received).toBe(result.sent);
      expect(await neighbour(near.at, near.device, INSIDE[to].ipv4)).toBe(
        await far.at.macOf(far.device),
      );
    });

    test(`neighbour discovery and IPv6 ping pass from ${from} to ${to}`, async () => {
      const [near, far] = [tunnel.clients[from], tunnel.clients[to]];
      await waitPing(near.at, near.device, INSIDE[to].ipv6);
      const result = await ping(near.at, INSIDE[to].ipv6);
      expect(result.received).toBe(result.sent);
      expect(await neighbour(near.at, near.device, INSIDE[to].ipv6)).toBe(
        await far.at.macOf(far.device),
      );
    });

    test(`the largest frame passes whole from ${from} to ${to}`, async () => {
      const near = tunnel.clients[from];
      // 1500 bytes of IP with their headers of 28 bytes, not to be cut anywhere.
      const result = await ping(near.at, INSIDE[to].ipv4, { size: 1472, noFragment: true });
      expect(result.received).toBe(result.sent);
    });

    test(`200 MB of TCP arrive unchanged from ${from} to ${to}`, async () => {
      const [near, far] = [tunnel.clients[from], tunnel.clients[to]];
      const result = await transfer(near.at, far.at, INSIDE[to].ipv4, 200_000_000);
      expect(result.bytes).toBe(200_000_000);
      expect(result.received).toBe(result.sent);
    });
  }

  test("the hub knows both users and where their MAC addresses are", async () => {
    const { hub, clients } = tunnel;
    // The reference lists local bridges and the like as users of no name; there are none here.
    expect(await hub.users()).toEqual(["left", "right"]);
    const table = await hub.macs();
    for (const client of [clients.left, clients.right]) {
      const mac = plainMac(await client.at.macOf(client.device));
      const user = client === clients.left ? "LEFT" : "RIGHT";
      expect(table.find((row) => row.mac === mac)?.session).toStartWith(`SID-${user}-`);
    }
  });
});
