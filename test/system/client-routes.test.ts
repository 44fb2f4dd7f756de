import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeSystem, World, type Namespace } from "../support/namespace.ts";
import { run, until, type Running } from "../support/process.ts";
import { SOFTETHER_PROGRAMS, SoftEtherServer } from "../support/softether.ts";
import { ALSO_GOOD, GOOD, HUB, startServer } from "../support/tunnel.ts";
import { vpn, VpnClient } from "../support/vpn.ts";

// A machine with two uplinks to a router, the VPN server behind it, and on the hub a gateway with DHCP, DNS and IPv6
// router advertisements, behind which lies a host that can be reached by no other way.
//
//   machine ==eth0,eth1== router == server ~~hub~~ gateway == far

const SERVER = "203.0.113.7";
const SERVER6 = "2001:db8:113::7";
const OTHER_SERVER = "203.0.113.8";
const UPLINKS = ["10.9.0.1", "10.9.1.1"] as const;
const GATEWAY = "192.168.30.1";
const FAR = "198.51.100.1";
const FAR6 = "2001:db8:100::1";
const UPLINK_DNS = "nameserver 10.9.0.1\n";
const NAME = "vpn.example";

let world: World;
let machine: Namespace;
let router: Namespace;
let server: Namespace;
let gateway: Namespace;
let resolvConf: string;
let client: VpnClient;
let names: Running;

async function open(): Promise<void> {
  world = new World();
  machine = await world.namespace("machine");
  router = await world.namespace("router");
  server = await world.namespace("server");
  gateway = await world.namespace("gateway");
  const far = await world.namespace("far");
  for (const n of [0, 1]) {
    await world.link(
      { at: machine, device: `eth${n}`, address: `10.9.${n}.2/24` },
      { at: router, device: `up${n}`, address: `10.9.${n}.1/24` },
    );
  }
  await world.link(
    { at: router, device: "core", address: "203.0.113.1/24" },
    { at: server, device: "eth0", address: `${SERVER}/24` },
  );
  await world.link(
    { at: router, device: "side", address: "203.0.114.1/24" },
    { at: gateway, device: "eth0", address: "203.0.114.7/24" },
  );
  await world.link(
    { at: gateway, device: "inner", address: "198.51.100.254/24" },
    { at: far, device: "eth0", address: `${FAR}/24` },
  );
  await server.address("eth0", `${OTHER_SERVER}/24`, `${SERVER6}/64`);
  await machine.address("eth0", "2001:db8:9::2/64");
  await router.address("up0", "2001:db8:9::1/64");
  await router.address("core", "2001:db8:113::1/64");
  await gateway.address("inner", "2001:db8:100::fe/64");
  await far.address("eth0", `${FAR6}/64`);
  for (const at of [router, gateway]) {
    await at.check(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
  }
  await server.ip("route", "add", "default", "via", "203.0.113.1");
  await server.ip("route", "add", "default", "via", "2001:db8:113::1");
  await gateway.ip("route", "add", "default", "via", "203.0.114.1");
  await far.ip("route", "add", "default", "via", "198.51.100.254");
  await far.ip("route", "add", "default", "via", "2001:db8:100::fe");
  // `ip netns exec` mounts the files of this folder over those of /etc.
  const folder = join("/etc/netns", machine.netns);
  mkdirSync(folder, { recursive: true });
  world.onClose(() => rmSync(folder, { recursive: true, force: true }));
  resolvConf = join(folder, "resolv.conf");
  await startServer("ours", server);
  const inside = VpnClient.start(gateway, {
    server: `${SERVER}:5555`,
    ...ALSO_GOOD,
    nic: "hub0",
    address: `${GATEWAY}/24`,
    retryInterval: "200ms",
  });
  await inside.waitConnected();
  await gateway.address("hub0", "2001:db8:30::1/64");
  startDnsmasq();
  await settleUplink();
}

const DNSMASQ = ["dnsmasq", "-k", "--conf-file=/dev/null", "--pid-file=", "--no-hosts"];

/** The gateway's, and on the router the uplink's resolver. */
function startDnsmasq(): void {
  gateway.spawn([
    ...DNSMASQ,
    "--interface=hub0",
    "--bind-dynamic",
    "--except-interface=lo",
    "--no-resolv",
    "--no-ping",
    "--enable-ra",
    "--dhcp-range=::,constructor:hub0,ra-only,64,600",
    "--dhcp-range=192.168.30.100,192.168.30.200,255.255.255.0,10m",
    `--dhcp-option=option:dns-server,${GATEWAY}`,
    // The network of the far host by option 121, and the default route in both forms (RFC 3442).
    `--dhcp-option=option:classless-static-route,198.51.100.0/24,${GATEWAY},0.0.0.0/0,${GATEWAY}`,
    `--dhcp-option=option:router,${GATEWAY}`,
    "--domain=hub.test",
    `--dhcp-leasefile=${join(world.directory, "leases")}`,
  ]);
  names = startNames(SERVER);
}

/** The uplink's resolver, which knows the server by a name. */
function startNames(address: string): Running {
  return router.spawn([
    ...DNSMASQ,
    "--interface=up0",
    "--bind-dynamic",
    "--except-interface=lo",
    "--no-resolv",
    `--address=/${NAME}/${address}`,
  ]);
}

async function settleUplink(): Promise<void> {
  await machine.ip("route", "replace", "default", "via", UPLINKS[0]);
  await machine.ip("-6", "route", "replace", "default", "via", "2001:db8:9::1");
  writeFileSync(resolvConf, UPLINK_DNS);
}

function connect(flags: readonly string[], to: string = SERVER): VpnClient {
  const address = to.includes(":") ? `[${to}]` : to;
  client = VpnClient.start(machine, {
    server: `${address}:5555`,
    ...GOOD,
    address: "dhcp",
    retryInterval: "200ms",
    flags,
  });
  return client;
}

/** Connected, with an address. */
async function connected(flags: readonly string[], to?: string): Promise<VpnClient> {
  connect(flags, to);
  await client.waitConnected();
  await hasEvent("address");
  return client;
}

function hasEvent(event: string, times = 1): Promise<true> {
  return until(
    `${times} events ${event}`,
    () => client.events.filter((each) => each.event === event).length >= times || undefined,
    { explain: () => client.output() },
  );
}

async function pings(address: string, from: Namespace = machine): Promise<boolean> {
  const command = ["ping", "-c", "1", "-W", "1", address];
  return (await from.run(command)).stdout.includes(" 0% packet loss");
}

function reaches(address: string): Promise<true> {
  const explain = () => client.output();
  return until(`an answer of ${address}`, async () => (await pings(address)) || undefined, {
    explain,
  });
}

/** The device that the kernel would send by. */
async function deviceTo(address: string): Promise<string> {
  const shown = await run(["ip", "-n", machine.netns, "route", "get", address]);
  return / dev (\S+)/.exec(shown.stdout)?.[1] ?? shown.stderr.trim();
}

async function rules(): Promise<string> {
  const [v4, v6] = await Promise.all([
    machine.ip("rule", "show"),
    machine.ip("-6", "rule", "show"),
  ]);
  return v4.stdout + v6.stdout;
}

/** What the machine looks like when no client has been there. */
async function expectUntouched(): Promise<void> {
  expect(await rules()).not.toMatch(/^16[89]\d\d:/m);
  expect(readFileSync(resolvConf, "utf8")).toBe(UPLINK_DNS);
  expect((await machine.check(["nft", "list", "tables"])).stdout).toBe("");
  expect(readdirSync(client.stateDir).filter((name) => name.endsWith(".undo"))).toEqual([]);
  expect(await deviceTo(FAR)).toBe("eth0");
}

/** The server ends what the machine has with it at an address, and takes nothing new. */
async function cut(address: string): Promise<void> {
  const from = `ip saddr 10.9.0.0/16 ip daddr ${address}`;
  const rules = `${from} tcp dport 5555 reject with tcp reset; ${from} udp dport != 53 reject;`;
  const chain = `chain input { type filter hook input priority 0; ${rules} }`;
  await server.check(["nft", "-f", "-"], { stdin: `table ip cut { ${chain}; }` });
  // Whoever sends learns of it at once.
  await pings(FAR);
}

async function heal(): Promise<void> {
  await server.check(["nft", "delete", "table", "ip", "cut"]);
}

describeSystem("routes and name servers of a client", ["dnsmasq", "nft"], () => {
  beforeAll(open);
  afterEach(async () => {
    if (client.alive) await client.kill();
    // What a failed test left is not to fail the next.
    await vpn(machine, ["client", "disconnect", "--state-dir", client.stateDir]);
    await settleUplink();
  });
  afterAll(() => world.close());

  test("the default route and DNS of DHCP are taken and given back, the server is reached beside them", async () => {
    await connected(["--default-route", "--dns"]);
    await reaches(FAR);
    expect([await deviceTo(FAR), await deviceTo("192.0.2.1")]).toEqual(["tap0", "tap0"]);
    expect([await deviceTo(SERVER), await deviceTo("10.9.0.77")]).toEqual(["eth0", "eth0"]);
    const hop = await machine.run(["ping", "-c", "1", "-W", "1", "-t", "1", FAR]);
    expect(hop.stdout).toContain(`From ${GATEWAY}`);
    const text = readFileSync(resolvConf, "utf8");
    expect(text).toMatch(/^# Written by Patchbay VPN/);
    expect(text).toEndWith(`search hub.test\nnameserver ${GATEWAY}\n`);
    const [status] = await client.status();
    expect(status?.host).toMatchObject({ routes: 1, dns: [GATEWAY], killSwitch: false });
    const shown = await vpn(machine, ["client", "status", "--state-dir", client.stateDir]);
    expect(shown.stdout).toMatch(/^Through it +all IPv4.*, 1 networks?$/m);
    expect(await client.stop("SIGTERM")).toBe(0);
    await expectUntouched();
  });

  test("another uplink takes over at once, and the tunnel never goes through itself", async () => {
    await connected(["--default-route"]);
    await reaches(FAR);
    await machine.ip("route", "del", "default");
    expect(await deviceTo(SERVER)).toContain("unreachable");
    await machine.ip("route", "add", "default", "via", UPLINKS[1]);
    expect(await deviceTo(SERVER)).toBe("eth1");
    await reaches(FAR);
    // The DHCP client of the uplink puts its route back, with a metric and as one of two.
    await machine.ip(
      "route",
      "replace",
      "default",
      "metric",
      "100",
      "nexthop",
      "via",
      UPLINKS[0],
      "nexthop",
      "via",
      UPLINKS[1],
    );
    expect(await deviceTo(FAR)).toBe("tap0");
    await reaches(FAR);
    await machine.ip("route", "del", "default", "metric", "100");
    await client.stop();
  });

  test("FI-06: routes come back with an interface that was down", async () => {
    await connected(["--default-route"]);
    await reaches(FAR);
    await machine.ip("link", "set", "tap0", "down");
    await machine.ip("link", "set", "tap0", "up");
    await until("the routes", async () => (await deviceTo("192.0.2.1")) === "tap0");
    await reaches(FAR);
    await client.stop();
    await expectUntouched();
  });

  test("routes that go with the last address come back at once, so that nothing leaves beside the tunnel", async () => {
    await connected(["--default-route"]);
    await reaches(FAR);
    for (let round = 0; round < 2; round++) {
      await machine.ip("-4", "addr", "flush", "dev", "tap0");
      await until("the way through the tunnel", async () => (await deviceTo(FAR)) === "tap0");
      await machine.ip("addr", "add", "192.168.30.99/24", "dev", "tap0");
    }
    await client.stop();
    await expectUntouched();
  });

  test("FI-06: an interface that somebody deletes ends the account, and all is undone", async () => {
    await connected(["--default-route", "--dns", "--kill-switch"]);
    await reaches(FAR);
    await machine.ip("link", "del", "tap0");
    await until("the end", () => !client.alive, { explain: () => client.output() });
    await expectUntouched();
  });

  test("after SIGKILL `vpn client disconnect` undoes what was left", async () => {
    await connected(["--default-route", "--dns"]);
    await reaches(FAR);
    await client.kill();
    expect(readFileSync(resolvConf, "utf8")).toContain("Patchbay");
    expect(await rules()).toMatch(/^16800:/m);
    const done = await vpn(machine, ["client", "disconnect", "--state-dir", client.stateDir]);
    expect([done.exitCode, done.stdout, done.stderr]).toEqual([
      0,
      "tap0 had ended without order; what it left is undone\n",
      "",
    ]);
    await expectUntouched();
  });

  test("after SIGKILL the next start undoes what was left", async () => {
    await connected(["--default-route", "--dns"]);
    await reaches(FAR);
    await client.kill();
    await connected(["--no-default-route"]);
    expect(readFileSync(resolvConf, "utf8")).toBe(UPLINK_DNS);
    expect(await rules()).not.toMatch(/^16[89]\d\d:/m);
    await client.stop();
    await expectUntouched();
  });

  test("a resolv.conf that somebody else writes is put aside until the end", async () => {
    await connected(["--dns"]);
    const isOurs = () => readFileSync(resolvConf, "utf8").includes(GATEWAY);
    await until("our file", isOurs);
    writeFileSync(resolvConf, "nameserver 192.0.2.53\n");
    await until("our file again", isOurs);
    await client.stop();
    expect(readFileSync(resolvConf, "utf8")).toBe("nameserver 192.0.2.53\n");
  });

  test("split tunnel: option 121 is followed, and no default route without being asked", async () => {
    await connected([]);
    await reaches(FAR);
    expect([await deviceTo(FAR), await deviceTo("192.0.2.1")]).toEqual(["tap0", "eth0"]);
    await client.stop();
    await expectUntouched();
  });

  test("split tunnel: --routes alone go through it, less the server that lies in one of them", async () => {
    await connected(["--routes", "203.0.113.0/24,198.51.100.1/32,2001:db8:100::/48"]);
    await reaches(FAR);
    await reaches(FAR6);
    const devices = await Promise.all(
      [SERVER, OTHER_SERVER, "203.0.113.200", "198.51.100.2", "192.0.2.1"].map(deviceTo),
    );
    expect(devices).toEqual(["eth0", "tap0", "tap0", "eth0", "eth0"]);
    expect(client.output()).not.toMatch(/warning/i);
    await client.stop();
  });

  test("the network of the hub does not hide a server that is in it", async () => {
    await machine.address("eth1", `192.168.30.77/24`);
    await machine.ip("route", "replace", "192.168.30.0/24", "dev", "eth1", "metric", "100");
    await machine.ip("route", "del", "192.168.30.0/24", "dev", "eth1", "metric", "0");
    await router.address("up1", "192.168.30.7/24");
    await server.ip("route", "add", "192.168.30.0/24", "via", "203.0.113.1");
    const relay = `table ip relay { chain pre { type nat hook prerouting priority -100; ip daddr 192.168.30.7 tcp dport 5555 dnat to ${SERVER}; }; }`;
    await router.check(["nft", relay]);
    await connected([], "192.168.30.7");
    await reaches(FAR);
    expect(await deviceTo("192.168.30.7")).toBe("eth1");
    await client.stop();
    await machine.ip("addr", "del", "192.168.30.77/24", "dev", "eth1");
    await router.check(["nft", "delete", "table", "ip", "relay"]);
    await router.ip("addr", "del", "192.168.30.7/24", "dev", "up1");
    await server.ip("route", "del", "192.168.30.0/24");
  });

  test("IPv6: a router on the hub becomes the way out, and an IPv6 server is reached beside it", async () => {
    await connected(["--default-route"], SERVER6);
    await reaches(FAR6);
    await reaches(FAR);
    expect([await deviceTo(FAR6), await deviceTo(SERVER6)]).toEqual(["tap0", "eth0"]);
    // The kernel's own table has the uplink's router alone.
    expect((await machine.ip("-6", "route", "show", "default")).stdout).not.toContain("tap0");
    await client.stop();
    await expectUntouched();
    expect(await deviceTo(FAR6)).toBe("eth0");
  });

  test("FI-11: a server that moved is found anew beside the tunnel that does not stand", async () => {
    await connected(["--default-route", "--no-udp"], NAME);
    await reaches(FAR);
    await names.stop();
    names = startNames(OTHER_SERVER);
    await cut(SERVER);
    await client.waitConnected(20_000, 2);
    expect(await deviceTo(OTHER_SERVER)).toBe("eth0");
    expect(await rules()).toContain(`${OTHER_SERVER} lookup main`);
    await client.stop();
    await heal();
    await names.stop();
    names = startNames(SERVER);
  });

  test("two accounts do not undo each other's rules", async () => {
    const first = await connected(["--default-route"]);
    const second = VpnClient.start(machine, {
      server: `${SERVER}:5555`,
      ...ALSO_GOOD,
      address: "dhcp",
      nic: "tap1",
      flags: ["--default-route"],
    });
    await until("both", async () => /^16803:[^]*^16903:/m.test(await rules()));
    expect(await deviceTo("192.0.2.1")).toBe("tap0");
    await first.stop();
    expect(await rules()).not.toMatch(/^16(800|900):/m);
    expect([await deviceTo("192.0.2.1"), await deviceTo(SERVER)]).toEqual(["tap1", "eth0"]);
    await second.stop();
    await expectUntouched();
  });

  test("wishes for DHCP without DHCP are refused before anything is changed", async () => {
    const flags = ["--default-route", "--address", "192.168.30.9/24", "--server", `${SERVER}:5555`];
    const login = ["--hub", HUB, "--user", "x", "--anonymous"];
    const stateDir = ["--state-dir", client.stateDir];
    const done = await vpn(machine, ["client", "connect", ...flags, ...login, ...stateDir]);
    expect([done.exitCode, done.stderr]).toEqual([64, expect.stringContaining('"default_route"')]);
    await expectUntouched();
  });
});

describeSystem("the kill switch of a client", ["dnsmasq", "nft", "tcpdump", "microsocks"], () => {
  let dump: Running;
  let capture: string;
  const FLAGS = ["--default-route", "--dns", "--kill-switch"];

  beforeAll(open);
  afterEach(async () => {
    if (client.alive) await client.kill();
    await vpn(machine, ["client", "disconnect", "--state-dir", client.stateDir]);
    await settleUplink();
  });
  afterAll(() => world.close());

  async function startCapture(): Promise<void> {
    capture = join(world.directory, "uplink.pcap");
    dump = router.spawn(["tcpdump", "-n", "-i", "any", "-Q", "in", "-U", "-w", capture]);
    await until("tcpdump", () => dump.output().includes("listening on"));
  }

  /** Packets of the machine's on its uplinks but the tunnel's own by TCP and UDP, and what neighbours must say to each other. */
  async function leaked(): Promise<string[]> {
    await dump.stop("SIGINT");
    const tunnel = `host ${SERVER} and (tcp port 5555 or udp)`;
    const uplink = "(src net 10.9.0.0/16 or src 2001:db8:9::2)";
    const neighbours = "icmp6 and (ip6[40] == 135 or ip6[40] == 136)";
    const filter = `${uplink} and not (${tunnel}) and not (${neighbours}) and not arp`;
    const { stdout } = await run(["tcpdump", "-n", "-r", capture, filter]);
    return stdout.split("\n").filter((line) => line !== "");
  }

  /** Tries what programs do, in every way out. */
  async function tryToLeak(): Promise<void> {
    const tries = [
      ["ping", "-c", "1", "-W", "0.3", UPLINKS[0]],
      ["ping", "-c", "1", "-W", "0.3", "-I", "eth0", FAR],
      ["ping", "-c", "1", "-W", "0.3", "-I", "eth1", UPLINKS[1]],
      ["ping", "-6", "-c", "1", "-W", "0.3", SERVER6],
      ["bash", "-c", `echo > /dev/udp/${UPLINKS[0]}/53`],
      ["bash", "-c", `echo > /dev/tcp/${SERVER}/22`],
    ];
    const ended = await Promise.all(tries.map((command) => machine.run(command)));
    expect(ended.map(({ exitCode }) => exitCode)).not.toContain(0);
  }

  test("nothing but the tunnel leaves: connected, reconnecting, after SIGKILL, and in the next session", async () => {
    await connected(FLAGS);
    await startCapture();
    await reaches(FAR);
    await tryToLeak();
    await cut(SERVER);
    await hasEvent("retrying");
    await tryToLeak();
    await client.kill();
    await tryToLeak();
    await heal();
    await connected(FLAGS);
    await reaches(FAR);
    await tryToLeak();
    expect(await leaked()).toEqual([]);
    await client.stop();
    await expectUntouched();
    expect(await pings(UPLINKS[0])).toBe(true);
  });

  test("it comes back when somebody loads other rules, and so do those of the routing policy", async () => {
    await connected(FLAGS);
    await reaches(FAR);
    await startCapture();
    await machine.check(["nft", "flush", "ruleset"]);
    for (const pref of ["16800", "16900", "16901"]) await machine.ip("rule", "del", "pref", pref);
    await until("the rules", async () => {
      const filter = await machine.run(["nft", "list", "tables"]);
      return filter.stdout.includes("patchbay_tap0") && /^16900:[^]*^16901:/m.test(await rules());
    });
    await tryToLeak();
    await reaches(FAR);
    expect(await leaked()).toEqual([]);
    await client.stop();
    await expectUntouched();
  });

  test("a name is resolved before it stands; reconnecting needs no name server", async () => {
    await connected([...FLAGS, "--no-udp"], NAME);
    await startCapture();
    await cut(SERVER);
    await hasEvent("retrying");
    await heal();
    await client.waitConnected(20_000, 2);
    expect(await leaked()).toEqual([]);
    // After a crash the machine can ask nobody, and the account comes back all the same.
    await client.kill();
    await connected(FLAGS, NAME);
    await reaches(FAR);
    await client.stop();
    await expectUntouched();
  });

  test("behind a proxy it is the proxy that can be reached, and the server cannot", async () => {
    router.spawn(["microsocks", "-i", UPLINKS[0], "-p", "1080"]);
    await router.waitListening(1080);
    await connected(["--kill-switch", "--default-route", "--proxy", `socks5://${UPLINKS[0]}:1080`]);
    await reaches(FAR);
    expect(await deviceTo(UPLINKS[0])).toBe("eth0");
    const filter = await machine.check(["nft", "list", "table", "inet", "patchbay_tap0"]);
    expect(filter.stdout).toContain(`elements = { ${UPLINKS[0]} . 1080 }`);
    expect(filter.stdout).not.toContain(SERVER);
    await client.stop();
    await expectUntouched();
  });

  test("without nft there is no connection at all", async () => {
    const env = { PATH: "/nonexistent" };
    const hidden = ["unshare", "-m", "sh", "-c"];
    const mount = "mount -t tmpfs none /usr/sbin && exec";
    const words = ["--server", `${SERVER}:5555`, "--hub", HUB, "--user", "x", "--anonymous"];
    const command = `${mount} ${process.env["VPN_BIN"] ?? join(import.meta.dir, "../../dist/vpn")} client connect ${words.join(" ")} --kill-switch --state-dir ${client.stateDir}`;
    const done = await machine.run([...hidden, command], {
      env: { ...env, PATH: "/bin:/usr/bin" },
    });
    expect([done.exitCode, done.stderr]).toEqual([69, expect.stringContaining("nft")]);
    expect(existsSync(join(client.stateDir, "vpn0.undo"))).toBe(false);
  });
});

describeSystem("routes of a client at SecureNAT", [...SOFTETHER_PROGRAMS, "nft"], () => {
  afterEach(() => world.close());

  test("everything goes through the reference's NAT, the server beside it", async () => {
    world = new World();
    machine = await world.namespace("machine");
    server = await world.namespace("server");
    await world.link(
      { at: machine, device: "eth0", address: "10.9.0.2/24" },
      { at: server, device: "eth0", address: "10.9.0.1/24" },
    );
    await server.address("lo", `${SERVER}/32`, `${FAR}/32`);
    await machine.ip("route", "add", "default", "via", "10.9.0.1");
    const daemon = await SoftEtherServer.start(server);
    await daemon.createHub(HUB, { [GOOD.user]: `"${GOOD.password}"` });
    await daemon.command(`Hub ${HUB}`, "SecureNatEnable");
    await connected(["--default-route", "--kill-switch"]);
    await until("the route", async () => (await deviceTo(FAR)) === "tap0");
    expect(await deviceTo(SERVER)).toBe("eth0");
    expect(await pings("192.168.30.1")).toBe(true);
    expect(await pings("10.9.0.1")).toBe(false);
    await client.stop();
    expect(await rules()).not.toMatch(/^16[89]\d\d:/m);
    expect(await pings("10.9.0.1")).toBe(true);
  });
});
