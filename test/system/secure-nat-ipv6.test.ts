import { expect, test } from "bun:test";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { NAT, NatWorld, OUTSIDE } from "../support/nat-world.ts";
import { until } from "../support/process.ts";

const DEVICE = "eth0";
const LINK_LOCAL = /fe80::[0-9a-f:]+/;

/** What the guest's routers say, as rdisc6 shows it: asked once, answered by one. */
async function advertisement(guest: Namespace): Promise<string> {
  return until("a router advertisement", async () => {
    const asked = await guest.run(["rdisc6", "-1", "-w", "2000", DEVICE]);
    return asked.exitCode === 0 && asked.stdout;
  });
}

/** A line of rdisc6: its label, then the value behind a colon. */
function field(text: string, label: string): string | undefined {
  return new RegExp(`^ *${label} *: *(.*?) *$`, "m").exec(text)?.[1];
}

async function defaultRoute(guest: Namespace): Promise<string> {
  return (await guest.ip("-6", "route", "show", "default")).stdout;
}

describeSystem("SecureNAT's IPv6 for Linux guests", ["rdisc6", "ndisc6", "dhclient"], () => {
  test("a guest makes an address, takes the route, and knows the router's name server and domain", async () => {
    await using nat = await NatWorld.open();
    await nat.start('dhcp.domain = "branch.example"');
    const address = await nat.waitIpv6();
    expect(address.startsWith("fd93:30:")).toBe(true);
    expect(await defaultRoute(nat.guest)).toMatch(/via fe80::/);
    const said = await advertisement(nat.guest);
    expect(field(said, "Prefix")).toBe(NAT.prefix);
    expect(field(said, "On-link")).toBe("Yes");
    expect(field(said, "Autonomous address conf.")).toBe("Yes");
    expect(field(said, "Recursive DNS server")).toBe(NAT.host6);
    expect(field(said, "DNS search list")).toMatch(/^branch\.example/);
    expect(field(said, "MTU")).toMatch(/^1500 /);
    expect(field(said, "Stateful address conf.")).toBe("No");
    expect(field(said, "Stateful other conf.")).toBe("Yes");
    expect(field(said, "Router lifetime")).toMatch(/\(0x00000708\)/);
    const ping = await nat.guest.run(["ping", "-6", "-nc2", "-i0.2", "-W2", NAT.host6]);
    expect(ping.stdout).toContain("2 received");
  });

  test("neighbours find the host by solicitation, and nobody else takes its address", async () => {
    await using nat = await NatWorld.open();
    await nat.start();
    await nat.waitIpv6();
    const found = await nat.guest.check(["ndisc6", "-1", "-w", "2000", NAT.host6, DEVICE]);
    expect(found.stdout).toMatch(/^Target link-layer address: [0-9A-F:]{17}$/m);
    // The kernel's own look whether an address is free (RFC 4862 5.4).
    await nat.guest.check(["sysctl", "-qw", `net.ipv6.conf.${DEVICE}.accept_dad=1`]);
    await nat.guest.ip("addr", "add", `${NAT.host6}/64`, "dev", DEVICE);
    await until("the address to be found taken", async () => {
      const shown = await nat.guest.ip("-6", "addr", "show", "dev", DEVICE);
      return shown.stdout.includes("dadfailed");
    });
  });

  test("a switch that snoops multicast between them learns which groups the host listens to", async () => {
    await using nat = await NatWorld.open();
    await nat.start();
    await nat.waitIpv6();
    // The guest's kernel is that switch; it asks who listens (RFC 4541 3).
    const { guest } = nat;
    const eager = ["startup_query_interval", "query_response_interval", "startup_query_count"];
    const fast = eager.flatMap((option) => [`mcast_${option}`, "100"]);
    const bridge = ["mcast_snooping", "1", "mcast_querier", "1", ...fast, "forward_delay", "0"];
    await guest.ip("link", "add", "br0", "type", "bridge", ...bridge);
    await guest.ip("link", "set", DEVICE, "master", "br0");
    await guest.ip("link", "set", "br0", "up");
    await until(
      "the host's groups",
      async () => {
        const { stdout } = await guest.check(["bridge", "mdb", "show", "dev", "br0"]);
        return stdout.includes(`port ${DEVICE} grp ff02::1:ff00:1`);
      },
      { deadlineMs: 30_000 },
    );
    await guest.check(["ndisc6", "-1", "-w", "2000", NAT.host6, "br0"]);
  });

  test("it is no default router while the server has no way out, and guests hear of it at once", async () => {
    await using nat = await NatWorld.open();
    await nat.server.ip("-6", "route", "del", "default");
    await nat.start();
    await until("an address", async () => {
      const shown = await nat.guest.ip("-6", "addr", "show", "dev", DEVICE, "scope", "global");
      return shown.stdout.includes("fd93:30:");
    });
    expect(await defaultRoute(nat.guest)).toBe("");
    expect(field(await advertisement(nat.guest), "Router lifetime")).toMatch(/\(0x00000000\)/);
    await nat.server.ip("route", "add", "default", "via", OUTSIDE.router6);
    await until("the route of the guest", async () =>
      LINK_LOCAL.test(await defaultRoute(nat.guest)),
    );
    await nat.server.ip("-6", "route", "del", "default");
    await until("its end", async () => (await defaultRoute(nat.guest)) === "");
  });

  test("DHCPv6 tells dhclient name server and domain, and gives no address", async () => {
    await using nat = await NatWorld.open();
    await nat.start('dhcp.domain = "branch.example"');
    await nat.waitIpv6();
    const folder = nat.world.folder("dhclient");
    const informed = await nat.guest.check([
      "dhclient",
      "-6",
      "-S",
      "-1",
      "-v",
      "-d",
      "--no-pid",
      "-lf",
      `${folder}/leases`,
      "-sf",
      "/usr/bin/env",
      DEVICE,
    ]);
    const output = informed.stdout + informed.stderr;
    expect(output).toContain(`new_dhcp6_name_servers=${NAT.host6}`);
    expect(output).toMatch(/new_dhcp6_domain_search=branch\.example\./);
  });

  test("a server that stops takes its route and prefix back", async () => {
    await using nat = await NatWorld.open();
    const server = await nat.start();
    await nat.waitIpv6();
    await server.stop();
    await until("the end of the route", async () => (await defaultRoute(nat.guest)) === "");
    const shown = await nat.guest.ip("-6", "addr", "show", "dev", DEVICE, "scope", "global");
    expect(shown.stdout).toMatch(/fd93:30:\S+ .*deprecated/);
  });

  test("with ipv6 = false there is no router, no answer and no address", async () => {
    await using nat = await NatWorld.open();
    await nat.start("ipv6 = false");
    await nat.dress();
    const asked = await nat.guest.run(["rdisc6", "-1", "-r", "2", "-w", "700", DEVICE]);
    expect(asked.exitCode).not.toBe(0);
    expect(
      (await nat.guest.ip("-6", "addr", "show", "dev", DEVICE, "scope", "global")).stdout,
    ).toBe("");
  });
});
