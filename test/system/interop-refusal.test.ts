import { afterEach, beforeEach, expect, test } from "bun:test";
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

for (const pair of PAIRS) {
  const needs = pair.client === "ours" && pair.server === "ours" ? [] : SOFTETHER_PROGRAMS;
  describeSystem(`client ${pair.client}, server ${pair.server}`, needs, () => {
    let site: Site;
    let server: TunnelServer | undefined;
    beforeEach(async () => {
      site = await openSite();
      server = undefined;
    });
    afterEach(() => site.world.close());

    const serve = async (options?: { revealHubs: boolean }) => {
      server = await startServer(pair.server, site.server, { more: NO_LOCKOUT, ...options });
      return server;
    };
    const connect = (credentials: Credentials): Promise<TunnelClient> =>
      startClient(pair.client, site.left, SERVER_FROM.left, credentials, { retry: 0 });
    const refusalOf = async (credentials: Credentials) =>
      (await connect(credentials)).waitRefused();

    test("a wrong password is refused with 9", async () => {
      await serve();
      expect(await refusalOf(WRONG_PASSWORD)).toBe(AUTH_FAILED);
    });

    test("an unknown user is refused with 9", async () => {
      await serve();
      expect(await refusalOf(UNKNOWN_USER)).toBe(AUTH_FAILED);
    });

    // The reference tells strangers which hubs there are; ours only where it is asked to.
    const unknownHub = pair.server === "ours" ? AUTH_FAILED : HUB_NOT_FOUND;
    test(`an unknown hub is refused with ${unknownHub}`, async () => {
      await serve();
      expect(await refusalOf(UNKNOWN_HUB)).toBe(unknownHub);
    });

    if (pair.server === "ours") {
      test("an unknown hub is refused with 8 where reveal_hubs is on", async () => {
        await serve({ revealHubs: true });
        expect(await refusalOf(UNKNOWN_HUB)).toBe(HUB_NOT_FOUND);
      });

      test("a hub that is offline is not told from others to a stranger", async () => {
        await (await serve()).setOnline(false);
        expect(await refusalOf(WRONG_PASSWORD)).toBe(AUTH_FAILED);
      });
    }

    test("a hub that is offline refuses its users with 10 and lets them in later", async () => {
      const hub = await serve();
      await hub.setOnline(false);
      const refused = await connect(GOOD);
      expect(await refused.waitRefused()).toBe(HUB_STOPPING);
      await refused.kill();
      await hub.setOnline(true);
      const admitted = await startClient(pair.client, site.right, SERVER_FROM.right, GOOD);
      await admitted.waitConnected();
    });
  });
}
