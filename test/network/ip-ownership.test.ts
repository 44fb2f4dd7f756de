// Whose address is whose: the IP table and the policies that rest on it (hub.md 2.8).
import { describe, expect, test } from "bun:test";
import { formatAddress, type Ipv4, tryParseAddress } from "../../src/base/ip.ts";
import { MAX_IP_ENTRIES } from "../../src/base/limits.ts";
import type { MacAddress } from "../../src/base/mac.ts";
import type { Policy } from "../../src/config/policy.ts";
import { DHCP_TYPE, type DhcpType, encodeDhcp } from "../../src/wire/dhcp.ts";
import { configure } from "../hub/configure.ts";
import { arp, BROADCAST, frame, ipv4, ipv6, lan, mac, udp } from "../hub/frames.ts";
import { CLIENT_MODE, type Plugged, World } from "../hub/world.ts";

const [A, B, SERVER] = [mac(1), mac(2), mac(99)];
const LINK_LOCAL = [0xfe80, 0, 0, 0, 0, 0, 0];
const from4 = (from: number, ip: number, tags: number[] = []) =>
  ipv4({ to: BROADCAST, from, ip, tags });
const from6 = (from: number, n: number) => ipv6({ to: BROADCAST, from, ip: [...LINK_LOCAL, n] });
const global6 = (from: number, n: number) =>
  ipv6({ to: BROADCAST, from, ip: [0x2001, 0xdb8, 0, 0, 0, 0, 0, n] });

/** What lists show: address, port, MAC, and how it was got. */
function rows(world: World) {
  return world.hub
    .ipTable()
    .map(({ address, port, mac: at, isLeased }) => [
      formatAddress(address.bytes),
      port.name,
      at,
      ...(isLeased ? ["DHCP"] : []),
    ])
    .sort();
}

function dhcp(type: DhcpType, parts: { yiaddr: number; chaddr: number; ip?: number }): Uint8Array {
  const message = encodeDhcp({
    op: "reply",
    type,
    xid: 1,
    secs: 0,
    wantsBroadcast: true,
    ciaddr: 0 as Ipv4,
    yiaddr: parts.yiaddr as Ipv4,
    siaddr: 0 as Ipv4,
    giaddr: 0 as Ipv4,
    chaddr: parts.chaddr as MacAddress,
    options: new Map(),
  });
  return ipv4({
    to: BROADCAST,
    from: SERVER,
    ip: parts.ip ?? lan(254),
    protocol: 17,
    body: udp(67, 68, message),
  });
}
const ack = (yiaddr: number, chaddr: number) => dhcp(DHCP_TYPE.ACK, { yiaddr, chaddr });

/** Whether each of the frames gets through to `listener`, sent one by one. */
function passes(port: Plugged, listener: Plugged, frames: Uint8Array[]): boolean[] {
  listener.take();
  return frames.map((bytes) => {
    port.send(bytes);
    return listener.take().length === 1;
  });
}

function pair(policy: Partial<Policy> = {}) {
  const world = new World();
  return { world, a: world.attach("bridge", policy), b: world.attach("bridge", policy) };
}

describe("Hub.ipTable()", () => {
  test("lists sources of IPv4, ARP and IPv6 with MAC and times, the one heard last first", () => {
    const { world, a, b } = pair();
    const start = world.now;
    a.send(from4(A, lan(1)), arp({ to: BROADCAST, from: A, ip: lan(2) }));
    world.now += 2000;
    b.send(from6(B, 5));
    a.send(from4(A, lan(1)));
    expect(rows(world)).toEqual([
      ["192.168.0.1", a.name, A],
      ["192.168.0.2", a.name, A],
      ["fe80::5", b.name, B],
    ]);
    const [first] = world.hub.ipTable();
    expect(first).toMatchObject({ created: start, updated: world.now, port: a.at });
    expect(new Set(world.hub.ipTable().map((entry) => entry.id)).size).toBe(3);
  });

  test("VLANs are networks apart: what is tagged is neither listed nor checked", () => {
    const { world, a } = pair();
    const policy = { check_ip: true, check_ipv6: true, dhcp_force: true };
    const checked = world.attach("bridge", policy);
    a.send(from4(A, lan(1)), from6(A, 1));
    const tagged = [
      from4(B, lan(1), [7]),
      arp({ to: BROADCAST, from: B, ip: lan(1), tags: [7] }),
      ipv6({ to: BROADCAST, from: B, ip: [...LINK_LOCAL, 1], tags: [7] }),
    ];
    expect(passes(checked, a, tagged)).toEqual([true, true, true]);
    expect(rows(world).map(([, port]) => port)).toEqual([a.name, a.name]);
  });

  test("leaves out what is nobody's address, DHCP clients, and polls of hubs", () => {
    const { world, a } = pair();
    const station = 0x00ae_1122_3344;
    const discover = ipv4({
      to: BROADCAST,
      from: A,
      ip: lan(9),
      protocol: 17,
      body: udp(
        68,
        67,
        encodeDhcp({
          op: "request",
          type: DHCP_TYPE.DISCOVER,
          xid: 1,
          secs: 0,
          wantsBroadcast: false,
          ciaddr: 0 as Ipv4,
          yiaddr: 0 as Ipv4,
          siaddr: 0 as Ipv4,
          giaddr: 0 as Ipv4,
          chaddr: A,
          options: new Map(),
        }),
      ),
    });
    a.send(
      from4(A, 0),
      from4(A, 0xffff_ffff),
      arp({ to: BROADCAST, from: A, ip: 0 }),
      discover,
      ipv6({ to: BROADCAST, from: A, ip: [0, 0, 0, 0, 0, 0, 0, 0] }),
      ipv6({ to: BROADCAST, from: A, ip: [0, 0, 0, 0, 0, 0, 0, 1] }),
      ipv6({ to: BROADCAST, from: A, ip: [0xff02, 0, 0, 0, 0, 0, 0, 1] }),
      ipv6({ to: BROADCAST, from: A, ip: [0xffff, 0xffff, 0, 0, 0, 0, 0xc0a8, 1] }),
      arp({ to: BROADCAST, from: station, ip: 0xac1f_0101 }),
      ipv6({ to: BROADCAST, from: station, ip: [0xfe80, 0, 0, 0, 0x02ae, 0x11ff, 0xfe22, 3] }),
    );
    expect(rows(world)).toEqual([]);
  });

  test("ManageOnlyPrivateIP and ManageOnlyLocalUnicastIPv6 say what is listed", () => {
    const { world, a } = pair();
    const all = [
      "10.0.0.1",
      "172.16.0.1",
      "172.31.255.1",
      "192.168.9.9",
      "169.254.1.1",
      "172.32.0.1",
      "8.8.8.8",
    ];
    const send = () => {
      for (const text of all)
        a.send(from4(A, new DataView(tryParseAddress(text)!.bytes.buffer).getUint32(0)));
      a.send(from6(A, 1), global6(A, 2));
    };
    send();
    const listed = () => rows(world).map(([address]) => address as string);
    expect(listed()).toEqual([...all.slice(0, 5), "fe80::1"].sort());
    configure(world, { ManageOnlyPrivateIP: 0, ManageOnlyLocalUnicastIPv6: 0 });
    send();
    expect(listed()).toEqual([...all, "fe80::1", "2001:db8::2"].sort());
  });

  test.each(["NoIpTable", "DisableIPParsing"] as const)(
    "%s leaves the table empty, and no address is counted or checked",
    (option) => {
      const { world, a, b } = pair({ ...CLIENT_MODE, check_ip: true, dhcp_force: true });
      configure(world, { [option]: 1 });
      const frames = Array.from({ length: 6 }, (_, n) => from4(A, lan(n + 1)));
      expect(passes(a, b, frames)).toEqual(frames.map(() => true));
      expect(rows(world)).toEqual([]);
    },
  );

  test("forgets an address 60 s after its last frame, strictly", () => {
    const { world, a } = pair();
    a.send(from4(A, lan(1)), from6(A, 1));
    world.now += 60_000;
    expect(rows(world).length).toBe(2);
    world.now += 1;
    expect(rows(world)).toEqual([]);
  });

  test("mac-rules: an address stays listed until another is learnt after its time", () => {
    const { world, a } = pair();
    configure(world, {}, ["mac-rules"]);
    a.send(from4(A, lan(1)));
    world.now += 70_000;
    expect(rows(world).length).toBe(1);
    a.send(from4(A, lan(2)));
    expect(rows(world).map(([address]) => address)).toEqual(["192.168.0.2"]);
  });

  test("the address unseen for longest goes when the table is full", () => {
    const world = new World();
    const [a, b] = [world.attach("local-bridge"), world.attach("bridge")];
    b.send(from4(B, lan(1)));
    world.now += 1;
    for (let n = 0; n < MAX_IP_ENTRIES; n += 512)
      a.send(...Array.from({ length: 512 }, (_, i) => from4(A, 0x0a00_0000 + n + i)));
    const table = world.hub.ipTable();
    expect(table.length).toBe(MAX_IP_ENTRIES);
    expect(table.filter((entry) => entry.port === b.at)).toEqual([]);
    b.send(from4(B, lan(1)));
    expect(world.hub.ipTable().filter((entry) => entry.port === b.at).length).toBe(1);
  });

  test("FR-11 a session that sends from 100,000 addresses leaves those of others, and leases, in place", () => {
    const world = new World();
    const server = world.attach("local-bridge");
    const client = world.attach("client");
    const flooder = world.attach("bridge");
    client.send(from4(A, lan(1)));
    server.send(ack(lan(20), A));
    world.now += 1000;
    server.send(from4(SERVER, lan(254)));
    client.take();
    for (let n = 0; n < 100_000; n += 500)
      flooder.send(...Array.from({ length: 500 }, (_, i) => from4(B, 0x0a00_0000 + n + i)));
    expect(client.take().length).toBe(100_000);
    expect(rows(world).filter(([, port]) => port !== flooder.name)).toEqual([
      ["192.168.0.1", client.name, A],
      ["192.168.0.20", client.name, A, "DHCP"],
      ["192.168.0.254", server.name, SERVER],
    ]);
    expect(world.hub.ipTable().filter(({ port }) => port === flooder.at).length).toBe(4096);
    // A bridge is a whole network, and takes what room there is; what a DHCP server gave stays.
    for (let n = 0; n < MAX_IP_ENTRIES; n += 512)
      server.send(...Array.from({ length: 512 }, (_, i) => from4(SERVER, 0x0afe_ffff - n - i)));
    expect(world.hub.ipTable().length).toBe(MAX_IP_ENTRIES);
    expect(rows(world).filter((row) => row.length === 4)).toHaveLength(1);
  });

  test("removeIp() forgets one address, which is learnt anew by its next frame", () => {
    const { world, a } = pair();
    a.send(from4(A, lan(1)), from6(A, 1));
    expect(world.hub.removeIp(tryParseAddress("192.168.0.1")!)).toBe(true);
    expect(world.hub.removeIp(tryParseAddress("192.168.0.1")!)).toBe(false);
    expect(world.hub.removeIp(tryParseAddress("fe80::2")!)).toBe(false);
    expect(rows(world)).toEqual([["fe80::1", a.name, A]]);
    a.send(from4(A, lan(1)));
    expect(rows(world).length).toBe(2);
  });

  test("a port takes its addresses along when it leaves", () => {
    const { world, a, b } = pair();
    a.send(from4(A, lan(1)), from6(A, 1));
    b.send(from4(B, lan(2)));
    a.at.detach();
    expect(rows(world)).toEqual([["192.168.0.2", b.name, B]]);
  });

  test("an address moves to the port that uses it last, v4 and v6", () => {
    const { world, a, b } = pair();
    a.send(from4(A, lan(1)), from6(A, 1));
    const created = world.now;
    world.now += 10;
    b.send(from4(B, lan(1)), from6(B, 1));
    expect(rows(world)).toEqual([
      ["192.168.0.1", b.name, B],
      ["fe80::1", b.name, B],
    ]);
    expect(world.hub.ipTable()[0]!.created).toBe(created);
    // Its old port is not taken for its owner because it looked it up a moment ago.
    a.send(from4(A, lan(1)));
    expect(rows(world)[0]).toEqual(["192.168.0.1", a.name, A]);
  });

  test("ip-rules: an IPv6 address stays with its port, an IPv4 one moves", () => {
    const { world, a, b } = pair();
    configure(world, {}, ["ip-rules"]);
    a.send(from4(A, lan(1)), from6(A, 1));
    b.send(from4(B, lan(1)), from6(B, 1));
    expect(rows(world)).toEqual([
      ["192.168.0.1", b.name, B],
      ["fe80::1", a.name, A],
    ]);
  });

  test("ip-rules: the limit counts what is listed, and public addresses escape it", () => {
    const { world, a, b } = pair(CLIENT_MODE);
    configure(world, {}, ["ip-rules"]);
    const open = Array.from({ length: 6 }, (_, n) => from4(A, 0x0808_0800 + n));
    expect(passes(a, b, open)).toEqual(open.map(() => true));
    const own = Array.from({ length: 5 }, (_, n) => from4(A, lan(n + 1)));
    expect(passes(a, b, own)).toEqual([true, true, true, true, false]);
    // At the limit, what is not listed is refused as well, and what is another's is taken.
    b.send(from4(B, lan(50)));
    expect(passes(a, b, [open[0]!, from4(A, lan(50))])).toEqual([false, true]);
  });
});

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
