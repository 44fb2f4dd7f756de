import { afterEach, beforeEach, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { describeSystem } from "../support/namespace.ts";
import { run, until } from "../support/process.ts";
import { SOFTETHER_PROGRAMS, SoftEtherServer } from "../support/softether.ts";
import { openSite, SERVER_FROM, type Site } from "../support/tunnel.ts";
import { vpn, VpnClient } from "../support/vpn.ts";

const HUB = "NAT";
const USER = "left";
const PASSWORD = "left-pass";
/** What SecureNAT is and gives unless told otherwise (hub.md 11.1). */
const ROUTER = "192.168.30.1";
const LEASE = /^192\.168\.30\.\d+\/24$/;

let site: Site;

/** A site whose server has a hub with SecureNAT. */
async function open(): Promise<void> {
  site = await openSite();
  const server = await SoftEtherServer.start(site.server);
  await server.createHub(HUB, { [USER]: PASSWORD });
  await server.command(`Hub ${HUB}`, "SecureNatEnable");
}

function connect(...flags: string[]): VpnClient {
  return VpnClient.start(site.left, {
    server: SERVER_FROM.left,
    hub: HUB,
    user: USER,
    password: PASSWORD,
    address: "dhcp",
    flags,
  });
}

function addressOf(client: VpnClient): Promise<string> {
  return until(
    "an address",
    async () => {
      const [status] = await client.status();
      return status?.addresses.find((address) => LEASE.test(address));
    },
    { deadlineMs: 20_000, explain: () => client.output() },
  );
}

async function pingRouter(): Promise<void> {
  const ping = await site.left.run(["ping", "-c", "3", "-i", "0.2", "-W", "2", ROUTER]);
  expect(ping.stdout).toMatch(/[1-3] received/);
}

describeSystem("our own DHCP client, at SecureNAT", SOFTETHER_PROGRAMS, () => {
  beforeEach(open);
  afterEach(() => site.world.close());

  test("takes a lease, the same the next time, and leaves nothing behind", async () => {
    const client = connect();
    await client.waitConnected();
    const address = await addressOf(client);
    expect(client.events).toContainEqual(
      expect.objectContaining({ event: "address", addresses: [address], from: "dhcp" }),
    );
    await pingRouter();
    expect(await client.stop("SIGINT")).toBe(130);
    const again = connect();
    await again.waitConnected();
    expect(await addressOf(again)).toBe(address);
    expect(await again.stop("SIGTERM")).toBe(0);
    expect(readdirSync(again.stateDir).sort()).toEqual(["installation", "macs"]);
  });
});

describeSystem(
  "the system's DHCP client, at SecureNAT",
  [...SOFTETHER_PROGRAMS, "dhclient"],
  () => {
    beforeEach(open);
    afterEach(() => site.world.close());

    test("sets the address, and ends with ours", async () => {
      const client = connect("--dhcp-client", "system");
      await client.waitConnected();
      await addressOf(client);
      await pingRouter();
      const done = await vpn(site.left, ["client", "disconnect", "--state-dir", client.stateDir]);
      expect([done.exitCode, done.stdout]).toEqual([0, "Disconnected tap0\n"]);
      await until("the end of all programs", async () => {
        const { stdout } = await run(["ip", "netns", "pids", site.left.netns]);
        return !client.alive && stdout === "";
      });
      expect(await site.left.hasDevice(client.device)).toBe(false);
      const files = readdirSync(client.stateDir);
      expect(files.filter((name) => name.startsWith("dhcp"))).toEqual([]);
    });
  },
);
