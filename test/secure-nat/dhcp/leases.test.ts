import { describe, expect, test } from "bun:test";
import { ip, mac, DhcpWorld, MemoryBook } from "./world.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { DHCP_OPTION } from "../../../src/wire/dhcp-option.ts";

const HOUR_MS = 3_600_000;

describe("Leases kept from one run to the next", () => {
  test("are written in batches a second later, and read again", () => {
    using world = new DhcpWorld();
    const options = [[DHCP_OPTION.HOST_NAME, new TextEncoder().encode("pc")]] as const;
    for (let client = 1; client <= 100; client += 1) world.bind(client, options);
    expect(world.book.writes).toBe(0);
    world.clock.advance(1_000);
    expect(world.book.writes).toBe(1);
    const before = world.server.list();
    world.restart("kill");
    expect(world.server.list().map((lease) => ({ ...lease, id: 0 }))).toEqual(
      before.map((lease) => ({ ...lease, id: 0 })),
    );
    expect(before[0]).toMatchObject({ hostname: "pc", expires: before[0]!.leasedAt + 2 * HOUR_MS });
    expect(world.bind(101)).toBe("192.168.30.110");
  });

  test("close() writes what is not kept yet, and a lease that ended is forgotten", () => {
    using world = new DhcpWorld();
    const ciaddr = world.bind(1);
    world.bind(2);
    world.ask({ type: "RELEASE", client: 1, ciaddr });
    world.restart();
    expect(world.leases).toEqual(["2 192.168.30.11"]);
    world.clock.advance(2 * HOUR_MS + 5_000);
    expect(world.book.rows.size).toBe(0);
  });

  test("one that ran out meanwhile tells which address the client had", () => {
    const book = new MemoryBook();
    {
      using world = new DhcpWorld({}, { book });
      world.bind(1);
      world.bind(2);
    }
    const clock = new ManualClock(Date.UTC(2026, 10, 22) + 3 * HOUR_MS);
    using world = new DhcpWorld({}, { book: copyOf(book), clock });
    expect(world.leases).toEqual([]);
    expect(world.ask({ type: "DISCOVER", client: 2 })?.address).toBe("192.168.30.11");
  });

  test("of 2,000 changes go out 512 at a time", () => {
    using world = new DhcpWorld({ first: ip("10.0.0.2"), last: ip("10.0.200.0") }, { prefix: 16 });
    world.config = { ...world.config, address: ip("10.0.0.1") };
    world.restart();
    for (let client = 1; client <= 2_000; client += 1) world.bind(client);
    world.clock.advance(1_000);
    expect([world.book.writes, world.book.rows.size]).toEqual([4, 2_000]);
    world.clock.advance(1_000);
    expect(world.book.writes).toBe(4);
  });

  test("wait while the disk takes nothing, which is told once", () => {
    using world = new DhcpWorld();
    world.book.isBroken = true;
    world.bind(1);
    world.clock.advance(60_000);
    expect(world.events("error")).toEqual(["leases_not_written"]);
    world.book.isBroken = false;
    world.clock.advance(10_000);
    expect(world.book.rows.size).toBe(1);
  });

  test("DH-13 go on for what is left by the clock on the wall, and never for longer than granted", () => {
    const book = new MemoryBook();
    {
      using world = new DhcpWorld({}, { book });
      world.bind(1);
    }
    const later = (ms: number) => new ManualClock(Date.UTC(2026, 10, 22) + ms);
    const left = (ms: number) => {
      using world = new DhcpWorld({}, { book: copyOf(book), clock: later(ms) });
      const [lease] = world.server.list();
      return lease === undefined ? undefined : lease.expires! - world.clock.wall();
    };
    expect(left(HOUR_MS)).toBe(HOUR_MS);
    expect(left(2 * HOUR_MS)).toBeUndefined();
    // The clock was set back: a day later by the host's own time the lease would still run.
    expect(left(-24 * HOUR_MS)).toBe(2 * HOUR_MS);
  });

  test("are forgotten where the network is another one, or the MAC has a newer one", () => {
    const book = new MemoryBook();
    const row = { mac: mac(1), hostname: "", leasedAt: 0, expires: Date.UTC(2027, 0, 1) };
    const address = (text: string) => ip(text);
    for (const [text, renewedAt] of [
      ["192.168.30.20", 1],
      ["192.168.30.21", 2],
      ["10.0.0.5", 3],
    ] as const) {
      book.rows.set(address(text), { ...row, address: address(text), renewedAt });
    }
    using world = new DhcpWorld({}, { book });
    expect(world.leases).toEqual(["1 192.168.30.21"]);
    world.clock.advance(1_000);
    expect([...book.rows.keys()]).toEqual([address("192.168.30.21")]);
  });
});

function copyOf(book: MemoryBook): MemoryBook {
  const copy = new MemoryBook();
  for (const [address, lease] of book.rows) copy.rows.set(address, lease);
  return copy;
}

describe("Leases of certain clients", () => {
  const fixed = [
    { mac: mac(1), address: ip("192.168.30.10") },
    { mac: mac(2), address: ip("192.168.30.250") },
  ];

  test("the table gives a MAC its address, in the pool or outside, and nobody else", () => {
    using world = new DhcpWorld({ fixed, probeMs: 200 });
    expect(world.bind(2)).toBe("192.168.30.250");
    expect(world.ask({ type: "DISCOVER", client: 1, wants: "192.168.30.99" })?.address).toBe(
      "192.168.30.10",
    );
    // It is his in any case: nobody is asked before.
    expect(world.probes).toEqual([]);
    expect(world.ask({ type: "REQUEST", client: 1, wants: "192.168.30.99" })?.type).toBe("NAK");
    expect(world.ask({ type: "REQUEST", client: 3, wants: "192.168.30.10" })?.type).toBe("NAK");
    expect(world.ask({ type: "REQUEST", client: 3, wants: "192.168.30.250" })?.type).toBe("NAK");
    expect(world.server.list()).toMatchObject([{ origin: "static" }]);
  });

  test("one that is set while others hold the address waits until their lease is over", () => {
    using world = new DhcpWorld();
    const ciaddr = world.bind(5);
    world.reconfigure({ fixed });
    expect(world.ask({ type: "DISCOVER", client: 1 })).toBeUndefined();
    world.clock.advance(HOUR_MS);
    const renewed = world.ask({ type: "REQUEST", client: 5, ciaddr })!;
    expect(renewed.message.options.get(DHCP_OPTION.LEASE_TIME)).toEqual(
      Uint8Array.of(0, 0, 0x0e, 0x10),
    );
    world.clock.advance(HOUR_MS);
    expect(world.bind(1)).toBe("192.168.30.10");
  });

  test("a user has his address for as long as his session lasts", () => {
    using world = new DhcpWorld();
    world.users.set(mac(1), ip("192.168.30.240"));
    expect(world.bind(1)).toBe("192.168.30.240");
    expect(world.ask({ type: "REQUEST", client: 1, wants: "192.168.30.50" })?.type).toBe("NAK");
    expect(world.events("warn")).toEqual([]);
    expect(world.server.list()).toMatchObject([{ origin: "user" }]);
    world.clock.advance(5_000);
    expect(world.book.rows.size).toBe(0);
    world.server.sessionEnded(mac(1));
    expect(world.leases).toEqual([]);
  });

  test("the end of a session leaves a lease of the pool", () => {
    using world = new DhcpWorld();
    world.bind(1);
    world.server.sessionEnded(mac(1));
    expect(world.leases).toEqual(["1 192.168.30.10"]);
  });

  test("a user gets no address of the pool, of another network, or that somebody has: told once", () => {
    using world = new DhcpWorld();
    for (const bad of ["192.168.30.50", "10.0.0.5", "192.168.30.1", "192.168.30.255"]) {
      world.users.set(mac(1), ip(bad));
      expect(world.ask({ type: "DISCOVER" })).toBeUndefined();
      expect(world.ask({ type: "REQUEST", wants: bad })?.type).toBe("NAK");
    }
    world.users.set(mac(1), ip("192.168.30.240"));
    world.users.set(mac(2), ip("192.168.30.240"));
    world.bind(1);
    expect(world.ask({ type: "DISCOVER", client: 2 })).toBeUndefined();
    expect(world.events("warn")).toEqual(["nat_user_address"]);
    expect(world.leases).toEqual(["1 192.168.30.240"]);
  });

  test("who comes as a user with an address is refused the one of before", () => {
    using world = new DhcpWorld();
    const ciaddr = world.bind(1);
    world.users.set(mac(1), ip("192.168.30.240"));
    expect(world.ask({ type: "REQUEST", ciaddr })?.type).toBe("NAK");
    expect(world.bind(1)).toBe("192.168.30.240");
    expect(world.leases).toEqual(["1 192.168.30.240"]);
    world.clock.advance(1_000);
    expect(world.book.rows.size).toBe(0);
  });
});

describe("Leases as administrators see them", () => {
  test("remove() ends the lease of an address", () => {
    using world = new DhcpWorld();
    for (const client of [1, 2, 3]) world.bind(client);
    world.ask({ type: "DISCOVER", client: 4 });
    expect(world.server.remove(ip("192.168.30.10"))).toBe(true);
    expect(world.server.remove(ip("192.168.30.10"))).toBe(false);
    expect(world.server.remove(ip("192.168.30.12"))).toBe(true);
    // An offer is no lease.
    expect(world.server.remove(ip("192.168.30.13"))).toBe(false);
    expect(world.leases).toEqual(["2 192.168.30.11"]);
    expect(world.events("info").slice(-2)).toEqual(["nat_lease_deleted", "nat_lease_deleted"]);
  });

  test("list() has a number of its own for each lease, which a renewal leaves", () => {
    using world = new DhcpWorld();
    world.bind(1);
    world.bind(2);
    world.bind(1);
    expect(world.server.list().map(({ id }) => id)).toEqual([1, 2]);
  });

  test("leases that are over are found without being asked for", () => {
    using world = new DhcpWorld({ leaseMs: 15_000 });
    world.bind(1);
    world.clock.advance(16_000);
    expect(world.clock.pending).toBe(1);
    world.clock.advance(1_000);
    // What is left is nothing: no timer wakes an idle server.
    expect(world.clock.pending).toBe(0);
    expect(world.book.rows.size).toBe(0);
  });
});
