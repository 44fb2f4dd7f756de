import { expect, test } from "bun:test";
import { describeSystem } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { SOFTETHER_PROGRAMS, SoftEtherServer } from "../support/softether.ts";
import { VpncmdError } from "../support/softether-daemon.ts";
import { GOOD, HUB, openSite, SERVER_FROM, startClient } from "../support/tunnel.ts";
import type { Implementation, Site } from "../support/tunnel.ts";

// A cluster of two real servers: the controller in the middle takes no sessions itself and sends clients on to its
// member on the right, which it has told the ticket (protocol.md 10).

const MEMBER = { address: "10.91.2.2", net: "10.91.2.0/24" };
const LEFT_NET = "10.91.1.0/24";

/** The controller and its member, with the hub and the user of GOOD. */
async function openCluster(site: Site): Promise<SoftEtherServer> {
  await site.server.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"]);
  await site.left.run(["ip", "route", "add", MEMBER.net, "via", SERVER_FROM.left]);
  await site.right.run(["ip", "route", "add", LEFT_NET, "via", SERVER_FROM.right]);
  const [controller, member] = await Promise.all([
    SoftEtherServer.start(site.server),
    SoftEtherServer.start(site.right),
  ]);
  await controller.command("ClusterSettingController /WEIGHT:100 /ONLY:yes");
  // It restarts itself for that, and refuses to make hubs of this kind before.
  await until("the controller", () => succeeds(controller, `HubCreateDynamic ${HUB} /PASSWORD:`), {
    deadlineMs: 20_000,
    everyMs: 300,
  });
  await controller.command(
    `Hub ${HUB}`,
    `UserCreate ${GOOD.user} /GROUP:none /REALNAME:none /NOTE:none`,
    `UserPasswordSet ${GOOD.user} "/PASSWORD:${GOOD.password}"`,
  );
  const join =
    `ClusterSettingMember ${SERVER_FROM.right}:5555 /IP:${MEMBER.address} /PORTS:5555 ` +
    "/PASSWORD: /WEIGHT:100";
  await member.command(join);
  const members = async () => (await controller.table("", "ClusterMemberList")).length === 2;
  await until("the member", members, { deadlineMs: 30_000, everyMs: 300 });
  return controller;
}

async function succeeds(server: SoftEtherServer, command: string): Promise<boolean> {
  try {
    await server.command(command);
    return true;
  } catch (error) {
    if (error instanceof VpncmdError) return false;
    throw error;
  }
}

describeSystem("redirect", SOFTETHER_PROGRAMS, () => {
  test.each(["reference", "ours"] satisfies Implementation[])(
    "a client of kind %s is sent on by a cluster's controller and logs in to its member",
    async (kind) => {
      await using site = await openSite();
      const controller = await openCluster(site);
      const client = await startClient(kind, site.left, SERVER_FROM.left, GOOD, { connections: 2 });
      await client.waitConnected(30_000);
      const { name } = await client.session();
      expect(name).toStartWith("SID-LEFT-");
      const sessions = await controller.table(HUB, "SessionList");
      expect(sessions.map((row) => row["Session Name"])).toEqual([name]);
      expect(sessions[0]!["Location"]).toContain("On");
      // The second connection goes to the member as well.
      await until("two connections", async () => (await client.session()).connections === 2);
      const peers = await site.left.run(["ss", "-Htn", "dst", `${MEMBER.address}:5555`]);
      expect(peers.stdout.trim().split("\n").length).toBe(2);
      await client.stop();
    },
    120_000,
  );
});
