import { expect, test } from "bun:test";
import { describeSystem } from "../support/namespace.ts";
import { SOFTETHER_PROGRAMS } from "../support/softether.ts";
import { GOOD, openSite, SERVER_FROM, startClient, startServer } from "../support/tunnel.ts";
import type {
  Credentials,
  Implementation,
  Site,
  TunnelClient,
  TunnelServer,
} from "../support/tunnel.ts";

// Error numbers of protocol.md 8.
const HUB_NOT_FOUND = 8;
const AUTH_FAILED = 9;
const HUB_STOPPING = 10;

const WRONG_PASSWORD = { ...GOOD, password: "not it" };
const UNKNOWN_USER = { ...GOOD, user: "nobody" };
const UNKNOWN_HUB = { ...GOOD, hub: "NOWHERE" };

// Several refusals come from one address here; what repeated ones lead to is tested elsewhere.
const NO_LOCKOUT = "[lockout]\nenable = false";

const PAIRS: readonly { client: Implementation; server: Implementation }[] = [
  { client: "reference", server: "reference" },
  { client: "ours", server: "ours" },
  { client: "reference", server: "ours" },
  { client: "ours", server: "reference" },
];

interface Place extends Site {
  readonly hub: TunnelServer;
  connect(side: "left" | "right", credentials: Credentials): Promise<TunnelClient>;
}

// Each test has a network of its own and mostly waits, so several run at once.
for (const pair of PAIRS) {
  const needs = pair.client === "ours" && pair.server === "ours" ? [] : SOFTETHER_PROGRAMS;
  describeSystem(`client ${pair.client}, server ${pair.server}`, needs, () => {
    const serve = async (options?: { revealHubs: boolean }): Promise<Place> => {
      const site = await openSite();
      const server = await startServer(pair.server, site.server, { more: NO_LOCKOUT, ...options });
      const connect = (side: "left" | "right", credentials: Credentials) =>
        startClient(pair.client, site[side], SERVER_FROM[side], credentials, { retry: 0 });
      return { ...site, hub: server, connect };
    };
    const refusalOf = async (credentials: Credentials, options?: { revealHubs: boolean }) => {
      await using place = await serve(options);
      return await (await place.connect("left", credentials)).waitRefused();
    };

    test.concurrent("a wrong password is refused with 9", async () => {
      expect(await refusalOf(WRONG_PASSWORD)).toBe(AUTH_FAILED);
    });

    test.concurrent("an unknown user is refused with 9", async () => {
      expect(await refusalOf(UNKNOWN_USER)).toBe(AUTH_FAILED);
    });

    // The reference tells strangers which hubs there are; ours only where it is asked to.
    const unknownHub = pair.server === "ours" ? AUTH_FAILED : HUB_NOT_FOUND;
    test.concurrent(`an unknown hub is refused with ${unknownHub}`, async () => {
      expect(await refusalOf(UNKNOWN_HUB)).toBe(unknownHub);
    });

    if (pair.server === "ours") {
      test.concurrent("an unknown hub is refused with 8 where reveal_hubs is on", async () => {
        expect(await refusalOf(UNKNOWN_HUB, { revealHubs: true })).toBe(HUB_NOT_FOUND);
      });

      test.concurrent("a hub that is offline is not told from others to a stranger", async () => {
        await using place = await serve();
        await place.hub.setOnline(false);
        const stranger = await place.connect("left", WRONG_PASSWORD);
        expect(await stranger.waitRefused()).toBe(AUTH_FAILED);
      });
    }

    test.concurrent(
      "a hub that is offline refuses its users with 10 and lets them in later",
      async () => {
        await using place = await serve();
        await place.hub.setOnline(false);
        const refused = await place.connect("left", GOOD);
        expect(await refused.waitRefused()).toBe(HUB_STOPPING);
        await refused.kill();
        await place.hub.setOnline(true);
        const admitted = await place.connect("right", GOOD);
        await admitted.waitConnected();
      },
    );
  });
}
