import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parseVpnFile } from "../../src/interop/vpn-file.ts";
import { makeCertificate } from "../support/certificate.ts";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { until, type Finished } from "../support/process.ts";
import { SoftEtherClient, SoftEtherServer, SOFTETHER_PROGRAMS } from "../support/softether.ts";
import { openSite, SERVER_FROM, type Site } from "../support/tunnel.ts";
import { secretFile, vpn, VPN_BIN } from "../support/vpn.ts";

const HUB = "HOME";
const PASSWORDS = { alice: "alice-pass$1", bob: "bob-pass" } as const;

let site: Site;
let server: SoftEtherServer;
let stateDir: string;

beforeEach(async () => {
  site = await openSite();
  stateDir = site.world.folder("accounts");
  server = await SoftEtherServer.start(site.server);
  await server.createHub(HUB, PASSWORDS);
});
afterEach(async () => {
  await ours("down");
  await site.world.close();
});

/** `vpn client ...` with the accounts of this test. */
function ours(...args: string[]): Promise<Finished> {
  return vpn(site.left, ["client", ...args, "--state-dir", stateDir], { deadlineMs: 30_000 });
}

async function oursMust(...args: string[]): Promise<string> {
  const finished = await ours(...args);
  if (finished.exitCode !== 0) throw new Error(`vpn client ${args.join(" ")}\n${finished.stderr}`);
  return finished.stdout;
}

function addAccount(
  name: string,
  user: keyof typeof PASSWORDS,
  ...more: string[]
): Promise<string> {
  const password = secretFile(site.left, user, PASSWORDS[user]);
  const server = ["--server", `${SERVER_FROM.left}:5555`, "--hub", HUB, "--user", user];
  return oursMust("account", "add", name, ...server, "--password-file", password, ...more);
}

/** The lines of a .vpn file that say something: neither comments nor what later versions added. */
function linesOf(path: string): string[] {
  const lines = readFileSync(path, "utf8").split("\r\n");
  return lines.filter((line) => !/^\ufeff?#|AddDefaultCA|^$/.test(line));
}

function stateOf(name: string): Promise<string> {
  return oursMust("account", "show", name, "--json").then(
    (text) => JSON.parse(text).state as string,
  );
}

async function certificateUser(user: string): Promise<{ cert: string; key: string }> {
  const pair = await makeCertificate(site.world, user);
  await server.createCertificateUser(HUB, user, pair.cert);
  return pair;
}

describeSystem("accounts and .vpn files", SOFTETHER_PROGRAMS, () => {
  test("what vpnclient exports we import, whole, and connect with", async () => {
    const { cert, key } = await certificateUser("carol");
    const client = await SoftEtherClient.start(site.right);
    const to = `/SERVER:${SERVER_FROM.left}:5555 /HUB:${HUB} /NICNAME:test`;
    await client.command(
      `AccountCreate hashed ${to} /USERNAME:alice`,
      `AccountPasswordSet hashed "/PASSWORD:${PASSWORDS.alice}" /TYPE:standard`,
      `AccountCreate plain ${to} /USERNAME:bob`,
      `AccountPasswordSet plain /PASSWORD:${PASSWORDS.bob} /TYPE:radius`,
      `AccountCreate card ${to} /USERNAME:carol`,
      `AccountCertSet card /LOADCERT:${cert} /LOADKEY:${key}`,
      `AccountCreate rich ${to} /USERNAME:alice`,
      "AccountProxyHttp rich /SERVER:proxy.example:3128 /USERNAME:pu /PASSWORD:pp",
      "AccountDetailSet rich /MAXTCP:8 /INTERVAL:2 /TTL:60 /HALF:yes /BRIDGE:yes /MONITOR:no /NOTRACK:no /NOQOS:yes /DISABLEUDP:yes",
      "AccountCompressEnable rich",
      "AccountRetrySet rich /NUM:5 /INTERVAL:30",
      "AccountStartupSet rich",
      "AccountServerCertEnable rich",
      `AccountServerCertSet rich /LOADCERT:${cert}`,
    );
    await oursMust("nic", "add", "test", "--address", "none");
    for (const name of ["hashed", "plain", "card", "rich"]) {
      const theirs = join(site.world.directory, `${name}-theirs.vpn`);
      const back = join(site.world.directory, `${name}-ours.vpn`);
      await client.command(`AccountExport ${name} /SAVEPATH:${theirs}`);
      await oursMust("account", "import", theirs);
      await oursMust("account", "export", name, "--output", back);
      expect(linesOf(back)).toEqual(linesOf(theirs));
    }
    for (const name of ["hashed", "plain", "card"]) {
      expect(await oursMust("up", name)).toBe(`${name}: connected\n`);
      await oursMust("down", name);
    }
    expect(await site.left.hasDevice("vpn_test")).toBe(false);
  });

  test("what we export vpnclient imports, and connects with", async () => {
    const { cert, key } = await certificateUser("carol");
    await addAccount("hashed", "alice", "--connections", "2");
    await addAccount("plain", "bob", "--plain");
    const to = ["--server", `${SERVER_FROM.left}:5555`, "--hub", HUB, "--user", "carol"];
    await oursMust("account", "add", "card", ...to, "--cert", cert, "--key", key);
    const client = await SoftEtherClient.start(site.right);
    for (const name of ["hashed", "plain", "card"]) {
      const file = join(site.world.directory, `${name}.vpn`);
      await oursMust("account", "export", name, "--output", file);
      // The reference's client is on the other side of the server.
      writeFileSync(file, readFileSync(file, "utf8").replace(SERVER_FROM.left, SERVER_FROM.right));
      await client.command(
        `AccountImport ${relative(process.cwd(), file)}`,
        `AccountNicSet ${name} /NICNAME:test`,
        `AccountConnect ${name}`,
      );
      await client.waitConnected(20_000, name);
      await client.command(`AccountDisconnect ${name}`);
      const again = join(site.world.directory, `${name}-again.vpn`);
      await client.command(`AccountExport ${name} /SAVEPATH:${again}`);
      const { account } = parseVpnFile(readFileSync(again));
      const { account: before } = parseVpnFile(readFileSync(file));
      expect(account).toEqual(before);
    }
  });
});

describeSystem("vpn client up, down and service", SOFTETHER_PROGRAMS, () => {
  beforeEach(async () => {
    await oursMust("nic", "add", "one", "--address", "none");
    await oursMust("nic", "add", "two", "--address", "none");
    await addAccount("a", "alice", "--nic", "one", "--autostart");
    await addAccount("b", "bob", "--nic", "two");
  });

  test("up starts a service that ends with its last account, and leaves nothing", async () => {
    expect(await oursMust("up")).toBe("a: connected\n");
    expect(await oursMust("up", "b")).toBe("b: connected\n");
    expect(JSON.parse(await oursMust("status", "--json"))).toHaveLength(2);
    expect((await ours("account", "remove", "a")).exitCode).toBe(75);
    expect((await ours("nic", "remove", "one")).exitCode).toBe(75);
    expect(await oursMust("disconnect", "a")).toBe("Disconnected a\n");
    expect(await oursMust("down")).toBe("Down: b\n");
    await until("the service gone", async () => (await ours("down")).exitCode === 69);
    expect(await site.left.hasDevice("vpn_one")).toBe(false);
  });

  test("up tells why an account does not come up", async () => {
    const wrong = secretFile(site.left, "wrong", "not it");
    await oursMust("account", "set", "b", "--password-file", wrong);
    const finished = await ours("up", "b");
    expect(finished.exitCode).toBe(75);
    expect(finished.stdout).toMatch(/^b: failed: .*\(error 9\)/);
  });

  test("a service is ready when its accounts are up, shows signs of life, reloads and stops", async () => {
    const manager = await serviceManager(site.left);
    const env = { NOTIFY_SOCKET: manager.path, WATCHDOG_USEC: "1000000" };
    const command = [VPN_BIN, "client", "service", "--state-dir", stateDir];
    const service = site.left.spawn(command, { env });
    await manager.wait(/READY=1/);
    await manager.wait(/STATUS=1 of 1 accounts connected/);
    await manager.wait(/WATCHDOG=1/);
    await oursMust("account", "set", "b", "--autostart");
    process.kill(service.pid, "SIGHUP");
    await manager.wait(/RELOADING=1/);
    await manager.wait(/STATUS=2 of 2 accounts connected/);
    await oursMust("disconnect", "b");
    await oursMust("account", "remove", "b");
    expect(await stateOf("a")).toBe("connected");
    expect(await service.stop("SIGTERM")).toBe(0);
    await manager.wait(/STOPPING=1/);
    expect(await stateOf("a")).toBe("offline");
  });

  test("a server tells its manager that it is ready, and that it stops", async () => {
    const manager = await serviceManager(site.right);
    const config = join(site.world.directory, "config.toml");
    writeFileSync(config, "[server]\nlisten = [4433]\n");
    const env = { NOTIFY_SOCKET: manager.path };
    const command = [VPN_BIN, "server", "--config", config, "--state-dir", site.world.folder("s")];
    const running = site.right.spawn(command, { env });
    await manager.wait(/READY=1/);
    await manager.wait(/STATUS=Ready on port 4433/);
    expect(await running.stop("SIGTERM")).toBe(0);
    await manager.wait(/STOPPING=1/);
  });
});

describe("a hub that wants no password to be kept", () => {
  describeSystem("NoSavePassword", SOFTETHER_PROGRAMS, () => {
    test("makes us forget it once we are connected", async () => {
      await server.command(`Hub ${HUB}`, "UserPolicySet alice /NAME:NoSavePassword /VALUE:yes");
      await oursMust("nic", "add", "one", "--address", "none");
      await addAccount("a", "alice");
      const shown = () =>
        oursMust("account", "show", "a", "--json").then((text) => JSON.parse(text));
      expect((await shown()).password).toEqual({ stored: true });
      expect(await oursMust("up", "a")).toBe("a: connected\n");
      expect((await shown()).password).toBeNull();
      await oursMust("down", "a");
      const again = await ours("up", "a");
      expect(again.exitCode).toBe(65);
      expect(again.stderr).toContain("keeps no password");
    });
  });
});

/** Where systemd would listen. */
async function serviceManager(at: Namespace): Promise<{
  path: string;
  wait(line: RegExp): Promise<string>;
}> {
  const path = join(at.world.directory, `notify-${at.name}`);
  const listener = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("listening", flush=True)
while True:
    print(s.recv(4096).decode(), flush=True)`;
  const running = at.spawn(["python3", "-c", listener, path]);
  const wait = (line: RegExp) =>
    until(
      `${line} told to the manager`,
      () => running.lines.stdout.find((text) => line.test(text)),
      {
        explain: () => running.output(),
      },
    );
  await wait(/listening/);
  return { path, wait };
}
