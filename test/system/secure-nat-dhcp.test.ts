import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { join } from "node:path";
import { DHCP_PROGRAMS, DhcpProgramClient } from "../support/dhcp-programs.ts";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { NAT, NatWorld, UNDERLAY } from "../support/nat-world.ts";
import { until } from "../support/process.ts";
import { SOFTETHER_PROGRAMS } from "../support/softether.ts";
import { HUB } from "../support/tunnel-server.ts";
import { secretFile, VpnClient, type VpnServer } from "../support/vpn.ts";

// The virtual DHCP server of the built binary, asked by the clients that systems have.

const MANY_HOSTS = join(import.meta.dir, "../support/many-hosts.py");
const FULL = `dhcp = { domain = "guest.example", ntp = ["192.168.30.1"], routes = [{ to = "10.0.0.0/8", via = "192.168.30.4" }] }`;
const ROUTES = {
  dhclient: "8 10 192 168 30 4 0 192 168 30 1",
  udhcpc: "10.0.0.0/8 192.168.30.4 0.0.0.0/0 192.168.30.1",
  dhcpcd: "10.0.0.0/8 192.168.30.4 0.0.0.0/0 192.168.30.1",
} as const;

interface ShownLease {
  readonly address: string;
  readonly mac: string;
  readonly hostName: string;
  readonly origin: string;
  readonly leased: string;
  readonly expires: string | null;
}

async function leases(server: VpnServer): Promise<ShownLease[]> {
  const shown = await server.command("nat", "leases", HUB, "--json");
  if (shown.exitCode !== 0) throw new Error(shown.stderr);
  return JSON.parse(shown.stdout) as ShownLease[];
}

const addresses = async (server: VpnServer) =>
  (await leases(server)).map(({ address }) => address).sort();

const FIXED = { hub: HUB, user: "fixed", password: "fixed-pass" } as const;

/** The table of FIXED, who has an address of his own. */
function fixedUser({ server }: NatWorld): string {
  const password = secretFile(server, FIXED.user, FIXED.password);
  const table = `[hub.${HUB}.user.${FIXED.user}]`;
  const settings = ['address = "192.168.30.240"', 'policy = { timeout = "5s" }'];
  return [table, `password = "file:${password}"`, ...settings].join("\n");
}

async function reaches(guest: Namespace, target: string): Promise<boolean> {
  return (await guest.run(["ping", "-nc1", "-W2", target])).exitCode === 0;
}

/** Until that many leases are on the disk. */
function waitKept(server: VpnServer, count: number): Promise<boolean> {
  return until(`${count} leases in state.db`, () => {
    using database = new Database(join(server.stateDir, "state.db"), { readonly: true });
    return database.query("SELECT * FROM lease").all().length === count;
  });
}

describeSystem("DHCP of SecureNAT", [...DHCP_PROGRAMS, ...SOFTETHER_PROGRAMS, "perfdhcp"], () => {
  for (const program of DHCP_PROGRAMS) {
    test(`${program} gets a lease with all that goes with it, and the same one again`, async () => {
      await using nat = await NatWorld.open();
      const server = await nat.start(FULL);
      const client = DhcpProgramClient.start(program, nat.guest, "eth0");
      const granted = await client.waitGranted();
      expect(granted).toEqual({
        address: "192.168.30.10",
        mask: "255.255.255.0",
        router: NAT.host,
        dns: NAT.host,
        domain: "guest.example",
        ntp: NAT.host,
        routes: ROUTES[program],
        leaseSeconds: "7200",
        server: NAT.host,
      });
      expect(await reaches(nat.guest, NAT.host)).toBe(true);
      expect(await leases(server)).toMatchObject([
        {
          address: granted.address,
          mac: await nat.guest.macOf("eth0"),
          hostName: `${program}-eth0`,
          origin: "pool",
        },
      ]);
      // Gone without a word, and back: by INIT-REBOOT where the program knows its old lease.
      await client.stop("SIGKILL");
      const again = DhcpProgramClient.start(program, nat.guest, "eth0");
      expect((await again.waitGranted()).address).toBe(granted.address);
    });
  }

  test("udhcpc renews when it is told to, and gives its lease back", async () => {
    await using nat = await NatWorld.open();
    const server = await nat.start();
    const client = DhcpProgramClient.start("udhcpc", nat.guest, "eth0");
    await client.waitGranted();
    const [before] = await leases(server);
    process.kill(client.pid, "SIGUSR1");
    expect((await client.waitGranted(2)).address).toBe("192.168.30.10");
    expect(Date.parse((await leases(server))[0]!.expires!)).toBeGreaterThan(
      Date.parse(before!.expires!),
    );
    process.kill(client.pid, "SIGUSR2");
    await until("the end of the lease", async () => (await leases(server)).length === 0);
    expect(server.log.map(({ event }) => event)).toContain("nat_lease_released");
  });

  test("leases outlive the server, also where it is killed, and nobody else gets them", async () => {
    await using nat = await NatWorld.open({ guests: 3 });
    const server = await nat.start();
    const first = DhcpProgramClient.start("udhcpc", nat.guests[0]!, "eth0");
    await first.waitGranted();
    const [before] = await leases(server);
    await server.stop();
    await server.restart();
    const [after] = await leases(server);
    expect({ ...after, expires: "", leased: "" }).toEqual({ ...before!, expires: "", leased: "" });
    // The clock of a program is not the clock on the wall, to the millisecond.
    expect(Math.abs(Date.parse(after!.expires!) - Date.parse(before!.expires!))).toBeLessThan(1000);
    await DhcpProgramClient.start("udhcpc", nat.guests[1]!, "eth0").waitGranted();
    await waitKept(server, 2);
    await server.kill();
    await server.restart();
    expect(await addresses(server)).toEqual(["192.168.30.10", "192.168.30.11"]);
    const third = DhcpProgramClient.start("udhcpc", nat.guests[2]!, "eth0");
    expect((await third.waitGranted()).address).toBe("192.168.30.12");
  });

  test("an address that somebody has taken by hand is passed over", async () => {
    await using nat = await NatWorld.open({ guests: 2 });
    const server = await nat.start();
    await nat.guests[1]!.address("eth0", "192.168.30.10/24");
    const client = DhcpProgramClient.start("udhcpc", nat.guests[0]!, "eth0");
    expect((await client.waitGranted()).address).toBe("192.168.30.11");
    await server.waitLog("nat_address_in_use", { address: "192.168.30.10" });
  });

  test("a MAC has the address that the settings give it, in the pool or outside, and nobody else", async () => {
    await using nat = await NatWorld.open({ guests: 3 });
    const macs = await Promise.all(nat.guests.map((guest) => guest.macOf("eth0")));
    const fixed = `"${macs[0]}" = "192.168.30.10", "${macs[1]}" = "192.168.30.250"`;
    const server = await nat.start(`dhcp = { static = { ${fixed} } }`);
    const got: string[] = [];
    for (const guest of nat.guests.toReversed()) {
      got.push((await DhcpProgramClient.start("udhcpc", guest, "eth0").waitGranted()).address);
    }
    expect(got).toEqual(["192.168.30.11", "192.168.30.250", "192.168.30.10"]);
    expect((await leases(server)).map(({ origin }) => origin).sort()).toEqual([
      "pool",
      "static",
      "static",
    ]);
  });

  test("a user has his address while his session lasts", async () => {
    await using nat = await NatWorld.open({ far: true });
    const server = await nat.start("", fixedUser(nat));
    const to = { server: `${UNDERLAY.server}:5555`, address: "dhcp" };
    const client = VpnClient.start(nat.far, { ...to, ...FIXED });
    await client.waitConnected();
    await until("the address of the user", async () => {
      const shown = await nat.far.ip("-4", "-o", "addr", "show", "dev", client.device);
      return shown.stdout.includes(" 192.168.30.240/24 ");
    });
    expect(await leases(server)).toMatchObject([{ address: "192.168.30.240", origin: "user" }]);
    expect(await reaches(nat.far, NAT.host)).toBe(true);
    await client.stop();
    await until("the end of the lease", async () => (await leases(server)).length === 0);
  });

  test("behind the real vpnclient a host gets a lease of the pool, or the address of its user", async () => {
    await using nat = await NatWorld.open({ far: true });
    const server = await nat.start("", fixedUser(nat));
    const client = await nat.connectFar("reference");
    const asked = DhcpProgramClient.start("dhclient", nat.far, client.device);
    expect((await asked.waitGranted()).address).toBe("192.168.30.10");
    expect(await reaches(nat.far, NAT.host)).toBe(true);
    expect(await leases(server)).toMatchObject([{ mac: await nat.far.macOf(client.device) }]);
    await asked.stop("SIGKILL");
    await client.reconnect({}, FIXED);
    await client.waitConnected();
    // A lease of the pool is not tied to a session, but who has an address of his own gets no other.
    expect(await addresses(server)).toEqual(["192.168.30.10"]);
    const again = DhcpProgramClient.start("dhclient", nat.far, client.device);
    expect((await again.waitGranted()).address).toBe("192.168.30.240");
    expect(await leases(server)).toMatchObject([{ address: "192.168.30.240", origin: "user" }]);
    await again.stop("SIGKILL");
    await client.stop();
    // That client leaves without a word: its session ends when it has been silent for long enough.
    await until("the end of the lease", async () => (await leases(server)).length === 0, {
      deadlineMs: 30_000,
    });
  });

  test("perfdhcp gets 500 new leases a second, none of them wrong", async () => {
    await using nat = await NatWorld.open();
    const pool = 'dhcp = { range = "10.60.1.0-10.60.235.95" }';
    const server = await nat.start(`address = "10.60.0.1/16"\n${pool}`);
    const hosts = nat.guest.spawn(["python3", MANY_HOSTS, "eth0", "127.0.0.2"]);
    await until("the hosts", () => hosts.lines.stdout.includes("ready"), {
      explain: () => hosts.output(),
    });
    // -u: no address twice. It sends nothing again: on a busy machine its own socket may lose some of the answers.
    const load = ["-4", "-u", "-r", "500", "-n", "1500", "-R", "60000", "-W", "1000000"];
    const perfdhcp = ["perfdhcp", ...load, "-l", "127.0.0.1", "127.0.0.2"];
    const { stdout, stderr } = await nat.guest.run(perfdhcp, { deadlineMs: 40_000 });
    const shown = (what: string) =>
      [...stdout.matchAll(new RegExp(`^${what}: (\\d+)$`, "gm"))].map(([, value]) => Number(value));
    expect(stderr).toBe("");
    expect(shown("rejected leases")).toEqual([0, 0]);
    expect(shown("non unique addresses")).toEqual([0, 0]);
    const [offers = 0, acks = 0] = shown("received packets");
    expect(Math.min(offers, acks)).toBeGreaterThan(1200);
    const given = await leases(server);
    expect(given.length).toBeGreaterThanOrEqual(acks);
    expect(new Set(given.map(({ address }) => address)).size).toBe(given.length);
    expect(new Set(given.map(({ mac }) => mac)).size).toBe(given.length);
    // Written behind their back, all of them.
    expect(await waitKept(server, given.length)).toBe(true);
  });
});
