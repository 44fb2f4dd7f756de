import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { rotationSuffix } from "../../src/observe/log-name.ts";
import { describeSystem, World } from "../support/namespace.ts";
import type { Namespace } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { ping, waitPing } from "../support/transfer.ts";
import { secretFile, VpnClient, VpnServer } from "../support/vpn.ts";

const HUB = "Home LAN";
/** The disk of the logs, in a mount namespace that only the server is in. */
const SMALL_DISK = 'mount -t tmpfs -o size=64k none "$0" && exec "$@"';

describeSystem("log files of the built binary", [], () => {
  let world: World;
  let server: Namespace;
  const clients: Namespace[] = [];
  let vpn: VpnServer;
  let disk: string;

  const configOf = (log: string, hubLog = "") =>
    [
      "[server]\nlisten = [5555]",
      `[log]\n${log}`,
      `[hub."${HUB}".log]\n${hubLog}`,
      ...["left", "right"].map(
        (user) =>
          `[hub."${HUB}".user.${user}]\npassword = "file:${secretFile(server, user, user)}"`,
      ),
    ].join("\n");

  beforeAll(async () => {
    world = new World();
    server = await world.namespace("s");
    disk = world.folder("disk");
    vpn = await VpnServer.start(server, configOf('rotate = "none"', 'security = "none"'), {
      logFormat: "text",
      prefix: ["sh", "-c", SMALL_DISK, disk],
    });
    for (const [i, name] of ["left", "right"].entries()) {
      const at = await world.namespace(name);
      const near = { at: server, device: `v${i}`, address: `10.9.${i}.1/24` };
      await world.link(near, { at, device: "eth0", address: `10.9.${i}.2/24` });
      const to = { server: `10.9.${i}.1:5555`, hub: HUB, user: name, password: name };
      const client = VpnClient.start(at, to);
      await client.waitConnected();
      await at.address(client.device, `192.168.7.${i + 1}/24`);
      clients.push(at);
    }
    await waitPing(clients[0]!, "tap0", "192.168.7.2");
  });
  afterAll(() => world?.close());

  const path = (name: string) => join(vpn.stateDir, "log", name);
  const text = (name: string) => (existsSync(path(name)) ? readFileSync(path(name), "utf8") : "");

  test("hold what standard error has, and what happened on a hub, for their owner alone", async () => {
    const file = "server_log/vpn.log";
    await until("the second login in the file", () => text(file).includes(" right logged in"));
    const lines = text(file).split("\r\n").slice(0, -1);
    await until("as many lines on standard error", () => vpn.stderr.length >= lines.length);
    expect(lines).toEqual(vpn.stderr.slice(0, lines.length));
    const security = text(`security_log/${HUB}/sec.log`);
    expect(security).toMatch(/ info {2}left logged in to hub Home LAN user=left .* auth=password /);
    expect(security).not.toContain("Listening");
    expect(statSync(path(file)).mode & 0o777).toBe(0o600);
    expect(statSync(path("server_log")).mode & 0o777).toBe(0o700);
  });

  test("CL-17 SIGUSR1 begins a new file where the old one was moved away", async () => {
    const file = "server_log/vpn.log";
    renameSync(path(file), path("server_log/old.log"));
    process.kill(vpn.pid, "SIGUSR1");
    await until("a line in the new file", async () => {
      // Each reload is a line; the first may come before the signal is looked at.
      await vpn.reload(configOf('rotate = "none"', 'security = "none"'));
      return text(file) !== "";
    });
    expect(text(file)).toContain("The configuration was read again");
  });

  test("FR-25 FI-07 a full disk: the log says so once, lines are lost and counted, frames go on", async () => {
    const log = `dir = "${disk}"\nmin_free = "0B"`;
    await vpn.reload(configOf(log, 'packet = ["ether:all"]'));
    const lost = async () => (await vpn.snapshot()).logs?.lost ?? 0;
    await until(
      "a line that is lost",
      async () => {
        const result = await ping(clients[0]!, "192.168.7.2", { size: 1400 });
        expect(result.received).toBe(result.sent);
        return (await lost()) > 0;
      },
      { deadlineMs: 40_000 },
    );
    const result = await ping(clients[0]!, "192.168.7.2", { size: 1400 });
    expect(result.received).toBe(result.sent);
    const packets = join(disk, "packet_log");
    const told = () =>
      vpn.stderr.filter((line) => line.includes("are being lost") && line.includes(packets));
    await until("a line about it", () => told().length > 0);
    expect(told()).toHaveLength(1);
    expect(told()[0]).toContain("ENOSPC");
  });

  test("go elsewhere, or nowhere, as soon as the configuration says so", async () => {
    await vpn.reload(configOf('dir = "-"'));
    await vpn.reload(configOf('rotate = "month"'));
    const file = `server_log/vpn${rotationSuffix("month", Date.now())}.log`;
    await until("a file of this month", () => text(file) !== "");
    // The last line of those that were for standard error alone is not in it.
    expect(text(file)).toMatch(/^\S+ \S+ info {2}The configuration was read again changes=1\r\n$/);
  });
});
