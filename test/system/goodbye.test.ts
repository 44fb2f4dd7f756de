import { expect, test } from "bun:test";
import { describeSystem } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { openTunnel, SCENARIOS, SESSION_TIMEOUT_S } from "../support/tunnel.ts";

// Two of ours tell each other when a session is over. Without it each would hold the other's end for the time-out.

const OURS = SCENARIOS.find(({ name }) => name === "ours alone")!;
/** Well below the time-out, and above what a loaded machine takes. */
const SOON_MS = (SESSION_TIMEOUT_S * 1000) / 2;

describeSystem("goodbye", [], () => {
  test.concurrent("a client that leaves is off the list long before its time-out", async () => {
    await using tunnel = await openTunnel(OURS);
    expect(await tunnel.hub.users()).toEqual(["left", "right"]);
    await tunnel.clients.left.stop();
    await until("the list", async () => (await tunnel.hub.users()).join() === "right", {
      deadlineMs: SOON_MS,
      everyMs: 50,
    });
    expect((await tunnel.hub.macs()).every(({ session }) => session.includes("RIGHT"))).toBe(true);
  });

  test.concurrent(
    "a client whose session the server ends knows at once why, and tries again",
    async () => {
      await using tunnel = await openTunnel(OURS);
      await tunnel.hub.setOnline(false);
      expect(await tunnel.clients.left.waitRefused()).toBe(10);
      expect(await tunnel.hub.users()).toEqual([]);
    },
  );
});
