import { expect, test } from "bun:test";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { ArrayPort } from "../support/array-port.ts";
import { hub, serverConfig, TestServer, user, USERS } from "../support/test-server.ts";
import { BROADCAST } from "../hub/frames.ts";
import { drop, user as named } from "../hub/access/access-world.ts";
import { bytesOf, FRAME } from "../hub/access/reference.ts";

test("a reload applies another access list to sessions that are there, and says so", async () => {
  const withRules = (access: ReturnType<typeof drop>[]) =>
    serverConfig({ hubs: [hub("VPN", USERS, { access })] });
  await using at = await TestServer.start({ hubs: [hub("VPN", USERS)] });
  const host = at.server.hubs.get("vpn")!;
  const [bridge, link] = (["local-bridge", "cascade"] as const).map((kind) => {
    const cable = new ArrayPort(kind);
    host.plugInner(cable, { kind, policy: DEFAULT_POLICY });
    return cable;
  });
  const hello = bytesOf({ ...FRAME, toMac: BROADCAST });
  bridge!.send(hello);
  expect(link!.take()).toEqual([hello]);
  expect(await at.server.reload(withRules([drop({ fromUser: named("Local Bridge") })]))).toEqual([
    "hub.VPN changed: access",
  ]);
  bridge!.send(hello);
  expect(link!.take()).toEqual([]);
  await at.server.reload(withRules([]));
  bridge!.send(hello);
  expect(link!.take()).toEqual([hello]);
});

test("a reload that puts a user into another group says so to his session's port", async () => {
  const groups = ["staff", "guests"].map((name) => ({
    name,
    fullName: "",
    note: "",
    policy: undefined,
  }));
  const inGroup = (group: string | undefined) =>
    hub("VPN", [user("alice", "wonderland", { group })], { groups });
  await using at = await TestServer.start({ hubs: [inGroup("staff")] });
  await at.session();
  const [port] = at.server.hubs.get("vpn")!.hub.ports;
  expect(port!.group).toBe("staff");
  for (const group of ["guests", undefined]) {
    await at.server.reload(serverConfig({ hubs: [inGroup(group)] }));
    expect(port!.group).toBe(group);
  }
});
