import { afterAll, beforeAll, expect, test } from "bun:test";
import type { L3SwitchStatus } from "../../src/l3-switch/l3-status.ts";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import {
  HOST_DEVICE,
  HOSTS,
  LEGS,
  openRoutedLans,
  routedConfig,
  type RoutedLans,
  startRouted,
  waitSwitches,
} from "../support/routed-lans.ts";
import { SOFTETHER_PROGRAMS, SoftEtherServer } from "../support/softether.ts";
import { echo, ping, transfer, waitPing } from "../support/transfer.ts";
import { VpnServer } from "../support/vpn.ts";

const { north, south } = LEGS;
/** Goes over within the deadline of any transfer: with lost super-frames it would take minutes. */
const TRANSFER_BYTES = 30_000_000;
/** In a network that a switch is in, with nobody there. */
const SILENT = { ipv4: "10.3.0.77", ipv6: "fd00:3::77" } as const;

/** What ping(8) says of one echo: `64 bytes from X: icmp_seq=1 ttl=62`, or `From X icmp_seq=1 Time to live exceeded`. */
async function oneEcho(from: Namespace, address: string, ...flags: string[]): Promise<string> {
  const { stdout } = await from.run(["ping", "-n", "-c", "1", "-W", "9", ...flags, address]);
  const [, who, ttl, why] =
    /^(?:\d+ bytes from|From) (\S+?):? icmp_seq=\d+ (?:ttl=(\d+)|(.*))/m.exec(stdout) ?? [];
  if (who === undefined) return "nothing";
  return ttl === undefined ? `${why?.trim()} (${who})` : `ttl ${ttl} (${who})`;
}

/** What hosts see of the switches, one fact a line. */
async function facts({ a, b, c }: RoutedLans): Promise<Record<string, string>> {
  return {
    near: await oneEcho(a, north.A.ipv4),
    far: await oneEcho(a, north.B.ipv4),
    second: await oneEcho(a, south.B.ipv4),
    secondFar: await oneEcho(a, south.C.ipv4),
    middle: await oneEcho(a, HOSTS.b.ipv4),
    across: await oneEcho(a, HOSTS.c.ipv4),
    back: await oneEcho(c, HOSTS.a.ipv4),
    fromMiddle: await oneEcho(b, HOSTS.c.ipv4),
    large: await oneEcho(a, HOSTS.c.ipv4, "-s", "1472", "-M", "do"),
    inParts: await oneEcho(a, HOSTS.c.ipv4, "-s", "4000"),
    oneHop: await oneEcho(a, HOSTS.c.ipv4, "-t", "1"),
    twoHops: await oneEcho(a, HOSTS.c.ipv4, "-t", "2"),
    threeHops: await oneEcho(a, HOSTS.c.ipv4, "-t", "3"),
    nowhere: await oneEcho(a, "10.99.0.1"),
  };
}

describeSystem("two layer 3 switches in a row", [...SOFTETHER_PROGRAMS, "iperf3"], () => {
  let lans: RoutedLans;
  let server: VpnServer;

  beforeAll(async () => {
    lans = await openRoutedLans();
    server = (await startRouted("ours", lans)) as VpnServer;
    await waitPing(lans.a, HOST_DEVICE, HOSTS.c.ipv4);
    await waitPing(lans.a, HOST_DEVICE, HOSTS.c.ipv6);
  });
  afterAll(async () => {
    await server?.stop();
    await lans?.[Symbol.asyncDispose]();
  });

  test("hosts see of them what they see of those of the reference", async () => {
    const ours = await facts(lans);
    expect(ours).toEqual({
      near: `ttl 255 (${north.A.ipv4})`,
      far: `ttl 255 (${north.B.ipv4})`,
      second: `ttl 254 (${south.B.ipv4})`,
      secondFar: `ttl 254 (${south.C.ipv4})`,
      middle: `ttl 63 (${HOSTS.b.ipv4})`,
      across: `ttl 62 (${HOSTS.c.ipv4})`,
      back: `ttl 62 (${HOSTS.a.ipv4})`,
      fromMiddle: `ttl 63 (${HOSTS.c.ipv4})`,
      large: `ttl 62 (${HOSTS.c.ipv4})`,
      inParts: `ttl 62 (${HOSTS.c.ipv4})`,
      oneHop: `Time to live exceeded (${north.A.ipv4})`,
      twoHops: `Time to live exceeded (${south.B.ipv4})`,
      threeHops: `ttl 62 (${HOSTS.c.ipv4})`,
      nowhere: `Destination Net Unreachable (${north.A.ipv4})`,
    });
    const others = await openRoutedLans();
    try {
      const reference = await startRouted("reference", others);
      await waitPing(others.a, HOST_DEVICE, HOSTS.c.ipv4, 40_000);
      expect(await facts(others)).toEqual(ours);
      const sessions = await (reference as SoftEtherServer).table("B", "SessionList");
      const theirs = sessions
        .map((row) => [row["Session Name"], row["User Name"], row["Source Host Name"]])
        .filter(([name]) => name?.startsWith("SID-L3"));
      const [, hub] = (await server.snapshot()).hubs;
      const own = hub!.innerSessions
        .filter(({ kind }) => kind === "l3")
        .map(({ name, user, host }) => [name, user, host]);
      const unnumbered = (rows: (string | undefined)[][]) =>
        rows.map(([name, ...rest]) => [name?.replace(/\d+$/, "N"), ...rest]).sort();
      expect(unnumbered(own)).toEqual(unnumbered(theirs));
      const macOf = async (at: Namespace, address: string) =>
        (
          JSON.parse((await at.ip("-j", "neigh", "show", "to", address)).stdout) as {
            lladdr: string;
          }[]
        )[0]?.lladdr;
      expect(await macOf(lans.a, north.A.ipv4)).toBe((await macOf(others.a, north.A.ipv4))!);
      await (reference as SoftEtherServer).stop();
    } finally {
      await others[Symbol.asyncDispose]();
    }
  }, 120_000);

  test("IPv6 the same", async () => {
    const { a, c } = lans;
    expect(await oneEcho(a, north.A.ipv6)).toBe(`ttl 255 (${north.A.ipv6})`);
    expect(await oneEcho(a, north.B.ipv6)).toBe(`ttl 255 (${north.B.ipv6})`);
    expect(await oneEcho(a, HOSTS.c.ipv6)).toBe(`ttl 62 (${HOSTS.c.ipv6})`);
    expect(await oneEcho(c, HOSTS.a.ipv6, "-s", "1452")).toBe(`ttl 62 (${HOSTS.a.ipv6})`);
    expect(await oneEcho(a, HOSTS.c.ipv6, "-s", "4000")).toBe(`ttl 62 (${HOSTS.c.ipv6})`);
    expect(await oneEcho(a, HOSTS.c.ipv6, "-t", "1")).toBe(
      `Time exceeded: Hop limit (${north.A.ipv6})`,
    );
    expect(await oneEcho(a, HOSTS.c.ipv6, "-t", "2")).toBe(
      `Time exceeded: Hop limit (${south.B.ipv6})`,
    );
    expect(await oneEcho(a, "fd00:99::1")).toBe(
      `Destination unreachable: No route (${north.A.ipv6})`,
    );
  });

  test("hosts that do not answer are told about, which the reference keeps to itself", async () => {
    const [v4, v6] = await Promise.all([
      oneEcho(lans.a, SILENT.ipv4),
      oneEcho(lans.a, SILENT.ipv6),
    ]);
    expect(v4).toBe(`Destination Host Unreachable (${south.B.ipv4})`);
    expect(v6).toBe(`Destination unreachable: Address unreachable (${south.B.ipv6})`);
  });

  test.each([
    ["IPv4", "ipv4"],
    ["IPv6", "ipv6"],
  ] as const)("carry TCP of %s both ways", async (_, family) => {
    const { a, c } = lans;
    for (const [from, to, address] of [
      [a, c, HOSTS.c[family]],
      [c, a, HOSTS.a[family]],
    ] as const) {
      const { bytes, sent, received } = await transfer(from, to, address, TRANSFER_BYTES);
      expect([bytes, received]).toEqual([TRANSFER_BYTES, sent]);
    }
  });

  test.each([
    ["IPv4", "ipv4"],
    ["IPv6", "ipv6"],
  ] as const)("carry iperf3 of %s, both ways at once", async (_, family) => {
    const { a, c } = lans;
    const daemon = c.spawn(["iperf3", "-s", "-1", "-p", "5201"]);
    await c.waitListening(5201);
    const { stdout } = await a.check(
      ["iperf3", "-J", "-t", "1", "--bidir", "-p", "5201", "-c", HOSTS.c[family]],
      { deadlineMs: 30_000 },
    );
    await daemon.stop();
    const { end } = JSON.parse(stdout) as {
      end: Record<"sum_received" | "sum_received_bidir_reverse", { bytes: number }>;
    };
    expect(end.sum_received.bytes).toBeGreaterThan(1_000_000);
    expect(end.sum_received_bidir_reverse.bytes).toBeGreaterThan(1_000_000);
  });

  test("are told of by commands, which stop and start them over restarts", async () => {
    const { a } = lans;
    const list = await server.command("l3", "list");
    expect(list.stdout).toMatch(/north\s+online\s+A, B\s+2/);
    const shown = await server.command("l3", "show", "NORTH");
    for (const text of ["10.1.0.254/24, fd00:1::fe/64", "5e:a3:", "SID-L3-NORTH-", HOSTS.a.ipv4]) {
      expect(shown.stdout).toContain(text);
    }
    const stopped = await server.command("l3", "stop", "north", "--json");
    expect(JSON.parse(stopped.stdout) as L3SwitchStatus).toMatchObject({ state: "stopped" });
    expect(await echo(a, HOSTS.c.ipv4)).not.toBe("answered");
    expect((await server.snapshot()).hubs[0]!.innerSessions.some(({ kind }) => kind === "l3")).toBe(
      false,
    );
    await server.stop();
    await server.restart();
    await waitSwitches(server, "stopped", "online");
    await server.command("l3", "start", "north");
    await waitSwitches(server, "online", "online");
    await waitPing(a, HOST_DEVICE, HOSTS.c.ipv4);
    const unknown = await server.command("l3", "start", "east");
    expect([unknown.exitCode, unknown.stderr]).toEqual([
      64,
      expect.stringContaining("it has north, south"),
    ]);
  });

  test("a reload of routes and interfaces disturbs no flow", async () => {
    const { a } = lans;
    await waitPing(a, HOST_DEVICE, HOSTS.c.ipv4);
    const b = south.B;
    const more = `route = [
      { to = "10.3.0.0/24", via = "${b.ipv4}" },
      { to = "fd00:3::/64", via = "${b.ipv6}" },
      { to = "10.77.0.0/16", via = "${b.ipv4}" },
    ]`;
    const flow = a.spawn(["ping", "-n", "-i", "0.02", "-c", "150", "-W", "9", HOSTS.c.ipv4]);
    await until("the flow", () => flow.lines.stdout.length > 5);
    await server.reload(routedConfig({ north: more }));
    await server.reload(routedConfig({ north: `${more}\ninterface.C = "10.3.0.253/24"` }));
    await server.reload(routedConfig());
    expect(flow.alive).toBe(true);
    await flow.ended(20_000);
    expect(flow.lines.stdout.join("\n")).toContain("150 packets transmitted, 150 received");
  });

  test("are online only while all of their hubs are", async () => {
    await server.reload(routedConfig({ offline: "B" }));
    await waitSwitches(server, "waiting", "waiting");
    expect((await server.command("l3", "list")).stdout).toContain("waiting: hub B is offline");
    expect(await echo(lans.a, north.A.ipv4)).not.toBe("answered");
    await server.reload(routedConfig());
    await waitSwitches(server, "online", "online");
    await waitPing(lans.a, HOST_DEVICE, HOSTS.c.ipv4);
    const { sent, received } = await ping(lans.a, HOSTS.c.ipv4);
    expect(received).toBe(sent);
  });

  test("announce themselves to IPv6 hosts where they are to", async () => {
    const { c } = lans;
    await c.check(["sysctl", "-qw", `net.ipv6.conf.${HOST_DEVICE}.accept_ra=2`]);
    await server.reload(`${routedConfig()}\nra = true\n`);
    const addresses = async () => (await c.ip("-6", "addr", "show", "dev", HOST_DEVICE)).stdout;
    await until("an address of the switch's network", async () =>
      /inet6 fd00:3::\S+ff:fe\S+ .*dynamic/.test(await addresses()),
    );
    const routes = await c.ip("-6", "route", "show", "default");
    expect(routes.stdout).toMatch(/via fe80::5ca3:\S+ dev eth0 proto ra .* pref low/);
  });
});
