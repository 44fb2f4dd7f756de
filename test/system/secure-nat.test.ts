import { afterEach, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type {
  LeaseSnapshot,
  NatEntrySnapshot,
  NatSnapshot,
} from "../../src/server/nat-snapshot.ts";
import { DhcpProgramClient } from "../support/dhcp-programs.ts";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { NAT, NatWorld, OUTSIDE } from "../support/nat-world.ts";
import { run, type Running, until } from "../support/process.ts";
import { SOFTETHER_PROGRAMS } from "../support/softether.ts";
import { startClient, type TunnelClient } from "../support/tunnel-client.ts";
import { type Credentials, GOOD, HUB, type Implementation } from "../support/tunnel-server.ts";
import { secretFile, VpnClient, type VpnServer } from "../support/vpn.ts";

// SecureNAT as its users and its operators meet it: clients and servers of both kinds, commands, reload, the end.

/** What the far guest connects to, see NatWorld. */
const SERVER = "10.93.1.1";
/** A user with an address of his own. */
const FIXED: Credentials = { hub: HUB, user: "fixed", password: "fixed pass" };
const FIXED_ADDRESS = "192.168.30.240";
const PROGRAMS = [...SOFTETHER_PROGRAMS, "dhclient", "curl", "python3"];
const KEEP_ASKING = join(import.meta.dir, "../support/keep-asking.py");

let nat: NatWorld;
afterEach(() => nat?.[Symbol.asyncDispose]());

async function open(): Promise<void> {
  nat = await NatWorld.open({ guests: 0, far: true });
  await nat.serveWeb();
}

async function startOurs(secureNat = ""): Promise<VpnServer> {
  return nat.start(secureNat, fixedUser());
}

function fixedUser(): string {
  const password = secretFile(nat.server, FIXED.user, FIXED.password);
  return `[hub.${HUB}.user.${FIXED.user}]\npassword = "file:${password}"\naddress = "${FIXED_ADDRESS}"\n`;
}

/** Answers of `vpn nat`. */
async function ask<T>(server: VpnServer, ...args: string[]): Promise<T> {
  const { exitCode, stdout, stderr } = await server.command("nat", ...args, "--json");
  if (exitCode !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as T;
}
const leasesOf = (server: VpnServer) => ask<LeaseSnapshot[]>(server, "leases", HUB);
const entriesOf = (server: VpnServer) => ask<NatEntrySnapshot[]>(server, "table", HUB);
const statusOf = (server: VpnServer) => ask<NatSnapshot>(server, "status", HUB);

async function pingsHost(at: Namespace): Promise<void> {
  const ping = await at.run(["ping", "-nc3", "-i0.2", "-W2", NAT.host]);
  expect(ping.stdout).toMatch(/ [1-3] received/);
}

/** Who asks, as a web server outside sees it. */
async function seenAs(at: Namespace): Promise<string> {
  const { stdout } = await at.check(["curl", "-sS", "--max-time", "20", `http://${OUTSIDE.inet}/`]);
  return stdout.trim().replace("::ffff:", "");
}

/** A client of the far guest, with a lease by the system's DHCP client. */
async function lease(kind: Implementation, as = GOOD): Promise<[TunnelClient, DhcpProgramClient]> {
  const client = await startClient(kind, nat.far, SERVER, as);
  await client.waitConnected();
  const dhcp = DhcpProgramClient.start("dhclient", nat.far, client.device);
  await dhcp.waitGranted();
  return [client, dhcp];
}

/** A connection through NAT over which something passes all the time; it prints a line for each answer. */
function keepAsking(at: Namespace): Running {
  return at.spawn(["python3", KEEP_ASKING, OUTSIDE.inet]);
}

const answered = (asking: Running, times: number) =>
  until(
    "an answer",
    () => {
      if (!asking.alive) throw new Error(`the connection has ended\n${asking.output()}`);
      return asking.lines.stdout.length >= times;
    },
    { deadlineMs: 20_000 },
  );

describeSystem("SecureNAT of our server", PROGRAMS, () => {
  test.each(["reference", "ours"] as const)("serves a client of kind %s", async (kind) => {
    await open();
    const server = await startOurs();
    const [, dhcp] = await lease(kind);
    const [granted] = dhcp.grants;
    expect(granted).toMatchObject({
      address: "192.168.30.10",
      mask: "255.255.255.0",
      router: NAT.host,
      dns: NAT.host,
      leaseSeconds: "7200",
      server: NAT.host,
    });
    await pingsHost(nat.far);
    expect(await seenAs(nat.far)).toBe(OUTSIDE.server);
    expect(await leasesOf(server)).toMatchObject([{ address: "192.168.30.10", origin: "pool" }]);
    const hub = (await server.snapshot()).hubs.find(({ name }) => name === HUB)!;
    expect(hub.innerSessions).toMatchObject([
      { name: "SID-SECURENAT-1", user: "SecureNAT", host: "Virtual Host" },
    ]);
    const { mac, traffic } = await statusOf(server);
    expect(traffic).toMatchObject({ leases: 1 });
    expect(hub.macTable).toContainEqual(
      expect.objectContaining({ mac, session: "SID-SECURENAT-1" }),
    );
  });

  test("tells its entries and leases, and ends them when told to", async () => {
    await open();
    const server = await startOurs();
    await lease("ours");
    const asking = keepAsking(nat.far);
    const entry = await until("a NAT entry", async () => (await entriesOf(server))[0]);
    expect(entry).toMatchObject({
      protocol: "tcp",
      inner: "192.168.30.10",
      outer: OUTSIDE.inet,
      outerPort: 80,
    });
    const shown = await server.command("nat", "table", HUB);
    expect(shown.stdout).toMatch(/^ *\d+ +tcp +192\.168\.30\.10:\d+ +203\.0\.113\.2:80 /m);
    expect((await server.command("nat", "delete", HUB, String(entry.id))).stdout).toBe(
      `Deleted NAT entry ${entry.id} from hub ${HUB}\n`,
    );
    expect(await asking.ended(10_000)).toBe(1);
    expect(asking.output()).toMatch(/ConnectionResetError|closed/);
    expect(await entriesOf(server)).toEqual([]);
    const again = await server.command("nat", "delete", HUB, String(entry.id));
    expect([again.exitCode, again.stderr]).toEqual([
      69,
      expect.stringContaining(`SecureNAT of hub ${HUB} has no NAT entry ${entry.id}`),
    ]);
    expect((await server.command("nat", "leases", HUB)).stdout).toMatch(/^192\.168\.30\.10 /m);
    await ask(server, "delete", HUB, "192.168.30.10");
    expect(await leasesOf(server)).toEqual([]);
    const events = new Set(server.log.map(({ event }) => event));
    for (const event of [
      "nat_started",
      "nat_lease_given",
      "nat_entry_created",
      "nat_entry_deleted",
    ])
      expect(events).toContain(event);
  });

  test("gives a user the address that his table names, until his session ends", async () => {
    await open();
    const server = await startOurs();
    const [client, dhcp] = await lease("ours", FIXED);
    expect(dhcp.grants[0]?.address).toBe(FIXED_ADDRESS);
    expect(await leasesOf(server)).toMatchObject([{ address: FIXED_ADDRESS, origin: "user" }]);
    await dhcp.stop("SIGKILL");
    await client.stop();
    await until("the end of the lease", async () => (await leasesOf(server)).length === 0);
  });

  test("a reload changes the pool, and a running connection goes on", async () => {
    await open();
    const server = await startOurs();
    const [client, dhcp] = await lease("ours");
    const asking = keepAsking(nat.far);
    await answered(asking, 1);
    const before = await until("a NAT entry", async () => (await entriesOf(server))[0]);
    const config = (range: string) => nat.config(`dhcp.range = "${range}"`, fixedUser());
    await server.reload(config("192.168.30.100-192.168.30.110"));
    expect((await statusOf(server)).dhcp).toMatchObject({ first: "192.168.30.100" });
    expect((await entriesOf(server)).map(({ id }) => id)).toContain(before.id);
    await answered(asking, asking.lines.stdout.length + 3);
    // What a host has stays its own until the lease ends (robustness.md DH-14), or is taken back.
    expect(await leasesOf(server)).toMatchObject([{ address: "192.168.30.10" }]);
    await ask(server, "delete", HUB, "192.168.30.10");
    await dhcp.stop("SIGKILL");
    const next = DhcpProgramClient.start("dhclient", nat.far, client.device, "anew");
    expect(await next.waitGranted()).toMatchObject({ address: "192.168.30.100" });
  });

  test("leaves nothing behind when the server ends, and keeps who it was", async () => {
    await open();
    const server = await startOurs();
    await lease("ours");
    const { mac } = await statusOf(server);
    const asking = keepAsking(nat.far);
    await until("a NAT entry", async () => (await entriesOf(server))[0]);
    await server.stop();
    expect(await asking.ended(20_000)).toBe(1);
    expect((await run(["ip", "netns", "pids", nat.server.netns])).stdout).toBe("");
    const sockets = await nat.server.check(["ss", "-Htan", "state", "established"]);
    expect(sockets.stdout).toBe("");
    expect(
      readdirSync(server.stateDir).filter(
        (name) =>
          !/^(?:state\.db|tls\.|log$|lock$|secret\.key$|security_log$|packet_log$|server_log$)/.test(
            name,
          ),
      ),
    ).toEqual([]);
    await server.restart();
    expect(await statusOf(server)).toMatchObject({ mac });
    expect(await leasesOf(server)).toMatchObject([{ address: "192.168.30.10" }]);
  });
});

describeSystem("SecureNAT in the kernel", ["curl", "nft"], () => {
  test("is told of and made again where its device was deleted", async () => {
    nat = await NatWorld.open();
    await nat.serveWeb();
    const server = await nat.start('nat = "kernel"');
    await nat.dress();
    expect(await seenAs(nat.guest)).toBe(OUTSIDE.server);
    const { stdout } = await nat.server.ip("-br", "link", "show", "type", "tun");
    await nat.server.ip("link", "delete", stdout.split(" ")[0]!);
    await server.waitLog("nat_error");
    expect(await statusOf(server)).toMatchObject({ status: "error", nat: "kernel" });
    await until("it again", async () => (await statusOf(server)).status === "operating");
    await nat.dress();
    expect(await seenAs(nat.guest)).toBe(OUTSIDE.server);
  });
});

describeSystem("our client behind SecureNAT of the reference", PROGRAMS, () => {
  test("takes a lease and reaches what lies outside", async () => {
    await open();
    await nat.startReference();
    const client = VpnClient.start(nat.far, { server: `${SERVER}:5555`, ...GOOD, address: "dhcp" });
    await client.waitConnected();
    await until("an address", () => client.events.some(({ event }) => event === "address"));
    await pingsHost(nat.far);
    await nat.far.ip("route", "replace", OUTSIDE.inet, "via", NAT.host, "dev", client.device);
    expect(await seenAs(nat.far)).toBe(OUTSIDE.server);
    await client.stop();
  });
});
