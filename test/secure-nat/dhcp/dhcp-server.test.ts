import { describe, expect, test } from "bun:test";
import type { Ipv4 } from "../../../src/base/ip.ts";
import { MAX_DHCP_OFFERS } from "../../../src/base/limits.ts";
import { DHCP_OPTION } from "../../../src/wire/dhcp-option.ts";
import { encodeDhcp } from "../../../src/wire/dhcp.ts";
import { fromHex } from "../../support/hex.ts";
import { DhcpWorld, ip, mac, SERVER } from "./world.ts";

const text = (value: string) => new TextEncoder().encode(value);
const name = (value: string | Uint8Array) =>
  [[DHCP_OPTION.HOST_NAME, typeof value === "string" ? text(value) : value]] as const;
const SMALL = { first: ip("192.168.30.10"), last: ip("192.168.30.12") };

describe("DhcpServer DISCOVER", () => {
  test("offers the lowest free address, and each client its own again", () => {
    using world = new DhcpWorld();
    expect(world.ask({ type: "DISCOVER", client: 1 })?.address).toBe("192.168.30.10");
    expect(world.ask({ type: "DISCOVER", client: 2 })?.address).toBe("192.168.30.11");
    expect(world.ask({ type: "DISCOVER", client: 1 })?.address).toBe("192.168.30.10");
    expect(world.bind(2)).toBe("192.168.30.11");
    expect(world.ask({ type: "DISCOVER", client: 2 })?.address).toBe("192.168.30.11");
  });

  test("prefers the requested address to the client's own, where it is free and of the pool", () => {
    using world = new DhcpWorld();
    world.bind(1);
    world.bind(2);
    const wanted = (wants: string) => world.ask({ type: "DISCOVER", wants })?.address;
    expect(wanted("192.168.30.50")).toBe("192.168.30.50");
    expect(wanted("192.168.30.11")).toBe("192.168.30.10");
    expect(wanted("192.168.30.201")).toBe("192.168.30.10");
    expect(wanted("10.0.0.5")).toBe("192.168.30.10");
  });

  test("offers a client that comes back the address that it had, while nobody else has it", () => {
    using world = new DhcpWorld();
    for (const client of [1, 2, 3]) world.bind(client);
    for (const [client, ciaddr] of [
      [1, "192.168.30.10"],
      [2, "192.168.30.11"],
    ] as const) {
      world.ask({ type: "RELEASE", client, ciaddr, server: "192.168.30.1" });
    }
    const offered = (client: number) => world.ask({ type: "DISCOVER", client })?.address;
    expect(offered(2)).toBe("192.168.30.11");
    world.clock.advance(3 * 3_600_000);
    expect(offered(3)).toBe("192.168.30.12");
    world.clock.advance(30_000);
    expect(world.bind(9)).toBe("192.168.30.10");
    expect(offered(1)).toBe("192.168.30.11");
    expect(offered(2)).toBe("192.168.30.12");
  });

  test("fills gaps from below", () => {
    using world = new DhcpWorld();
    for (const client of [1, 2, 3, 4]) world.bind(client);
    for (const [client, ciaddr] of [
      [3, "192.168.30.12"],
      [1, "192.168.30.10"],
    ] as const) {
      world.ask({ type: "RELEASE", client, ciaddr, server: "192.168.30.1" });
    }
    expect([5, 6, 7].map((client) => world.bind(client))).toEqual([
      "192.168.30.10",
      "192.168.30.12",
      "192.168.30.14",
    ]);
  });

  test("never offers the addresses of hosts that the settings name", () => {
    using world = new DhcpWorld({
      first: ip("192.168.30.1"),
      last: ip("192.168.30.7"),
      gateway: ip("192.168.30.2"),
      dns: [ip("192.168.30.3")],
      ntp: [ip("192.168.30.4")],
      routes: [
        { to: { family: 4, bytes: fromHex("0a000000"), prefix: 8 }, via: ip("192.168.30.5") },
      ],
      fixed: [{ mac: mac(9), address: ip("192.168.30.6") }],
    });
    expect(world.bind(1)).toBe("192.168.30.7");
    expect(world.ask({ type: "DISCOVER", client: 2 })).toBeUndefined();
    for (let last = 0; last < 8; last += 1) {
      const wants = `192.168.30.${last}`;
      expect(world.ask({ type: "REQUEST", client: 2, wants })?.type).toBe("NAK");
    }
  });

  test("is silent when no address is free", () => {
    using world = new DhcpWorld(SMALL);
    for (const client of [1, 2, 3]) world.bind(client);
    expect(world.ask({ type: "DISCOVER", client: 4 })).toBeUndefined();
    expect(world.server.counters.exhausted).toBe(1);
  });

  test("answers to all are 32 a second for one guest, and 2,000 for all: it floods for nobody", () => {
    using world = new DhcpWorld();
    const { counters } = world.server;
    const refused = (client: number) =>
      world.ask({ type: "REQUEST", client, wants: "10.0.0.1" }) !== undefined;
    for (let n = 0; n < 33; n += 1) expect(refused(1)).toBe(n < 32);
    expect(counters.limited).toBe(1);
    for (let client = 2; client <= 1_969; client += 1) expect(refused(client)).toBe(true);
    expect(refused(1_970)).toBe(false);
    world.clock.advance(1_000);
    expect(refused(1)).toBe(true);
    // To the client alone there is no such bound.
    for (let n = 0; n < 100; n += 1) {
      expect(world.ask({ type: "DISCOVER" })?.type).toBe("OFFER");
    }
  });

  test("DH-07 survives 10,000 discovers from 10,000 MACs on a pool of 100, with one warning", () => {
    using world = new DhcpWorld({ first: ip("192.168.30.10"), last: ip("192.168.30.109") });
    const held = [1, 2, 3, 4, 5].map((client) => world.bind(client));
    for (let client = 100; client < 10_100; client += 1) {
      world.ask({ type: "DISCOVER", client });
      world.clock.advance(5);
    }
    // 50 s of it: what was offered in the first 20 was given away a second time.
    expect(world.server.counters.offers).toBe(5 + 95 + 95);
    expect(world.leases.map((lease) => lease.split(" ")[1]!)).toEqual(held);
    expect(world.events("warn")).toEqual(["nat_pool_exhausted"]);
    world.clock.advance(30_000);
    expect(world.bind(20_000)).toBe("192.168.30.15");
  });

  test("holds 1,024 offers at most: the oldest makes room", () => {
    using world = new DhcpWorld(
      { first: ip("192.168.1.1"), last: ip("192.168.200.0") },
      { prefix: 16 },
    );
    for (let client = 1; client <= MAX_DHCP_OFFERS; client += 1) {
      world.ask({ type: "DISCOVER", client });
    }
    expect(world.ask({ type: "DISCOVER", client: 9_999 })?.address).toBe("192.168.5.1");
    expect(world.ask({ type: "DISCOVER", client: 9_998 })?.address).toBe("192.168.1.1");
  });

  test("finds addresses of a pool of 16 million at once, and takes none of them twice", () => {
    using world = new DhcpWorld({ first: 0x0a00_0002 as Ipv4, last: 0x0aff_fffe as Ipv4 });
    world.config = { ...world.config, address: 0x0a00_0001 as Ipv4, prefix: 8 };
    world.restart();
    const seen = new Set<string>();
    for (let client = 1; client <= 5_000; client += 1) {
      const offer = world.ask({ type: "DISCOVER", client });
      const ack = world.ask({ type: "REQUEST", client, wants: offer!.address });
      seen.add(ack!.address);
    }
    expect(seen.size).toBe(5_000);
    expect(world.server.list().length).toBe(5_000);
  });
});

describe("DhcpServer probing", () => {
  test("offers an address to somebody new only after nobody answered for it", () => {
    using world = new DhcpWorld({ probeMs: 200 });
    expect(world.ask({ type: "DISCOVER" })).toBeUndefined();
    expect(world.probes).toMatchObject([{ address: ip("192.168.30.10"), ms: 200 }]);
    // The client asks again meanwhile: its latest message is answered, once.
    world.ask({ type: "DISCOVER" });
    expect(world.probes).toHaveLength(1);
    world.probes[0]!.done(undefined);
    expect(world.said.map(({ type, message }) => [type, message.xid])).toEqual([["OFFER", 2]]);
  });

  test("does not delay a client that is known", () => {
    using world = new DhcpWorld({ probeMs: 200 });
    world.ask({ type: "DISCOVER" });
    world.probes[0]!.done(undefined);
    expect(world.ask({ type: "DISCOVER" })?.type).toBe("OFFER");
    world.ask({ type: "REQUEST", wants: "192.168.30.10", server: "192.168.30.1" });
    expect(world.ask({ type: "DISCOVER" })?.type).toBe("OFFER");
    expect(world.probes).toHaveLength(1);
  });

  test("passes over an address that somebody uses, lets it rest, and tells it once", () => {
    using world = new DhcpWorld({ probeMs: 200 });
    world.ask({ type: "DISCOVER" });
    world.probes[0]!.done(mac(77));
    world.probes[1]!.done(mac(78));
    world.probes[2]!.done(undefined);
    expect(world.said.map(({ address }) => address)).toEqual(["192.168.30.12"]);
    expect(world.events("warn")).toEqual(["nat_address_in_use"]);
    expect(world.ask({ type: "REQUEST", client: 5, wants: "192.168.30.10" })?.type).toBe("NAK");
    world.clock.advance(600_000);
    expect(world.ask({ type: "REQUEST", client: 5, wants: "192.168.30.10" })?.type).toBe("ACK");
  });

  test("gives up after eight addresses in a row, until the client asks again", () => {
    using world = new DhcpWorld({ probeMs: 200 });
    world.ask({ type: "DISCOVER" });
    for (let at = 0; at < world.probes.length; at += 1) world.probes[at]!.done(mac(77));
    expect(world.probes).toHaveLength(8);
    expect(world.said).toEqual([]);
    world.ask({ type: "DISCOVER" });
    expect(world.probes).toHaveLength(9);
  });

  test("takes an answer of the client itself for no conflict", () => {
    using world = new DhcpWorld({ probeMs: 200 });
    world.ask({ type: "DISCOVER" });
    world.probes[0]!.done(mac(1));
    expect(world.said.map(({ type }) => type)).toEqual(["OFFER"]);
  });

  test("ignores the end of a probe whose client has chosen, or whose server is closed", () => {
    using world = new DhcpWorld({ probeMs: 200 });
    world.ask({ type: "DISCOVER" });
    world.ask({ type: "REQUEST", wants: "192.168.30.10" });
    world.probes[0]!.done(mac(77));
    expect(world.said.map(({ type }) => type)).toEqual(["ACK"]);
    world.ask({ type: "DISCOVER", client: 2 });
    world.server.close();
    world.probes[1]!.done(undefined);
    expect(world.said).toHaveLength(1);
  });
});

describe("DhcpServer REQUEST", () => {
  test("DH-08 refuses an address outside the pool, of another's lease, network, broadcast and gateway", () => {
    using world = new DhcpWorld();
    world.bind(1);
    world.ask({ type: "DISCOVER", client: 2 });
    for (const wants of [
      "192.168.30.9",
      "192.168.30.201",
      "10.0.0.10",
      "192.168.30.10",
      "192.168.30.11",
      "192.168.30.0",
      "192.168.30.255",
      "192.168.30.1",
      "255.255.255.255",
    ]) {
      const said = world.ask({ type: "REQUEST", client: 3, wants });
      expect([wants, said?.type]).toEqual([wants, "NAK"]);
    }
    expect(world.leases).toEqual(["1 192.168.30.10"]);
  });

  test("INIT-REBOOT keeps a free address, also where no lease is known", () => {
    using world = new DhcpWorld();
    expect(world.ask({ type: "REQUEST", wants: "192.168.30.77" })).toMatchObject({
      type: "ACK",
      address: "192.168.30.77",
    });
    expect(world.leases).toEqual(["1 192.168.30.77"]);
  });

  test("RENEWING and REBINDING go on for the whole time, from the client's own address", () => {
    using world = new DhcpWorld();
    const ciaddr = world.bind(1);
    const { id, leasedAt } = world.server.list()[0]!;
    world.clock.advance(3_600_000);
    expect(world.ask({ type: "REQUEST", ciaddr })).toMatchObject({ type: "ACK", address: ciaddr });
    world.clock.advance(7_199_000);
    expect(world.server.list()).toMatchObject([{ id, leasedAt }]);
    world.clock.advance(1_000);
    expect(world.leases).toEqual([]);
  });

  test("refuses where the sender's address is not the one that it asks for", () => {
    using world = new DhcpWorld();
    const ciaddr = world.bind(1);
    for (const asked of [
      { ciaddr, source: "192.168.30.99" },
      { wants: ciaddr, source: "192.168.30.99" },
      { wants: ciaddr, ciaddr: "192.168.30.99" },
    ]) {
      expect(world.ask({ type: "REQUEST", ...asked })?.type).toBe("NAK");
    }
    expect(world.leases).toEqual(["1 192.168.30.10"]);
  });

  test("is silent where another server was chosen, and frees what was offered", () => {
    using world = new DhcpWorld();
    world.ask({ type: "DISCOVER" });
    const server = "192.168.30.2";
    expect(world.ask({ type: "REQUEST", wants: "10.0.0.5", server })).toBeUndefined();
    expect(world.ask({ type: "DISCOVER", client: 2 })?.address).toBe("192.168.30.10");
  });

  test("another address takes the place of the client's lease", () => {
    using world = new DhcpWorld();
    world.bind(1);
    world.ask({ type: "REQUEST", wants: "192.168.30.60" });
    expect(world.leases).toEqual(["1 192.168.30.60"]);
    expect(world.bind(2)).toBe("192.168.30.10");
  });

  test("grants for ever where the settings say so", () => {
    using world = new DhcpWorld({ leaseMs: Infinity });
    world.bind(1);
    world.clock.advance(2 ** 30);
    world.clock.advance(2 ** 30);
    expect(world.server.list()).toMatchObject([{ expires: undefined }]);
  });
});

describe("DhcpServer RELEASE and DECLINE", () => {
  test("DH-09 ignores the release of another's address", () => {
    using world = new DhcpWorld();
    const ciaddr = world.bind(1);
    world.bind(2);
    for (const asked of [
      { client: 2, ciaddr },
      { client: 3, ciaddr },
      { client: 1, ciaddr: "192.168.30.11" },
      { client: 1, ciaddr, server: "192.168.30.2" },
      // chaddr is only what the sender says.
      { client: 2, ciaddr, change: { chaddr: mac(1) } },
    ]) {
      world.ask({ type: "RELEASE", ...asked });
    }
    expect(world.leases).toEqual(["1 192.168.30.10", "2 192.168.30.11"]);
    world.ask({ type: "RELEASE", client: 1, ciaddr, server: "192.168.30.1" });
    expect(world.leases).toEqual(["2 192.168.30.11"]);
  });

  test("DH-10 a declined address rests for 10 minutes, and is told once", () => {
    using world = new DhcpWorld(SMALL);
    const wants = world.bind(1);
    world.ask({ type: "DECLINE", wants, server: "192.168.30.1" });
    expect(world.leases).toEqual([]);
    expect(world.bind(1)).toBe("192.168.30.11");
    expect(world.ask({ type: "REQUEST", client: 2, wants })?.type).toBe("NAK");
    world.clock.advance(599_999);
    expect(world.ask({ type: "DISCOVER", client: 2 })?.address).toBe("192.168.30.12");
    world.clock.advance(1);
    expect(world.ask({ type: "REQUEST", client: 2, wants })?.type).toBe("ACK");
    expect(world.events("warn")).toEqual(["nat_address_declined"]);
  });

  test("DH-10 who declines every address does not close the pool: half of it rests at most", () => {
    using world = new DhcpWorld({ first: ip("192.168.30.10"), last: ip("192.168.30.19") });
    for (let n = 0; n < 50; n += 1) {
      world.ask({ type: "DECLINE", wants: world.bind(1), server: "192.168.30.1" });
    }
    const free = [2, 3, 4, 5, 6].map((client) => world.bind(client));
    expect(new Set(free).size).toBe(5);
    expect(world.ask({ type: "DISCOVER", client: 7 })).toBeUndefined();
    expect(world.events("warn")).toEqual(["nat_address_declined", "nat_pool_exhausted"]);
  });

  test("a decline counts only from who holds the address", () => {
    using world = new DhcpWorld();
    const wants = world.bind(1);
    world.ask({ type: "DECLINE", client: 2, wants });
    world.ask({ type: "DECLINE", client: 2, wants: "192.168.30.100" });
    expect(world.leases).toEqual(["1 192.168.30.10"]);
    expect(world.ask({ type: "REQUEST", client: 3, wants: "192.168.30.100" })?.type).toBe("ACK");
  });
});

describe("DhcpServer and what guests may send", () => {
  test("DH-01 to DH-03, DH-05 drops what is cut, damaged or for other hardware, and what servers say", () => {
    using world = new DhcpWorld();
    const from = { mac: mac(1), sourceIp: 0 as Ipv4, sourcePort: 68 };
    world.ask({ type: "OFFER" });
    world.ask({ type: "ACK", wants: "192.168.30.10" });
    world.ask({ type: "NAK" });
    world.ask({ type: "DISCOVER", change: { op: "reply" } });
    const good = encodeDhcp({
      op: "request",
      type: 1,
      xid: 1,
      secs: 0,
      wantsBroadcast: false,
      ciaddr: 0 as Ipv4,
      yiaddr: 0 as Ipv4,
      siaddr: 0 as Ipv4,
      giaddr: 0 as Ipv4,
      chaddr: mac(1),
      options: new Map(),
    });
    for (let end = 0; end <= 240; end += 1) world.server.receive(good.subarray(0, end), from);
    for (const [at, value] of [
      [1, 6],
      [2, 0],
      [2, 17],
      [2, 255],
      [236, 0],
      [242, 200],
    ] as const) {
      const bad = good.slice();
      bad[at] = value;
      world.server.receive(bad, from);
    }
    expect(world.said).toEqual([]);
    expect(world.server.counters).toMatchObject({ malformed: 4 + 241 + 6, offers: 0 });
    world.server.receive(good, from);
    expect(world.said).toHaveLength(1);
  });

  test("DH-06 cleans host names to 63 printable characters", () => {
    using world = new DhcpWorld();
    const bad = new Uint8Array(255).fill(0x61);
    bad.set(text("a\0\n<script>\x1b[2J"), 0);
    bad.set([0xff, 0xfe, 0xc3], 40);
    world.bind(1, name(bad));
    world.bind(2, name("käse"));
    world.bind(3, name("\u202eevil\u0007"));
    const names = world.server.list().map(({ hostname }) => hostname);
    expect(names[0]).toStartWith("a<script>[2Jaaa");
    expect(names[0]).toMatch(/^[\x20-\x7e]{63}$/);
    expect(names.slice(1)).toEqual(["käse", "evil"]);
  });

  test("ignores another SecureNAT, group addresses and the zero address", () => {
    using world = new DhcpWorld();
    for (const options of [name("securenat-5e0012345678"), name("SECURENAT_x")]) {
      expect(world.ask({ type: "DISCOVER", options })).toBeUndefined();
    }
    const bytes = encodeDhcp(world.ask({ type: "DISCOVER" })!.message);
    bytes[0] = 1;
    bytes[242] = 1;
    const before = world.said.length;
    for (const sender of [0, 0x0100_5e00_0001, 0xffff_ffff_ffff]) {
      world.server.receive(bytes, { mac: sender as never, sourceIp: 0 as Ipv4, sourcePort: 68 });
    }
    expect(world.said).toHaveLength(before);
    expect(world.server.counters.ignored).toBe(5);
  });

  test("DH-11 two clients with one identifier get an address each, one client with many has one", () => {
    using world = new DhcpWorld();
    const id = (value: string) => [[DHCP_OPTION.CLIENT_ID, fromHex(value)]] as const;
    expect(world.bind(1, id("01aaaaaaaaaaaa"))).toBe("192.168.30.10");
    expect(world.bind(2, id("01aaaaaaaaaaaa"))).toBe("192.168.30.11");
    for (let n = 10; n < 60; n += 1) {
      expect(world.bind(1, id(`00${n}`))).toBe("192.168.30.10");
    }
    expect(world.leases).toEqual(["1 192.168.30.10", "2 192.168.30.11"]);
    // RFC 6842: it finds its identifier in the answer.
    expect(world.said.at(-1)!.message.options.get(DHCP_OPTION.CLIENT_ID)).toEqual(fromHex("0059"));
  });

  test("DH-11 a client is the address of its frames, whatever it says that it is", () => {
    using world = new DhcpWorld();
    for (let n = 0; n < 30; n += 1) {
      const said = world.ask({ type: "DISCOVER", change: { chaddr: mac(1_000 + n) } });
      expect(said).toMatchObject({ address: "192.168.30.10", message: { chaddr: mac(1_000 + n) } });
      // What is behind another address than that of its frames is reached by broadcast only.
      expect(said?.reply.toMac).toBe(0xffff_ffff_ffff as never);
    }
  });

  test("DH-12 does not look at relay fields, nor repeat them", () => {
    using world = new DhcpWorld();
    const options = [[82, fromHex("0104deadbeef")]] as const;
    const said = world.ask({
      type: "DISCOVER",
      options,
      change: { giaddr: ip("10.99.0.1"), siaddr: ip("10.99.0.2") },
    })!;
    expect(said.message).toMatchObject({ giaddr: 0 as Ipv4, siaddr: SERVER });
    expect(said.message.options.has(82)).toBe(false);
    expect(said.reply).toMatchObject({ toIp: ip("192.168.30.10"), toPort: 68 });
  });

  test("DH-13 leases run on monotonic time when the clock is set back", () => {
    using world = new DhcpWorld();
    world.bind(1);
    world.clock.advance(3_600_000);
    const wall = world.clock.wall;
    world.clock.wall = () => wall.call(world.clock) - 3_600_000;
    world.clock.advance(3_599_999);
    expect(world.leases).toEqual(["1 192.168.30.10"]);
    world.clock.advance(1);
    expect(world.leases).toEqual([]);
  });

  test("DH-14 a smaller pool keeps leases until they are over, and gives such addresses to nobody new", () => {
    using world = new DhcpWorld();
    const [low, high] = [
      world.bind(1),
      world.ask({ type: "REQUEST", client: 2, wants: "192.168.30.150" })!.address,
    ];
    world.reconfigure({ last: ip("192.168.30.20") });
    expect(world.leases).toEqual([`1 ${low}`, `2 ${high}`]);
    world.clock.advance(3_600_000);
    // Its renewals get what is left, not a longer time.
    const renewed = world.ask({ type: "REQUEST", client: 2, ciaddr: high })!;
    expect(renewed.type).toBe("ACK");
    expect(renewed.message.options.get(DHCP_OPTION.LEASE_TIME)).toEqual(fromHex("00000e10"));
    expect(world.ask({ type: "REQUEST", client: 3, wants: "192.168.30.151" })?.type).toBe("NAK");
    // Who starts anew gets one of the pool.
    expect(world.ask({ type: "DISCOVER", client: 2, wants: high })?.address).toBe("192.168.30.11");
    world.clock.advance(3_590_000);
    expect(world.ask({ type: "REQUEST", client: 2, ciaddr: high })?.type).toBe("NAK");
    world.clock.advance(10_000);
    expect(world.leases).toEqual([]);
  });

  test("a network that is another one takes the leases of the old one away", () => {
    using world = new DhcpWorld();
    const ciaddr = world.bind(1);
    world.config = { ...world.config, address: ip("10.5.0.1") };
    world.reconfigure({ first: ip("10.5.0.10"), last: ip("10.5.0.20"), gateway: ip("10.5.0.1") });
    expect(world.leases).toEqual([]);
    expect(world.ask({ type: "REQUEST", ciaddr })?.type).toBe("NAK");
    expect(world.ask({ type: "DISCOVER" })?.address).toBe("10.5.0.10");
  });

  test("leaves no timer behind", () => {
    const world = new DhcpWorld({ probeMs: 200 });
    world.ask({ type: "DISCOVER" });
    world.ask({ type: "REQUEST", client: 2, wants: "192.168.30.20" });
    world.server.close();
    world.server.sessionEnded(mac(2));
    world.server.remove(ip("192.168.30.20"));
    expect(world.clock.pending).toBe(0);
    world.ask({ type: "DISCOVER", client: 3 });
    expect(world.clock.pending).toBe(0);
  });
});
