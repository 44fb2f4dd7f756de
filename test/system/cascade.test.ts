import { afterEach, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import {
  cascadeOf,
  FAR,
  hubText,
  LINK,
  linkText,
  NEAR,
  nearText,
  startStation,
  waitStatus,
} from "../support/cascade.ts";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { SOFTETHER_PROGRAMS } from "../support/softether.ts";
import { neighbour, ping, transfer, waitPing } from "../support/transfer.ts";
import {
  ALSO_GOOD,
  dressClient,
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
import { secretFile, VpnServer } from "../support/vpn.ts";

/** As many as a cascade has unless told otherwise. */
const CONNECTIONS = 8;

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
