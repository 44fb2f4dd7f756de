import { expect, test } from "bun:test";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { ArrayPort } from "../support/array-port.ts";
import { hub, serverConfig, TestServer, USERS } from "../support/test-server.ts";
import { BROADCAST } from "../hub/frames.ts";
import { drop, user } from "../hub/access/access-world.ts";
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
  expect(await at.server.reload(withRules([drop({ fromUser: user("Local Bridge") })]))).toEqual([
    "hub.VPN changed: access",
  ]);
  bridge!.send(hello);
  expect(link!.take()).toEqual([]);
  await at.server.reload(withRules([]));
  bridge!.send(hello);
  expect(link!.take()).toEqual([hello]);
});
