import { expect, test } from "bun:test";
import { until } from "../support/process.ts";
import { echo, waitPing } from "../support/transfer.ts";
import {
  describeScenarios,
  dress,
  INSIDE,
  openTunnel,
  plainMac,
  SESSION_TIMEOUT_S,
  UNDERLAY,
} from "../support/tunnel.ts";
import type { Scenario, Tunnel } from "../support/tunnel.ts";

/** What a loaded machine may add to a time that the protocol fixes. */
const SLACK_MS = 5000;
const TIMEOUT_MS = SESSION_TIMEOUT_S * 1000;

const open = async (scenario: Scenario): Promise<Tunnel> => {
  const tunnel = await openTunnel(scenario);
  const { left } = tunnel.clients;
  await waitPing(left.at, left.device, INSIDE.right.ipv4);
  return tunnel;
};

const waitUsers = ({ hub }: Tunnel, users: readonly string[], deadlineMs: number) =>
  until(
    `users ${users.join(", ")} on the hub`,
    async () => (await hub.users()).join() === users.join(),
    { deadlineMs, everyMs: 100 },
  );

/** Until frames cross again: both have logged in and the way from left to right is open. */
const waitRestored = async (tunnel: Tunnel) => {
  await waitUsers(tunnel, ["left", "right"], 40_000);
  await until(
    "an answer from the other side",
    async () => {
      await dress(tunnel, "reference");
      return (await echo(tunnel.clients.left.at, INSIDE.right.ipv4)) === "answered";
    },
    { everyMs: 200, deadlineMs: 15_000 },
  );
};

// Each test has a network of its own and mostly waits, so several run at once.
describeScenarios("recovery", (scenario) => {
  if (scenario.server === "ours") {
    test.concurrent(
      "clients come back after the server was stopped and started again",
      async () => {
        await using tunnel = await open(scenario);
        await tunnel.hub.stop();
        await tunnel.hub.restart();
        await waitRestored(tunnel);
      },
    );
  }

  test.concurrent("clients come back after the server was killed and started again", async () => {
    await using tunnel = await open(scenario);
    const { hub, clients } = tunnel;
    await hub.kill();
    await hub.restart();
    for (const client of [clients.left, clients.right]) {
      // After connections that ended without close_notify, as those of a killed process do, vpnclient 5.01 logs in
      // again and then loses each connection at once, until the program is started anew (protocol.md 2.3).
      if (client.kind === "reference") await client.beginAnew();
    }
    await waitRestored(tunnel);
  });

  test.concurrent(
    "clients come back after the server was out of reach for longer than the time-out",
    async () => {
      await using tunnel = await open(scenario);
      const { hub } = tunnel;
      for (const device of ["left", "right"]) await hub.at.ip("link", "set", device, "down");
      await hub.kill();
      await Bun.sleep(TIMEOUT_MS + 2000);
      await hub.restart();
      for (const device of ["left", "right"]) await hub.at.ip("link", "set", device, "up");
      await waitRestored(tunnel);
    },
  );

  test.concurrent(
    "the session of a client that vanished ends after its time-out, and its MACs go",
    async () => {
      await using tunnel = await open(scenario);
      const { hub, clients } = tunnel;
      const mac = plainMac(await clients.right.at.macOf(clients.right.device));
      expect((await hub.macs()).map((row) => row.mac)).toContain(mac);
      // The cable goes first, or the kernel would say goodbye for the process.
      await clients.right.at.ip("link", "set", UNDERLAY, "down");
      const cut = performance.now();
      await clients.right.kill();
      await waitUsers(tunnel, ["left"], TIMEOUT_MS + 2 * SLACK_MS);
      // The time counts from the last bytes that came, which may be a keep-alive before the cut.
      expect(performance.now() - cut).toBeGreaterThan(TIMEOUT_MS / 2);
      expect((await hub.macs()).map((row) => row.mac)).not.toContain(mac);
    },
  );

  test.concurrent("a client that is ended in order is gone within its time-out", async () => {
    await using tunnel = await open(scenario);
    const { hub, clients } = tunnel;
    const mac = plainMac(await clients.right.at.macOf(clients.right.device));
    await clients.right.stop();
    // The protocol has no goodbye: a session without connections waits for new ones (protocol.md 14.3).
    await waitUsers(tunnel, ["left"], TIMEOUT_MS + SLACK_MS);
    expect((await hub.macs()).map((row) => row.mac)).not.toContain(mac);
  });

  test.concurrent(
    "an idle tunnel stands well beyond its time-out, held by keep-alives alone",
    async () => {
      await using tunnel = await open(scenario);
      const { hub, clients } = tunnel;
      for (const client of [clients.left, clients.right]) {
        // No neighbour discovery, no ARP: nothing but the protocol's own keep-alives.
        await client.at.ip("addr", "flush", "dev", client.device);
      }
      const sessions = (await hub.macs()).map((row) => row.session).sort();
      await Bun.sleep(2.5 * TIMEOUT_MS);
      expect(await hub.users()).toEqual(["left", "right"]);
      // The same sessions, not such as came after a loss.
      expect((await hub.macs()).map((row) => row.session).sort()).toEqual(sessions);
    },
  );
});
