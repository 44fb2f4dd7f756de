import { expect, test } from "bun:test";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { SOFTETHER_PROGRAMS, SoftEtherClient } from "../support/softether.ts";
import { startOurs, startReference, TABLE_PASSWORD } from "../support/table-servers.ts";
import { HUB, openSite, SERVER_FROM } from "../support/tunnel.ts";
import { secretFile, VpnClient, VpnServer } from "../support/vpn.ts";

// Hosts that get an address, and hosts that come back to theirs.

for (const kind of ["ours", "reference"] as const) {
  const needs = kind === "ours" ? [] : SOFTETHER_PROGRAMS;
  describeSystem(`leases on the server ${kind}`, ["dnsmasq", ...needs], () => {
    test("DHCPForce lets a host use what a DHCP server gave it, and nothing else", async () => {
      await using site = await openSite();
      const server = await (kind === "ours" ? startOurs(site.server) : startReference(site.server));
      const login = (user: string) => ({ hub: HUB, user, password: TABLE_PASSWORD });
      const office = VpnClient.start(site.right, {
        ...login("free"),
        server: `${SERVER_FROM.right}:5555`,
        mode: "bridge",
      });
      await office.waitConnected();
      await site.right.address(office.device, "192.168.93.1/24");
      const dnsmasq = site.right.spawn([
        "dnsmasq",
        "-k",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--port=0",
        `--interface=${office.device}`,
        "--bind-interfaces",
        "--dhcp-range=192.168.93.100,192.168.93.100,255.255.255.0,2m",
        "--dhcp-authoritative",
        "--no-ping",
        `--dhcp-leasefile=${site.world.directory}/leases`,
        "--log-facility=-",
      ]);
      const desk = VpnClient.start(site.left, {
        ...login("forced"),
        server: `${SERVER_FROM.left}:5555`,
        address: "dhcp",
      });
      await desk.waitConnected();
      const reaches = async (source: string, tries: number) =>
        (
          await site.left.run([
            "ping",
            "-c",
            String(tries),
            "-i",
            "0.3",
            "-W",
            "1",
            "-I",
            source,
            "192.168.93.1",
          ])
        ).exitCode === 0;
      await until("a leased address", async () => reaches("192.168.93.100", 1), {
        deadlineMs: 25_000,
        everyMs: 200,
        explain: () => `${desk.output()}\n${dnsmasq.output()}`,
      });
      await site.left.address(desk.device, "192.168.93.77/24");
      expect(await reaches("192.168.93.77", 3)).toBe(false);
      expect(await reaches("192.168.93.100", 3)).toBe(true);
      const { ips } = await server.tables();
      expect(ips.filter((row) => row.includes("192.168.93."))).toEqual([
        "forced 192.168.93.100 (DHCP)",
        "free 192.168.93.1",
      ]);
      expect([await desk.stop(), await office.stop()]).toEqual([130, 130]);
    });
  });
}

describeSystem("a client that comes back", SOFTETHER_PROGRAMS, () => {
  test.each(["ours", "reference"] as const)(
    "%s has its MAC and its address at once, though its old session lingers",
    async (kind) => {
      await using site = await openSite();
      const password = `password = "file:${secretFile(site.server, "all", TABLE_PASSWORD)}"`;
      const policy =
        'policy = { check_mac = true, check_ip = true, check_ipv6 = true, timeout = "60s" }';
      const config = ["[server]", "listen = [5555]", `[hub.${HUB}]`].join("\n");
      const users = ["free", "desk"].map(
        (user) => `[hub.${HUB}.user.${user}]\n${password}\n${policy}`,
      );
      const server = await VpnServer.start(site.server, [config, ...users].join("\n"));
      const login = { hub: HUB, password: TABLE_PASSWORD };
      const peer = VpnClient.start(site.right, {
        ...login,
        user: "free",
        server: `${SERVER_FROM.right}:5555`,
      });
      await peer.waitConnected();
      await site.right.address(peer.device, "192.168.93.1/24");
      const desk = { ...login, user: "desk", server: `${SERVER_FROM.left}:5555` };
      const client = await (kind === "ours"
        ? ourDesk(site.left, desk)
        : theirDesk(site.left, desk));
      const reached = async () => {
        await site.left.address(client.device, "192.168.93.2/24");
        const ping = ["ping", "-c", "1", "-W", "1", "192.168.93.1"];
        await until("an answer", async () => (await site.left.run(ping)).exitCode === 0, {
          deadlineMs: 20_000,
          everyMs: 100,
        });
      };
      await reached();
      await client.comeBack();
      await reached();
      const station = await site.left.macOf(client.device);
      const { sessions, macTable, ipTable } = (await server.snapshot()).hubs[0]!;
      const [before, after] = sessions.filter(({ user }) => user === "desk");
      expect(after?.traffic.drops).toEqual({});
      expect(macTable.find(({ mac: one }) => one === station)?.session).toBe(after!.name);
      expect(ipTable.find(({ address }) => address === "192.168.93.2")?.session).toBe(after!.name);
      expect(before!.name).not.toBe(after!.name);
    },
  );
});

interface Desk {
  readonly device: string;
  /** Ends its session without a word to the server, and begins another. */
  comeBack(): Promise<void>;
}

interface DeskLogin {
  readonly server: string;
  readonly hub: string;
  readonly user: string;
  readonly password: string;
}

async function ourDesk(at: Namespace, login: DeskLogin): Promise<Desk> {
  const start = async () => {
    const client = VpnClient.start(at, login);
    await client.waitConnected();
    return client;
  };
  const first = await start();
  return {
    device: first.device,
    comeBack: async () => {
      await first.kill();
      await start();
    },
  };
}

async function theirDesk(at: Namespace, login: DeskLogin): Promise<Desk> {
  const client = await SoftEtherClient.start(at);
  await client.connect({ ...login, password: `"${login.password}"` });
  await client.waitConnected();
  return {
    device: client.device,
    comeBack: async () => {
      // Its id is another one in each process.
      await client.command("AccountDisconnect a");
      await client.command("AccountConnect a");
      await client.waitConnected();
    },
  };
}
