// The IP table of a hub (hub.md 2.8).
import { describe, expect, test } from "bun:test";
import { type Ipv4, tryParseAddress } from "../../src/base/ip.ts";
import { MAX_IP_ENTRIES } from "../../src/base/limits.ts";
import { DHCP_TYPE, encodeDhcp } from "../../src/wire/dhcp.ts";
import { configure } from "../hub/configure.ts";
import { arp, BROADCAST, ipv4, ipv6, lan, udp } from "../hub/frames.ts";
import { CLIENT_MODE, World } from "../hub/world.ts";
import {
  A,
  ack,
  B,
  from4,
  from6,
  global6,
  LINK_LOCAL,
  pair,
  passes,
  rows,
  SERVER,
} from "./ip-stations.ts";

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
