import { afterEach, expect, test } from "bun:test";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { INET_NAME, NAT, NatWorld, OUTSIDE } from "../support/nat-world.ts";
import { until } from "../support/process.ts";
import { HUB } from "../support/tunnel-server.ts";
import { VpnServer } from "../support/vpn.ts";

// SecureNAT with nat = "kernel": the same network as with the user-mode NAT, and what the server makes in the kernel of
// its machine and takes away again.

const KERNEL = 'nat = "kernel"';
const SETTINGS = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"];
const NOISE_BYTES = 20_000_000;
const DEADLINE = ["--max-time", "40"];

describeSystem('vpn server with nat = "kernel"', ["nft", "curl", "traceroute", "iperf3"], () => {
  let nat: NatWorld;
  afterEach(() => nat?.[Symbol.asyncDispose]());

  const sh = async (at: Namespace, script: string) =>
    (await at.check(["sh", "-c", script], { deadlineMs: 60_000 })).stdout.trim();
  /** What this machine has of us. */
  const traces = async () => {
    const links = await nat.server.ip("-br", "link");
    const tables = await nat.server.check(["nft", "list", "tables"]);
    const settings = await nat.server.check(["sysctl", "-n", ...SETTINGS]);
    return {
      tuns: [...links.stdout.matchAll(/^nat_\S+/gm)].map(String),
      tables: [...tables.stdout.matchAll(/patchbay\S*/g)].map(String).sort(),
      forwarding: settings.stdout.split("\n").filter(Boolean),
    };
  };
  const NOTHING = { tuns: [], tables: [], forwarding: ["0", "0"] };
  const ALL = {
    tuns: ["nat_test"],
    tables: ["patchbay-forwarding", "patchbay_test"],
    forwarding: ["1", "1"],
  };

  test("carries TCP both ways, pings, traceroutes and names over IPv4 and IPv6", async () => {
    nat = await NatWorld.open();
    await nat.start(KERNEL);
    await Promise.all([nat.serveWeb(), nat.serveDns()]);
    await nat.dress();
    await nat.waitIpv6();
    const expected = await sh(
      nat.inet,
      `curl -sS http://127.0.0.1/noise/${NOISE_BYTES} | sha256sum`,
    );
    for (const [place, sender] of [
      [OUTSIDE.inet, `::ffff:${OUTSIDE.server}`],
      [`[${OUTSIDE.inet6}]`, OUTSIDE.server6],
    ] as const) {
      const curl = `curl -sS ${DEADLINE.join(" ")}`;
      expect(await sh(nat.guest, `${curl} http://${place}/`)).toBe(sender);
      const noise = `${curl} http://${place}/noise/${NOISE_BYTES}`;
      expect(await sh(nat.guest, `${noise} | sha256sum`)).toBe(expected);
      const back = await sh(nat.guest, `${noise} | ${curl} -T - http://${place}/`);
      expect(`${(JSON.parse(back) as { sha256: string }).sha256}  -`).toBe(expected);
    }
    expect(await sh(nat.guest, `ping -nc3 -i0.2 ${OUTSIDE.inet}`)).toContain(" 3 received");
    expect(await sh(nat.guest, `ping -nc3 -i0.2 ${OUTSIDE.inet6}`)).toContain(" 3 received");
    // In fragments, both ways.
    for (const place of [OUTSIDE.inet, OUTSIDE.inet6]) {
      expect(await sh(nat.guest, `ping -nc3 -i0.2 -s4000 ${place}`)).toContain(" 3 received");
    }

    const hops = async (flags: string, target: string) =>
      [
        ...(await sh(nat.guest, `traceroute -n -q1 -w2 ${flags} ${target}`)).matchAll(
          /^ *\d+ +(\S+)/gm,
        ),
      ].map(([, hop]) => hop!);
    for (const flags of ["-I", ""]) {
      expect(await hops(flags, OUTSIDE.inet)).toEqual([NAT.host, OUTSIDE.router, OUTSIDE.inet]);
    }
    expect((await hops("-6", OUTSIDE.inet6)).slice(1)).toEqual([OUTSIDE.router6, OUTSIDE.inet6]);
    nat.useResolver(nat.guest);
    const named = await sh(nat.guest, `curl -4sS ${DEADLINE.join(" ")} http://${INET_NAME}/`);
    expect(named).toBe(`::ffff:${OUTSIDE.server}`);
  });

  test("leaves nothing when it ends, and after a crash the next start begins anew", async () => {
    nat = await NatWorld.open();
    expect(await traces()).toEqual(NOTHING);
    const server = await nat.start(KERNEL);
    expect(await traces()).toEqual(ALL);
    await server.kill();
    expect((await traces()).tables).toEqual(ALL.tables);
    await server.restart();
    expect(await traces()).toEqual(ALL);
    await nat.serveWeb();
    await nat.dress();
    const asked = `curl -sS ${DEADLINE.join(" ")} http://${OUTSIDE.inet}/`;
    expect(await sh(nat.guest, asked)).toBe(`::ffff:${OUTSIDE.server}`);
    await server.stop();
    expect(await traces()).toEqual(NOTHING);
  });

  test("lets this machine forward a port to a guest that has said nothing yet", async () => {
    nat = await NatWorld.open();
    await nat.start(KERNEL);
    const rule =
      "table ip forward { chain prerouting { type nat hook prerouting priority dstnat; " +
      "tcp dport 8080 dnat to 192.168.30.50:80; }; }";
    await nat.server.check(["nft", "-f", "-"], { stdin: rule.replaceAll("; ", ";\n") });
    await nat.guest.address("eth0", "192.168.30.50/24");
    await nat.guest.ip("route", "add", "default", "via", NAT.host);
    await nat.serveWeb(nat.guest);
    const ask = `curl -sS ${DEADLINE.join(" ")} http://${OUTSIDE.server}`;
    expect(await sh(nat.inet, `${ask}:8080/`)).toBe(`::ffff:${OUTSIDE.inet}`);
  });

  test("changes to and from the user-mode NAT while it runs", async () => {
    nat = await NatWorld.open();
    const server = await nat.start();
    await nat.serveWeb();
    await nat.dress();
    const ask = () =>
      sh(
        nat.guest,
        `curl -sS ${DEADLINE.join(" ")} --retry 5 --retry-all-errors http://${OUTSIDE.inet}/`,
      );
    await ask();
    await server.reload(nat.config(KERNEL));
    expect(await traces()).toEqual(ALL);
    await nat.dress();
    await ask();
    await server.reload(nat.config());
    expect(await traces()).toEqual(NOTHING);
    await nat.dress();
    await ask();
    await server.stop();
  });

  test("says what it lacks without the rights, and does not fall back in silence", async () => {
    nat = await NatWorld.open();
    const drop = "-net_admin";
    const prefix = ["setpriv", "--bounding-set", drop, "--inh-caps", drop];
    const server = await VpnServer.start(nat.server, nat.config(KERNEL), { prefix });
    const line = await until(
      "what SecureNAT says",
      () =>
        server.log.find(({ level, text }) => level !== "info" && text.includes("does not operate")),
      {
        explain: () => server.stderr.join("\n"),
      },
    );
    expect(line.text).toContain("run as root");
    expect((await nat.server.run(["nft", "list", "tables"])).stdout).not.toContain("patchbay");
    const { stdout } = await server.command("nat", "status", HUB, "--json");
    expect(stdout).toContain("run as root");
    await server.stop();
  });

  test("keeps up with several streams both ways", async () => {
    nat = await NatWorld.open();
    await nat.start(KERNEL);
    await nat.serveIperf();
    await nat.dress();
    for (const flags of [[], ["-R"]]) {
      const shown = await sh(
        nat.guest,
        ["iperf3", "-J", "-t1", "-P2", ...flags, "-c", OUTSIDE.inet].join(" "),
      );
      const { end } = JSON.parse(shown) as { end: { sum_received: { bits_per_second: number } } };
      // Ten times what the reference's user-mode NAT takes of one stream; a busy machine makes a tenth of the usual.
      expect(end.sum_received.bits_per_second).toBeGreaterThan(100e6);
    }
  });
});
