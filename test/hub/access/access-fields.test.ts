import { describe, expect, test } from "bun:test";
import type { MacAddress } from "../../../src/base/mac.ts";
import type { AccessRule } from "../../../src/config/access-rule.ts";
import { BROADCAST } from "../frames.ts";
import { AccessWorld, drop, macMatch, net, user, type Who } from "./access-world.ts";
import { ACK, bytesOf, FRAME, FRAME6, type Made, SYN } from "./reference.ts";

const V4 = { ...FRAME, toMac: BROADCAST };
const V6 = { ...FRAME6, toMac: BROADCAST };
const ARP: Made = { ...V4, kind: "arp" };
const OTHER: Made = { ...V4, kind: "other" };

/** True if a rule that drops what it meets stops the frame. */
function stops(rule: Partial<AccessRule>, made: Made, options = {}, who: Who = {}): boolean {
  const world = new AccessWorld([drop(rule)], options);
  const from = world.attach("from", who);
  const to = world.attach("to");
  from.send(bytesOf(made));
  const dropped = from.at.counters.record().drops;
  const arrived = to.take().length;
  world.close();
  expect(dropped).toEqual(arrived === 1 ? {} : { access_list: 1 });
  return arrived === 0;
}

interface Case {
  readonly rule: Partial<AccessRule>;
  readonly met: readonly Made[];
  readonly unmet: readonly Made[];
}

const both = (parts: Partial<Made>): Made[] => [
  { ...V4, ...parts },
  { ...V6, ...parts },
];

const CASES: Readonly<Record<string, Case>> = {
  "without conditions: all but ARP": { rule: {}, met: [V4, V6, OTHER], unmet: [ARP] },
  "family 4": { rule: { family: 4 }, met: [V4], unmet: [V6, ARP, OTHER] },
  "family 6": { rule: { family: 6 }, met: [V6], unmet: [V4, ARP, OTHER] },
  "from, IPv4": {
    rule: { family: 4, from: net("10.0.0.0/30") },
    met: [V4, { ...V4, from: "10.0.0.3" }],
    unmet: [{ ...V4, from: "10.0.0.4" }, { ...V4, from: "9.255.255.255" }, V6, OTHER],
  },
  "to, IPv4": {
    rule: { family: 4, to: net("10.0.0.2/32") },
    met: [V4],
    unmet: [{ ...V4, to: "10.0.0.3" }, { ...V4, to: "10.0.0.1", from: "10.0.0.2" }, V6],
  },
  "host bits of a network": {
    rule: { family: 4, to: net("10.0.0.77/24") },
    met: [V4],
    unmet: [{ ...V4, to: "10.0.1.2" }],
  },
  "the upper half of all addresses": {
    rule: { family: 4, to: net("128.0.0.0/1") },
    met: [
      { ...V4, to: "255.255.255.255" },
      { ...V4, to: "128.0.0.0" },
    ],
    unmet: [{ ...V4, to: "127.255.255.255" }],
  },
  "from, IPv6": {
    rule: { family: 6, from: net("2001:db8::/33") },
    met: [V6, { ...V6, from: "2001:db8:7fff::1" }],
    unmet: [{ ...V6, from: "2001:db8:8000::1" }, V4],
  },
  "to, IPv6": {
    rule: { family: 6, to: net("2001:db8::2") },
    met: [V6],
    unmet: [
      { ...V6, to: "2001:db8::3" },
      { ...V6, to: "2001:db9::2" },
      { ...V6, to: "2001:db8:0:1::2" },
    ],
  },
  "proto of IPv4, later fragments as well": {
    rule: { family: 4, proto: 6 },
    met: [V4, { ...V4, isLater: true }],
    unmet: [{ ...V4, proto: 17 }, { ...V4, proto: 17, isLater: true }, V6],
  },
  "proto of IPv6, later fragments as well": {
    rule: { family: 6, proto: 17 },
    met: [
      { ...V6, proto: 17 },
      { ...V6, proto: 17, isLater: true },
    ],
    unmet: [V6, { ...V6, isLater: true }, { ...V4, proto: 17 }],
  },
  "fromPort of TCP and UDP": {
    rule: { family: 4, fromPort: { first: 40_000, last: 40_001 } },
    met: [V4, { ...V4, fromPort: 40_001 }, { ...V4, proto: 17 }],
    unmet: [
      { ...V4, fromPort: 39_999 },
      { ...V4, fromPort: 40_002 },
      { ...V4, proto: 132 },
      { ...V4, isLater: true },
      V6,
    ],
  },
  "toPort of TCP and UDP": {
    rule: { family: 6, toPort: { first: 80, last: 80 } },
    met: [V6, { ...V6, proto: 17 }],
    unmet: [{ ...V6, toPort: 81 }, { ...V6, proto: 58 }, { ...V6, isLater: true }, V4],
  },
  established: {
    rule: { family: 4, tcpState: "established" },
    met: [V4, { ...V4, flags: SYN | ACK }, { ...V4, flags: 0 }],
    unmet: [
      { ...V4, flags: SYN },
      { ...V4, proto: 17 },
      { ...V4, isLater: true },
    ],
  },
  unestablished: {
    rule: { family: 6, tcpState: "unestablished" },
    met: [{ ...V6, flags: SYN }],
    unmet: [V6, { ...V6, flags: SYN | ACK }, { ...V4, flags: SYN }],
  },
  fromMac: {
    rule: { fromMac: macMatch("02:00:00:00:00:01") },
    met: [V4, V6, OTHER],
    unmet: [...both({ fromMac: 0x02_00_00_00_00_03 as MacAddress }), ARP],
  },
  "toMac with a mask": {
    rule: { toMac: macMatch("03:00:5e:00:00:00", 24) },
    met: both({ toMac: 0x03_00_5e_12_34_56 as MacAddress }),
    unmet: [...both({ toMac: 0x03_00_5f_00_00_00 as MacAddress }), V4],
  },
};

describe.each(Object.entries(CASES))("a rule with %s", (_name, { rule, met, unmet }) => {
  test.each(met.map((made) => [JSON.stringify(made), made] as const))("meets %s", (_, made) => {
    expect(stops(rule, made)).toBe(true);
    expect(stops(rule, { ...made, tag: 5 })).toBe(true);
  });

  test.each(unmet.map((made) => [JSON.stringify(made), made] as const))("not %s", (_, made) => {
    expect(stops(rule, made)).toBe(false);
    expect(stops(rule, { ...made, tag: 5 })).toBe(false);
  });
});

describe("ApplyIPv4AccessListOnArpPacket", () => {
  const stopsArp = (rule: Partial<AccessRule>, made: Made = ARP) =>
    stops(rule, made, { ApplyIPv4AccessListOnArpPacket: 1 });

  test("lets IPv4 addresses and rules without conditions meet ARP", () => {
    expect(stopsArp({})).toBe(true);
    expect(stopsArp({ family: 4, from: net("10.0.0.1") })).toBe(true);
    expect(stopsArp({ family: 4, to: net("10.0.0.2") })).toBe(true);
    expect(stopsArp({ family: 4, to: net("10.0.0.1") })).toBe(false);
    expect(stopsArp({ family: 6 })).toBe(false);
  });

  test("lets nothing else meet it", () => {
    expect(stopsArp({ family: 4, proto: 6 })).toBe(false);
    expect(stopsArp({ family: 4, toPort: { first: 1, last: 65_535 } })).toBe(false);
    expect(stopsArp({ family: 4, tcpState: "established" })).toBe(false);
  });

  test("keeps probes, broadcasts and the polls of hubs out of addresses", () => {
    const all = { family: 4, from: net("0.0.0.0/0") } as const;
    expect(stopsArp(all, { ...ARP, from: "10.9.9.9" })).toBe(true);
    const any = { family: 4, from: net("0.0.0.0/1") } as const;
    expect(stopsArp(any, { ...ARP, from: "0.0.0.0" })).toBe(false);
    const upper = { family: 4, to: net("128.0.0.0/1") } as const;
    expect(stopsArp(upper, { ...ARP, to: "255.255.255.255" })).toBe(false);
    expect(stopsArp(upper, { ...ARP, to: "255.255.255.254" })).toBe(true);
    const polls = { family: 4, from: net("172.31.0.0/16") } as const;
    const hub = 0x00_ae_00_00_00_01 as MacAddress;
    expect(stopsArp(polls, { ...ARP, from: "172.31.7.9", fromMac: hub })).toBe(false);
    expect(stopsArp(polls, { ...ARP, from: "172.31.7.9" })).toBe(true);
  });
});

describe("fromUser", () => {
  const stopsOf = (name: string, who: Who) => stops({ fromUser: user(name) }, V4, {}, who);

  test("is a user, whatever the case, the domain before and the realm behind it", () => {
    expect(stopsOf("alice", { user: "ALICE" })).toBe(true);
    expect(stopsOf("EXAMPLE\\Alice", { user: "alice" })).toBe(true);
    expect(stopsOf("alice", { user: "alice@example.com" })).toBe(true);
    expect(stopsOf("alice", { user: "alicia" })).toBe(false);
  });

  test("or a group", () => {
    expect(stopsOf("Staff", { user: "alice", group: "staff" })).toBe(true);
    expect(stopsOf("staff", { user: "alice", group: "guests" })).toBe(false);
    expect(stopsOf("staff", { user: "alice" })).toBe(false);
  });

  test("of sessions of the server itself the name that lists show", () => {
    const bridge: Who = { user: "Local Bridge", kind: "local-bridge" };
    expect(stopsOf("local bridge", bridge)).toBe(true);
    expect(stopsOf("cascade", bridge)).toBe(false);
  });
});

test("a frame that lies about its length has no ports", () => {
  const bytes = bytesOf(V4);
  bytes[16] = 0xff;
  for (const [rule, arrives] of [
    [{ family: 4, toPort: { first: 80, last: 80 } }, 1],
    [{ family: 4, to: net("10.0.0.2") }, 0],
  ] as const) {
    const world = new AccessWorld([drop(rule)]);
    const from = world.attach("from");
    const to = world.attach("to");
    from.send(bytes);
    expect(to.take()).toHaveLength(arrives);
    world.close();
  }
});

test("later fragments of IPv6 behind other headers have a protocol", () => {
  const inner = bytesOf({ ...V6, proto: 17, isLater: true });
  // A hop-by-hop header of eight bytes between the IPv6 header and that of the fragment.
  const bytes = new Uint8Array(inner.length + 8);
  bytes.set(inner.subarray(0, 54));
  bytes.set([44, 0, 1, 4, 0, 0, 0, 0], 54);
  bytes.set(inner.subarray(54), 62);
  const view = new DataView(bytes.buffer);
  view.setUint16(18, view.getUint16(18) + 8);
  view.setUint8(20, 0);
  for (const proto of [17, 6]) {
    const world = new AccessWorld([drop({ family: 6, proto })]);
    const from = world.attach("from");
    const to = world.attach("to");
    from.send(bytes);
    expect(to.take()).toHaveLength(proto === 17 ? 0 : 1);
    world.close();
  }
});
