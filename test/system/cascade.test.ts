import { afterEach, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import type { CascadeStatus } from "../../src/cascade/cascade-status.ts";
import { makeCertificate } from "../support/certificate.ts";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { startTinyproxy } from "../support/proxies.ts";
import type { Certificate, SessionView } from "../support/session-options.ts";
import { SOFTETHER_PROGRAMS, vpncmd } from "../support/softether-daemon.ts";
import { neighbour, ping, transfer, waitPing } from "../support/transfer.ts";
import {
  ALSO_GOOD,
  CARD_HOLDER,
  dressClient,
  GOOD,
  HUB,
  type Implementation,
  INSIDE,
  openSite,
  plainMac,
  serverConfig,
  SERVER_FROM,
  type Site,
  startClient,
  startServer,
  type TunnelServer,
} from "../support/tunnel.ts";
import { deviceUse } from "../support/underlay.ts";
import { secretFile, VpnClient, VpnServer } from "../support/vpn.ts";

// Our hub dials out: near is a server of ours on the left with a station of its own, far the server in the middle,
// ours or the reference, with a client on the right.

const NEAR = "HOME";
const LINK = "far";
const STATION = { user: "station", password: "station pass" } as const;
const FAR = `${SERVER_FROM.left}:5555`;
const PROXY_PORT = 8888;
/** As many as a cascade has unless told otherwise. */
const CONNECTIONS = 8;

/** A hub with a station and perhaps with a cascade, whose keys are given as text. */
function hubText(at: Namespace, name: string, cascade: string, online = true): string {
  const password = secretFile(at, STATION.user, STATION.password);
  const table = cascade === "" ? "" : `[hub.${name}.cascade.${LINK}]\n${cascade}\n`;
  return [
    `[hub.${name}]\nonline = ${online}`,
    `[hub.${name}.user.${STATION.user}]\npassword = "file:${password}"`,
    table,
  ].join("\n");
}

const nearText = (...hubs: string[]) => ["[server]\nlisten = [5555]", ...hubs].join("\n");

/** Keys of the cascade that all tests begin with; `verify` is off where the reference's certificate is another one. */
function linkText(at: Namespace, ...more: string[]): string {
  const password = secretFile(at, "link", GOOD.password);
  return [
    `to = "${FAR}/${HUB}"`,
    `user = "${GOOD.user}"`,
    `password = "file:${password}"`,
    ...more,
  ].join("\n");
}

async function cascadeOf(near: VpnServer, hub = NEAR): Promise<CascadeStatus> {
  const finished = await near.command("cascade", "status", hub, LINK, "--json");
  if (finished.exitCode !== 0) throw new Error(finished.stderr);
  return JSON.parse(finished.stdout) as CascadeStatus;
}

/** Until the cascade says so. */
async function waitStatus(
  near: VpnServer,
  status: string | RegExp,
  { hub = NEAR, deadlineMs = 20_000 } = {},
): Promise<CascadeStatus> {
  let last: CascadeStatus | undefined;
  return until(
    `cascade of ${hub}: ${status}`,
    async () => {
      last = await cascadeOf(near, hub);
      const isSo = typeof status === "string" ? last.status === status : status.test(last.status);
      return isSo ? last : undefined;
    },
    {
      deadlineMs,
      everyMs: 100,
      explain: () => `${JSON.stringify(last)}\n${near.stderr.slice(-10).join("\n")}`,
    },
  );
}

/** A client of the near hub, in the near server's own namespace. */
async function startStation(near: VpnServer, address = "none"): Promise<VpnClient> {
  const client = VpnClient.start(near.at, {
    server: "127.0.0.1:5555",
    hub: NEAR,
    address,
    ...STATION,
  });
  await client.waitConnected();
  return client;
}

for (const kind of ["ours", "reference"] as const satisfies Implementation[]) {
  const needs = [...(kind === "ours" ? [] : SOFTETHER_PROGRAMS), "dnsmasq"];
  describeSystem(`our cascade to a server of ${kind}`, needs, () => {
    let site: Site;
    let far: TunnelServer;
    let near: VpnServer;

    const open = async (cascade: string) => {
      near = await VpnServer.start(site.left, nearText(hubText(site.left, NEAR, cascade)));
    };

    beforeEach(async () => {
      site = await openSite();
      far = await startServer(kind, site.server);
    });
    afterEach(() => site?.world.close());

    /** A station at either end with its addresses. */
    const dress = async () => {
      const station = await startStation(near);
      await site.left.address(station.device, `${INSIDE.left.ipv4}/24`, `${INSIDE.left.ipv6}/64`);
      const right = await startClient("ours", site.right, SERVER_FROM.right, ALSO_GOOD);
      await right.waitConnected();
      await dressClient(right, "right");
      return { station, right };
    };

    test("joins the hubs: ARP, neighbour discovery, multicast and TCP pass, and each end names the session as it should", async () => {
      await open(linkText(site.left));
      const up = await waitStatus(near, "Online (Established)");
      expect(up).toMatchObject({ online: true, state: "connected", server: FAR, hub: HUB });
      expect(up.port).toMatch(/^SID-LINK-\d+$/);
      expect(up.session?.name).toMatch(/^SID-LEFT-\d+$/);
      const { station, right } = await dress();

      await waitPing(site.left, station.device, INSIDE.right.ipv4);
      await waitPing(site.right, right.device, INSIDE.left.ipv4);
      await waitPing(site.right, right.device, INSIDE.left.ipv6);
      expect(await neighbour(site.left, station.device, INSIDE.right.ipv4)).toBe(
        await site.right.macOf(right.device),
      );
      const all = await site.left.run(["ping", "-c3", "-W2", `ff02::1%${station.device}`]);
      expect(all.stdout).toMatch(/(?:DUP!|, \+[1-9])/);
      const echoes = await ping(site.left, INSIDE.right.ipv4, { size: 1472, noFragment: true });
      expect(echoes.received).toBe(echoes.sent);
      for (const [from, to, address] of [
        [site.left, site.right, INSIDE.right.ipv4],
        [site.right, site.left, INSIDE.left.ipv4],
      ] as const) {
        const bytes = await transfer(from, to, address, 30_000_000);
        expect(bytes.received).toBe(bytes.sent);
      }

      // The far end's session is an ordinary one of bridge mode; this end's is listed as the server's own.
      const mac = plainMac(await site.left.macOf(station.device));
      expect((await far.macs()).find((row) => row.mac === mac)?.session).toBe(up.session!.name);
      const { hubs } = await near.snapshot();
      expect(hubs[0]?.innerSessions).toMatchObject([
        { name: up.port, kind: "cascade", user: "Cascade", host: "Virtual Host" },
      ]);
      const rightMac = plainMac(await site.right.macOf(right.device));
      const row = hubs[0]?.macTable.find((entry) => plainMac(entry.mac) === rightMac);
      expect(row?.session).toBe(up.port!);
      await until(
        "all connections of the link",
        async () => (await far.session(up.session!.name)).connections === CONNECTIONS,
        { deadlineMs: 15_000, everyMs: 200 },
      );
      const status = await near.command("cascade", "list");
      expect(status.stdout).toMatch(/HOME +far +Online \(Established\) +\d\d:\d\d:\d\d .* TEST/);

      // A MAC that moves from one site to the other is found there at once.
      const roaming = { mac: "5e:00:00:00:00:77", address: "10.92.0.77" };
      const appear = async (at: Namespace, device: string) => {
        const words = ["link", device, "address", roaming.mac, "type", "macvlan", "mode", "bridge"];
        await at.ip("link", "add", "roam", ...words);
        await at.address("roam", `${roaming.address}/32`);
      };
      await appear(site.left, station.device);
      await site.left.ip("route", "add", `${INSIDE.right.ipv4}/32`, "dev", "roam");
      await waitPing(site.left, "roam", INSIDE.right.ipv4);
      const whereFrom = async () =>
        (await far.macs()).find((entry) => entry.mac === plainMac(roaming.mac))?.session;
      expect(await whereFrom()).toBe(up.session!.name);
      await site.left.ip("link", "del", "roam");
      await appear(site.right, right.device);
      await site.right.ip("route", "add", `${INSIDE.left.ipv4}/32`, "dev", "roam");
      await waitPing(site.right, "roam", INSIDE.left.ipv4);
      expect(await whereFrom()).toMatch(/^SID-RIGHT-/);
      const { hubs: later } = await near.snapshot();
      const moved = later[0]?.macTable.find((e) => plainMac(e.mac) === plainMac(roaming.mac));
      expect(moved?.session).toBe(up.port!);
    });

    test("DHCP of one side serves the other, unless the link's policy stops it, which applies at once", async () => {
      await open(linkText(site.left, "policy = { dhcp_filter = true }"));
      const up = await waitStatus(near, "Online (Established)");
      const right = await startClient("ours", site.right, SERVER_FROM.right, ALSO_GOOD);
      await right.waitConnected();
      await dressClient(right, "right");
      const lease = `--dhcp-leasefile=${join(site.world.directory, "leases")}`;
      const range = "--dhcp-range=10.92.0.100,10.92.0.110,255.255.255.0,10m";
      const only = [`--interface=${right.device}`, "--bind-interfaces", "--port=0"];
      const words = ["-k", "--conf-file=/dev/null", "--pid-file=", range, lease, ...only];
      const dnsmasq = site.right.spawn(["dnsmasq", ...words, "--log-dhcp", "--log-facility=-"]);
      const station = await startStation(near, "dhcp");
      const filtered = async () => (await near.snapshot()).hubs[0]?.traffic.drops.dhcp_filter ?? 0;
      await until("a request that was stopped", async () => (await filtered()) > 0);
      await site.left.address(station.device, `${INSIDE.left.ipv4}/24`);
      await waitPing(site.left, station.device, INSIDE.right.ipv4);
      expect(dnsmasq.output()).not.toContain("DHCPDISCOVER");
      expect(station.events.some(({ event }) => event === "address")).toBe(false);

      await near.reload(nearText(hubText(site.left, NEAR, linkText(site.left))));
      await until(
        "a lease of the far side",
        () => station.events.find((entry) => entry.event === "address")?.addresses[0] !== undefined,
        { deadlineMs: 30_000, explain: () => `${station.output()}\n${dnsmasq.output()}` },
      );
      expect((await cascadeOf(near)).session?.name).toBe(up.session!.name);
    });

    test("comes back after the far server was started anew, and ends with its hub", async () => {
      await open(linkText(site.left));
      const first = await waitStatus(near, "Online (Established)");
      await far.stop();
      await waitStatus(near, /^Error \d+: /);
      await far.restart();
      // The first try after a loss comes 8 to 12 s later (hub.md 13).
      const second = await waitStatus(near, "Online (Established)", { deadlineMs: 40_000 });
      expect(second.established).toBe(first.established + 1);
      expect(second.port).not.toBe(first.port);

      await near.reload(nearText(hubText(site.left, NEAR, linkText(site.left), false)));
      expect(await cascadeOf(near)).toMatchObject({ status: "Offline (Stopped)", online: false });
      // The reference does not know the goodbye of ours, and waits for its time-out.
      if (kind === "reference") return;
      await until("the end of the session there", async () => (await far.users()).length === 0);
    });
  });
}

for (const kind of ["ours", "reference"] as const satisfies Implementation[]) {
  const needs = kind === "ours" ? [] : SOFTETHER_PROGRAMS;
  describeSystem(`two cascades between the same hubs, ours and one of ${kind}`, needs, () => {
    let site: Site;
    beforeEach(async () => {
      site = await openSite();
    });
    afterEach(() => site?.world.close());

    test("FR-17 one end of the loop is shut and named, and the other way goes on", async () => {
      const far =
        kind === "ours" ? await VpnServer.start(site.server, serverConfig(site.server)) : undefined;
      if (far === undefined) await startServer("reference", site.server);
      const password = secretFile(site.left, "second", ALSO_GOOD.password);
      const second = [
        `[hub.${NEAR}.cascade.second]\nto = "${FAR}/${HUB}"`,
        `user = "${ALSO_GOOD.user}"\npassword = "file:${password}"`,
      ];
      const links = [linkText(site.left), ...second].join("\n");
      const near = await VpnServer.start(site.left, nearText(hubText(site.left, NEAR, links)));
      await waitStatus(near, "Online (Established)");
      // Whose probe comes round first is chance.
      const found = await until(
        "a loop that was found",
        () => [...near.log, ...(far?.log ?? [])].find(({ event }) => event === "loop_found"),
        { deadlineMs: 20_000, explain: () => near.stderr.join("\n") },
      );
      expect(String(found["port"])).toMatch(/^SID-(?:LINK|LEFT|RIGHT)-\d+$/);

      const station = await startStation(near);
      await site.left.address(station.device, `${INSIDE.left.ipv4}/24`);
      const right = await startClient("ours", site.right, SERVER_FROM.right, ALSO_GOOD);
      await right.waitConnected();
      await dressClient(right, "right");
      await waitPing(site.left, station.device, INSIDE.right.ipv4);
      const before = await deviceUse(site.right, right.device);
      const echoes = await ping(site.left, INSIDE.right.ipv4, { count: 50 });
      expect(echoes.received).toBe(echoes.sent);
      const after = await deviceUse(site.right, right.device);
      // A storm would fill the way.
      expect(after.received - before.received).toBeLessThan(1_000_000);
    });
  });
}

describeSystem("vpn cascade", [], () => {
  let site: Site;
  beforeEach(async () => {
    site = await openSite();
  });
  afterEach(() => site?.world.close());

  test("puts a cascade offline and online, over a restart of the server, too, until its table in the file changes", async () => {
    const far = await startServer("ours", site.server);
    const at = site.left;
    const near = await VpnServer.start(at, nearText(hubText(at, NEAR, linkText(at))));
    await waitStatus(near, "Online (Established)");
    const stopped = await near.command("cascade", "offline", NEAR, LINK);
    expect(stopped.stdout).toContain("Offline (Stopped)");
    await until("the end of the session there", async () => (await far.users()).length === 0);
    await near.stop();
    await near.restart();
    expect((await cascadeOf(near)).status).toBe("Offline (Stopped)");
    await near.command("cascade", "online", NEAR, LINK);
    await waitStatus(near, "Online (Established)");

    await near.command("cascade", "offline", NEAR.toLowerCase(), LINK.toUpperCase());
    await near.reload(nearText(hubText(at, NEAR, linkText(at, "connections = 2"))));
    await waitStatus(near, "Online (Established)");
    const unknown = await near.command("cascade", "offline", NEAR, "nowhere");
    expect(unknown.stderr).toContain('The hub has no cascade "nowhere" (it has far)');
    expect(unknown.exitCode).toBe(64);
  });
});

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
