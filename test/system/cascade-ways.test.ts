import { afterEach, beforeEach, expect, test } from "bun:test";
import { FAR, hubText, linkText, nearText, STATION, waitStatus } from "../support/cascade.ts";
import { makeCertificate } from "../support/certificate.ts";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { startTinyproxy } from "../support/proxies.ts";
import type { Certificate, SessionView } from "../support/session-options.ts";
import { SOFTETHER_PROGRAMS, vpncmd } from "../support/softether-daemon.ts";
import {
  CARD_HOLDER,
  GOOD,
  HUB,
  type Implementation,
  openSite,
  SERVER_FROM,
  type Site,
  startServer,
} from "../support/tunnel.ts";
import { secretFile, VpnServer } from "../support/vpn.ts";

// How our cascades log in and travel, and what they say when they are refused.

const PROXY_PORT = 8888;

/** What a cascade may ask for, and what the far server then says of its session. */
interface Way {
  readonly hub: string;
  readonly keys: (at: Namespace, card: Certificate) => string;
  readonly becomes: Partial<SessionView>;
}

const WAYS: readonly Way[] = [
  {
    hub: "ONE",
    keys: (at) => linkText(at, "connections = 1", "qos = false", "udp = false"),
    becomes: { connections: 1, qos: false, udpActive: false },
  },
  { hub: "UDP", keys: (at) => linkText(at, "connections = 2"), becomes: { udpActive: true } },
  {
    hub: "HALF",
    keys: (at) => linkText(at, "connections = 4", "half_duplex = true", "compress = true"),
    becomes: { connections: 4, halfDuplex: true, compressed: true },
  },
  {
    hub: "CLEAR",
    keys: (at) => linkText(at, "encrypt = false", "connections = 2"),
    becomes: { connections: 2, encrypted: false },
  },
  {
    hub: "PLAIN",
    keys: (at) => linkText(at, "plain = true", "connections = 2"),
    becomes: { connections: 2 },
  },
  {
    hub: "CARD",
    keys: (_, { cert, key }) =>
      `to = "${FAR}/${HUB}"\nuser = "${CARD_HOLDER.user}"\ncert = "${cert}"\nkey = "${key}"\nconnections = 2`,
    becomes: { connections: 2 },
  },
  {
    hub: "GUEST",
    keys: () => `to = "${FAR}/${HUB}"\nuser = "guest"\nanonymous = true\nconnections = 2`,
    becomes: { connections: 2 },
  },
  {
    // Loopback is the far server's own: nothing but the proxy leads there.
    hub: "PROXY",
    keys: (at) =>
      linkText(at, `proxy = "http://${SERVER_FROM.left}:${PROXY_PORT}"`, "connections = 2").replace(
        FAR,
        "127.0.0.1:5555",
      ),
    becomes: { connections: 2, udpActive: false },
  },
];

for (const kind of ["ours", "reference"] as const satisfies Implementation[]) {
  const needs = [...(kind === "ours" ? [] : SOFTETHER_PROGRAMS), "tinyproxy", "openssl"];
  describeSystem(`ways of our cascade to a server of ${kind}`, needs, () => {
    let site: Site;

    beforeEach(async () => {
      site = await openSite();
    });
    afterEach(() => site?.world.close());

    test("every login and every form of the stream; each hub has a cascade of its own, so that none is a loop", async () => {
      const card = await makeCertificate(site.world, "card");
      const more = `[hub.${HUB}.user.guest]\nanonymous = true\n`;
      const far = await startServer(kind, site.server, {
        card: card.cert,
        more,
        allowPlaintext: true,
      });
      if (kind === "reference") {
        const target = ["localhost:5555", "/SERVER", `/ADMINHUB:${HUB}`];
        const create = "UserCreate guest /GROUP:none /REALNAME:none /NOTE:none";
        await vpncmd(site.server, target, [create, "UserAnonymousSet guest"]);
      }
      await startTinyproxy(site.server, { port: PROXY_PORT, connectPort: 5555 });
      // UDP is used after ten seconds of getting through: once is enough to wait for.
      const ways = WAYS.filter(({ becomes }) => kind === "reference" || !becomes.udpActive);
      const hubs = ways.map(({ hub, keys }) => hubText(site.left, hub, keys(site.left, card)));
      const near = await VpnServer.start(site.left, nearText(...hubs));
      for (const { hub, becomes } of ways) {
        const { session } = await waitStatus(near, "Online (Established)", { hub });
        let last: SessionView | undefined;
        await until(
          `${hub} as it was asked for`,
          async () => {
            last = await far.session(session!.name);
            return Object.entries(becomes).every(
              ([key, value]) => last?.[key as keyof SessionView] === value,
            );
          },
          { deadlineMs: 20_000, everyMs: 200, explain: () => JSON.stringify(last) },
        );
      }
    });

    test("what is refused is told with its number, and nothing of it stays", async () => {
      const far = await startServer(kind, site.server);
      const at = site.left;
      const wrong = secretFile(at, "wrong", "not it");
      const cascades: Record<string, [text: string, status: RegExp]> = {
        CERT: [
          linkText(at, `verify = "sha256:${"00".repeat(32)}"`),
          /^Error 85: The certificate of 10\.91\.1\.1:5555 /,
        ],
        SYSTEM: [linkText(at, 'verify = "system"'), /^Error 85: .*to trust it: verify = "sha256:/],
        WRONG: [
          `to = "${FAR}/${HUB}"\nuser = "${GOOD.user}"\npassword = "file:${wrong}"`,
          /^Error 9: The server refused the login$/,
        ],
        NOBODY: [linkText(at).replace(FAR, "10.91.1.1:1"), /^Error 1: /],
        SELF: [
          `to = "127.0.0.1:5555/SELF"\nuser = "${STATION.user}"\n` +
            `password = "file:${secretFile(at, STATION.user, STATION.password)}"`,
          /^Error 12: 127\.0\.0\.1:5555\/SELF is the very hub that this cascade begins at$/,
        ],
      };
      const hubs = Object.entries(cascades).map(([hub, [text]]) => hubText(at, hub, text));
      const near = await VpnServer.start(at, nearText(...hubs));
      for (const [hub, [, status]] of Object.entries(cascades)) {
        const found = await waitStatus(near, status, { hub });
        expect(found).toMatchObject({ state: "retrying", session: null, port: null });
      }
      expect(await far.users()).toEqual([]);
      await until("the end of the session with itself", async () =>
        (await near.snapshot()).hubs.every(({ sessions }) => sessions.length === 0),
      );
      // Once each, however often it was tried.
      const told = near.log.filter(({ event }) => event === "cascade_down");
      expect(told.map(({ hub }) => hub).sort()).toEqual(Object.keys(cascades).sort());
    });
  });
}
