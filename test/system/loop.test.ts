import { expect, test } from "bun:test";
import { describeSystem } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { ping, waitPing } from "../support/transfer.ts";
import {
  ALSO_GOOD,
  dressClient,
  GOOD,
  HUB,
  INSIDE,
  openSite,
  SERVER_FROM,
  serverConfig,
  startClient,
} from "../support/tunnel.ts";
import { VpnClient, VpnServer } from "../support/vpn.ts";

/** Two sessions in bridge mode whose adapters the kernel joins: what one is sent comes back by the other. */
async function openLoop() {
  const site = await openSite();
  const server = await VpnServer.start(site.server, serverConfig(site.server));
  const start = (nic: string) =>
    VpnClient.start(site.left, {
      ...GOOD,
      server: `${SERVER_FROM.left}:5555`,
      hub: HUB,
      nic,
      mode: "bridge",
    });
  const elder = start("elder");
  await elder.waitConnected();
  const younger = start("younger");
  const other = await startClient("ours", site.right, SERVER_FROM.right, ALSO_GOOD);
  await Promise.all([younger.waitConnected(), other.waitConnected()]);
  await dressClient(other, "right");
  await site.left.ip("link", "add", "br0", "type", "bridge");
  await site.left.ip("link", "set", elder.device, "master", "br0", "up");
  await site.left.address("br0", `${INSIDE.left.ipv4}/24`);
  const close = () => site.left.ip("link", "set", younger.device, "master", "br0", "up");
  const cut = () => site.left.ip("link", "set", younger.device, "nomaster");
  const sessions = async () => (await server.snapshot()).hubs[0]!.sessions;
  return { ...site, vpn: server, other, close, cut, sessions };
}

describeSystem("two bridge sessions that are joined by a bridge", [], () => {
  test("FR-17 the loop is found, the younger session is blocked and named, and traffic goes on", async () => {
    await using site = await openLoop();
    await waitPing(site.right, site.other.device, INSIDE.left.ipv4);
    await site.close();
    const began = performance.now();
    // Something to go round: an address that nobody has.
    site.right.spawn(["ping", "-c", "20", "-i", "0.2", "10.92.0.77"]);
    const found = await site.vpn.waitLog("loop_found");
    expect(performance.now() - began).toBeLessThan(8_000);
    const [elder, younger] = (await site.sessions())
      .filter(({ mode }) => mode === "bridge")
      .sort((a, b) => Number(a.name.split("-").at(-1)) - Number(b.name.split("-").at(-1)));
    expect(found).toMatchObject({
      level: "warn",
      port: younger!.name,
      other: elder!.name,
      seconds: 60,
    });
    expect(elder!.blocked).toBeUndefined();
    expect(younger!.blocked).toMatchObject({ reason: "loop", other: elder!.name });
    expect(Date.parse(younger!.blocked!.until)).toBeGreaterThan(Date.now() + 30_000);
    expect((await site.vpn.command("session", "list")).stdout).toContain("bridge, blocked");
    // As soon as what went round has been forgotten; then nothing comes twice.
    await waitPing(site.right, site.other.device, INSIDE.left.ipv4, 30_000);
    const result = await ping(site.right, INSIDE.left.ipv4, { count: 5 });
    expect(result.received).toBe(result.sent);
    await until("frames lost at the blocked session", async () => {
      const [blocked] = (await site.sessions()).filter((session) => session.blocked);
      return (blocked?.traffic.drops.loop_blocked ?? 0) > 0;
    });
  });
});
