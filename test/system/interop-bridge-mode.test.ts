import { expect, test } from "bun:test";
import { describeSystem } from "../support/namespace.ts";
import { ping, waitPing } from "../support/transfer.ts";
import { SOFTETHER_PROGRAMS } from "../support/softether.ts";
import {
  ALSO_GOOD,
  dressClient,
  GOOD,
  HUB,
  openSite,
  SERVER_FROM,
  startClient,
  startServer,
} from "../support/tunnel.ts";
import { VpnClient } from "../support/vpn.ts";

/** More than the three that a client may have (hub.md 2.7). */
const STATIONS = 6;

// Our client joins a bridge of its kernel to the hub: stations behind it in bridge mode, none in client mode.
for (const kind of ["ours", "reference"] as const) {
  const needs = kind === "ours" ? [] : SOFTETHER_PROGRAMS;
  describeSystem(`our client with stations behind it, server ${kind}`, needs, () => {
    const open = async (mode: "client" | "bridge") => {
      const site = await openSite();
      await startServer(kind, site.server);
      const bridge = VpnClient.start(site.left, {
        ...GOOD,
        server: `${SERVER_FROM.left}:5555`,
        hub: HUB,
        mode,
      });
      const other = await startClient("ours", site.right, SERVER_FROM.right, ALSO_GOOD);
      await Promise.all([bridge.waitConnected(), other.waitConnected()]);
      await dressClient(other, "right");
      await site.left.ip("link", "add", "br0", "type", "bridge");
      await site.left.ip("link", "set", bridge.device, "master", "br0", "up");
      await site.left.ip("link", "set", "br0", "up");
      for (let n = 0; n < STATIONS; n++) {
        const station = await site.world.namespace(`station${n}`);
        const device = `port${n}`;
        const address = `10.92.0.${100 + n}/24`;
        await site.world.link({ at: station, device, address }, { at: site.left, device });
        await site.left.ip("link", "set", device, "master", "br0");
      }
      return { ...site, other };
    };

    test.concurrent("bridge mode carries them all", async () => {
      await using site = await open("bridge");
      for (let n = 0; n < STATIONS; n++) {
        await waitPing(site.right, site.other.device, `10.92.0.${100 + n}`);
      }
    });

    test.concurrent("client mode carries no more than a client may have", async () => {
      await using site = await open("client");
      let answered = 0;
      for (let n = 0; n < STATIONS; n++) {
        const result = await ping(site.right, `10.92.0.${100 + n}`, { count: 2 });
        if (result.received > 0) answered++;
      }
      expect(answered).toBeLessThanOrEqual(3);
    });
  });
}
