// Whose address is whose: the policies that rest on the IP table (hub.md 2.8).
import { describe, expect, test } from "bun:test";
import { type Policy } from "../../src/config/policy.ts";
import { DHCP_TYPE } from "../../src/wire/dhcp.ts";
import { configure } from "../hub/configure.ts";
import { arp, BROADCAST, frame, ipv4, lan, mac, udp } from "../hub/frames.ts";
import { CLIENT_MODE, World } from "../hub/world.ts";
import {
  A,
  ack,
  B,
  dhcp,
  from4,
  from6,
  global6,
  pair,
  passes,
  rows,
  SERVER,
} from "./ip-stations.ts";

describe("CheckIP and CheckIPv6", () => {
  test.each([
    ["check_ip", (from: number, n: number) => from4(from, lan(n))],
    ["check_ip", (from: number, n: number) => arp({ to: BROADCAST, from, ip: lan(n) })],
    ["dhcp_force", (from: number, n: number) => from4(from, lan(n))],
    ["check_ipv6", from6],
  ] as const)(
    "%s stops an address that is fresh at another port, with both owners in the log",
    (policy, from) => {
      const { world, a } = pair();
      const checked = world.attach("bridge", { [policy]: true });
      a.send(from(A, 1));
      world.now += 12_999;
      expect(passes(checked, a, [from(B, 1)])).toEqual([false]);
      expect(world.drops(checked)).toEqual({ ip_conflict: 1 });
      const isV6 = policy === "check_ipv6";
      expect(world.events("ip_conflict").map((line) => line.fields)).toMatchObject([
        {
          hub: "TEST",
          address: isV6 ? "fe80::1" : "192.168.0.1",
          port: checked.name,
          mac: "02:00:00:00:00:02",
          owner: a.name,
          owner_mac: "02:00:00:00:00:01",
          leased: false,
        },
      ]);
      world.now += 1;
      if (policy === "dhcp_force") return;
      expect(passes(checked, a, [from(B, 1), from(B, 2)])).toEqual([true, true]);
    },
  );

  test("a port that has lost an address to another is stopped at once, however often it used it", () => {
    const world = new World();
    const checked = world.attach("bridge", { check_ip: true });
    const free = world.attach("bridge");
    expect(passes(checked, free, [from4(A, lan(1)), from4(A, lan(1))])).toEqual([true, true]);
    expect(passes(free, checked, [from4(B, lan(1))])).toEqual([true]);
    expect(passes(checked, free, [from4(A, lan(1))])).toEqual([false]);
    expect(world.drops(checked)).toEqual({ ip_conflict: 1 });
  });

  test("neither policy stops the other family, nor public addresses, which are not listed", () => {
    const { world, a } = pair();
    const checked = world.attach("bridge", { check_ipv6: true });
    a.send(from4(A, lan(1)), global6(A, 1));
    expect(passes(checked, a, [from4(B, lan(1)), global6(B, 1)])).toEqual([true, true]);
    const v4 = world.attach("bridge", { check_ip: true });
    a.send(from6(A, 1));
    expect(passes(v4, a, [from6(B, 1)])).toEqual([true]);
  });

  test("an address that was stopped does not count against the limit", () => {
    const { world, a } = pair();
    const checked = world.attach("client", { ...CLIENT_MODE, check_ip: true });
    for (let n = 1; n <= 6; n += 1) a.send(from4(A, lan(n)));
    passes(
      checked,
      a,
      [1, 2, 3, 4, 5, 6].map((n) => from4(B, lan(n))),
    );
    expect(world.hub.ipCount(checked.at, 4)).toBe(0);
  });
});

describe("DHCP", () => {
  function office(policy: Partial<Policy> = { dhcp_force: true }) {
    const world = new World();
    const server = world.attach("local-bridge");
    const client = world.attach("client", policy);
    client.send(frame({ to: BROADCAST, from: A }));
    return { world, server, client };
  }

  test("an ACK binds the address to the port that has the client's MAC, and tells so once", () => {
    const { world, server, client } = office();
    server.send(ack(lan(20), A), ack(lan(20), A));
    expect(rows(world)).toEqual([["192.168.0.20", client.name, A, "DHCP"]]);
    expect(world.events("dhcp_lease").map((line) => line.fields)).toMatchObject([
      {
        hub: "TEST",
        address: "192.168.0.20",
        mac: "02:00:00:00:00:01",
        port: client.name,
        server: server.name,
        server_mac: "02:00:00:00:00:63",
        server_address: "192.168.0.254",
      },
    ]);
  });

  test("an ACK is seen though its server has just been looked up", () => {
    const { world, server } = office();
    server.send(from4(SERVER, lan(254)), ack(lan(20), A));
    expect(rows(world).map(([address]) => address)).toEqual(["192.168.0.20", "192.168.0.254"]);
  });

  test("no other message binds an address, nor an ACK for a host that is not known", () => {
    const { world, server } = office();
    server.send(
      dhcp(DHCP_TYPE.OFFER, { yiaddr: lan(20), chaddr: A }),
      dhcp(DHCP_TYPE.NAK, { yiaddr: lan(20), chaddr: A }),
      ack(0, A),
      ack(0xffff_ffff, A),
      ack(lan(21), mac(77)),
    );
    expect(rows(world)).toEqual([]);
  });

  test("NoDhcpPacketLogOutsideHub off tells of servers on the client's own port, too", () => {
    const world = new World();
    const site = world.attach("bridge");
    site.send(frame({ to: BROADCAST, from: A }), ack(lan(20), A));
    expect(world.events("dhcp_lease")).toEqual([]);
    configure(world, { NoDhcpPacketLogOutsideHub: 0 });
    site.send(ack(lan(21), A));
    expect(world.events("dhcp_lease").length).toBe(1);
  });

  test("a lease lives 300 s from the last frame of its host", () => {
    const { world, server, client } = office();
    server.send(ack(lan(20), A));
    world.now += 250_000;
    client.send(from4(A, lan(20)));
    world.now += 300_000;
    expect(rows(world)).toEqual([["192.168.0.20", client.name, A, "DHCP"]]);
    world.now += 1;
    expect(rows(world)).toEqual([]);
  });

  test("DHCPForce stops addresses that no server gave, ARP and public ones too, and lets leases, DHCP and IPv6 pass", () => {
    const { world, server, client } = office();
    const discover = ipv4({
      to: BROADCAST,
      from: A,
      ip: 0,
      protocol: 17,
      body: udp(68, 67, new Uint8Array(240)),
    });
    const probe = arp({ to: BROADCAST, from: A, ip: 0 });
    const foreign = [
      from4(A, lan(5)),
      arp({ to: BROADCAST, from: A, ip: lan(5) }),
      from4(A, 0x0808_0808),
    ];
    expect(passes(client, server, foreign)).toEqual([false, false, false]);
    expect(passes(client, server, [discover, probe, from6(A, 1)])).toEqual([true, true, true]);
    server.send(ack(lan(20), A));
    client.take();
    const leased = [from4(A, lan(20)), arp({ to: BROADCAST, from: A, ip: lan(20) })];
    expect(passes(client, server, leased)).toEqual([true, true]);
    expect(passes(client, server, [from4(A, lan(5))])).toEqual([false]);
    expect(world.drops(client)).toEqual({ ip_not_leased: 4 });
    expect(world.events("ip_not_leased")[0]!.fields).toMatchObject({
      address: "192.168.0.5",
      port: client.name,
    });
  });

  test("DHCPForce stops an address that another port used first, even when its window is over", () => {
    const { world, server, client } = office();
    server.send(from4(SERVER, lan(30)));
    expect(passes(client, server, [from4(A, lan(30))])).toEqual([false]);
    world.now += 13_000;
    expect(passes(client, server, [from4(A, lan(30))])).toEqual([false]);
    expect(world.drops(client)).toEqual({ ip_conflict: 1, ip_not_leased: 1 });
    // Whoever gets it by DHCP has it.
    server.send(ack(lan(30), A));
    expect(passes(client, server, [from4(A, lan(30))])).toEqual([true]);
  });

  test("DHCPForce stops a lease of another port until it is stale", () => {
    const { world, server, client } = office();
    const other = world.attach("client", { dhcp_force: true });
    server.send(ack(lan(20), A));
    client.send(from4(A, lan(20)));
    expect(passes(other, server, [from4(B, lan(20))])).toEqual([false]);
    world.now += 13_000;
    expect(passes(other, server, [from4(B, lan(20))])).toEqual([true]);
    expect(rows(world)[0]).toEqual(["192.168.0.20", other.name, B, "DHCP"]);
  });

  test("DHCPForce that is switched on takes effect on addresses in use", () => {
    const { client, server } = office({});
    expect(passes(client, server, [from4(A, lan(5))])).toEqual([true]);
    client.at.reconfigure({ ...client.at.policy, dhcp_force: true });
    expect(passes(client, server, [from4(A, lan(5))])).toEqual([false]);
    client.at.reconfigure({ ...client.at.policy, dhcp_force: false });
    expect(passes(client, server, [from4(A, lan(5))])).toEqual([true]);
  });
});

describe("Hub.handOver()", () => {
  test("frees MACs and addresses of a port for another, which CheckMac and CheckIP would hold out", () => {
    const world = new World();
    const policy = { check_mac: true, check_ip: true, check_ipv6: true };
    const listener = world.attach("bridge");
    const [before, after] = [world.attach("client", policy), world.attach("client", policy)];
    const frames = [from4(A, lan(1)), from6(A, 1)];
    before.send(...frames);
    expect(passes(after, listener, frames)).toEqual([false, false]);
    world.hub.handOver(before.at, after.at);
    expect(rows(world)).toEqual([]);
    expect(passes(after, listener, frames)).toEqual([true, true]);
    expect(passes(before, listener, frames)).toEqual([false, false]);
  });

  test("leases go along, and outlive the old port", () => {
    const world = new World();
    const server = world.attach("local-bridge");
    const [before, after] = [1, 2].map(() => world.attach("client", { dhcp_force: true }));
    before!.send(frame({ to: BROADCAST, from: A }));
    server.send(ack(lan(20), A));
    before!.send(from4(A, lan(20)));
    world.hub.handOver(before!.at, after!.at);
    before!.at.detach();
    expect(passes(after!, server, [from4(A, lan(20))])).toEqual([true]);
    expect(rows(world)).toEqual([["192.168.0.20", after!.name, A, "DHCP"]]);
  });

  test("a port that is still in use gets its leases back with its next frame, which none holds up", () => {
    const world = new World();
    const server = world.attach("local-bridge");
    const [before, after] = [1, 2].map(() => world.attach("client", { dhcp_force: true }));
    before!.send(frame({ to: BROADCAST, from: A }));
    server.send(ack(lan(20), A));
    world.hub.handOver(before!.at, after!.at);
    expect(passes(before!, server, [from4(A, lan(20))])).toEqual([true]);
    expect(passes(after!, server, [from4(A, lan(20))])).toEqual([false]);
  });

  test("does nothing for a port that has left", () => {
    const { world, a, b } = pair();
    a.at.detach();
    const again = world.attach("bridge");
    expect(again.at.index).toBe(a.at.index);
    again.send(from4(A, lan(1)));
    world.hub.handOver(a.at, b.at);
    expect(rows(world)).toEqual([["192.168.0.1", again.name, A]]);
  });
});
