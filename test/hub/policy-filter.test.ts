import { describe, expect, test } from "bun:test";
import { DEFAULT_POLICY, type Policy } from "../../src/config/policy.ts";
import type { HubOptionName } from "../../src/config/hub-options.ts";
import type { DropReason } from "../../src/hub/drop-reason.ts";
import { DEFAULT_HUB_SETTINGS, type HubSettings } from "../../src/hub/hub-settings.ts";
import { ArrayPort } from "../support/array-port.ts";
import { toHex } from "../support/hex.ts";
import * as make from "./frames.ts";
import { BROADCAST, frame, ipv4, ipv6, lan, linkLocal, mac, tcp, udp } from "./frames.ts";
import { type Plugged, World } from "./world.ts";

const to = mac(0x99);
const one = { to, from: mac(1) };
const all = { to: BROADCAST, from: mac(1) };
const SYN = 2;
const ACK = 16;

const v4 = (body: Uint8Array, protocol = 6) => ipv4({ ...one, ip: lan(5), protocol, body });
const v6 = (body: Uint8Array, next = 6) => ipv6({ ...one, ip: linkLocal(5), next, body });
const groupV4 = ipv4({
  ...all,
  ip: lan(5),
  protocol: 17,
  body: udp(5353, 5353, new Uint8Array(4)),
});
const groupV6 = ipv6({
  to: 0x333300000001,
  from: mac(1),
  ip: linkLocal(5),
  next: 17,
  body: udp(5353, 5353, new Uint8Array(4)),
});
const solicitation = make.icmpv6(all, 133);
const advertisement = make.icmpv6(all, 134);
const neighbour = make.icmpv6(all, 135);
const arp = make.arp({ ...all, ip: lan(5) });
const other = frame({ ...one, size: 60 });
const taggedV4 = ipv4({ ...one, ip: lan(5), tags: [7] });
const taggedV6 = ipv6({ ...one, ip: linkLocal(5), tags: [7] });
const plain = [v4(tcp(ACK)), v6(tcp(ACK)), other];

/** An advertisement in the first fragment of two: the fragment header says that more is to come. */
const fragmented = ipv6({
  ...all,
  ip: linkLocal(1),
  next: 44,
  body: Uint8Array.of(58, 0, 0, 1, 0, 0, 0, 9, 134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0),
});
/** The flags are to come in the next fragment. */
const hiddenFlags = ipv4({ ...one, ip: lan(5), protocol: 6, body: tcp(0).subarray(0, 8) });

interface Row {
  readonly item: keyof Policy;
  readonly stops: readonly Uint8Array[];
  readonly passes: readonly Uint8Array[];
  readonly both: boolean;
}

const rows: readonly Row[] = [
  {
    item: "no_server",
    stops: [
      v4(tcp(SYN | ACK)),
      ipv4({ ...one, ip: lan(5), protocol: 6, body: tcp(SYN | ACK), tags: [7] }),
      hiddenFlags,
    ],
    passes: [v4(tcp(SYN)), v4(tcp(ACK)), v6(tcp(SYN | ACK)), v4(udp(1, 2, tcp(0)), 17)],
    both: false,
  },
  {
    item: "no_server_v6",
    stops: [v6(tcp(SYN | ACK))],
    passes: [v6(tcp(SYN)), v6(tcp(ACK)), v4(tcp(SYN | ACK))],
    both: false,
  },
  {
    item: "arp_dhcp_only",
    stops: [groupV4, groupV6, frame({ ...all, size: 60 })],
    passes: [
      arp,
      make.dhcp(all, "client"),
      make.dhcp(all, "server"),
      make.dhcpv6(all, "client"),
      neighbour,
      ...plain,
    ],
    both: true,
  },
  {
    item: "filter_ipv4",
    stops: [v4(tcp(ACK)), arp],
    passes: [v6(tcp(ACK)), other, taggedV4],
    both: true,
  },
  {
    item: "filter_ipv6",
    stops: [v6(tcp(ACK)), neighbour],
    passes: [v4(tcp(ACK)), arp, other, taggedV6],
    both: true,
  },
  {
    item: "filter_non_ip",
    stops: [other, taggedV4, taggedV6],
    passes: [v4(tcp(ACK)), v6(tcp(ACK)), arp],
    both: true,
  },
  {
    item: "dhcp_filter",
    stops: [make.dhcp(all, "client"), make.dhcp(one, "server")],
    passes: [make.dhcpv6(all, "client"), v4(udp(68, 67, new Uint8Array(100)), 17), ...plain],
    both: true,
  },
  {
    item: "dhcpv6_filter",
    stops: [make.dhcpv6(all, "client"), make.dhcpv6(one, "server")],
    passes: [make.dhcp(all, "client"), v6(udp(546, 53, new Uint8Array(4)), 17), ...plain],
    both: true,
  },
  {
    item: "dhcp_no_server",
    stops: [make.dhcp(one, "server"), make.dhcp(all, "server")],
    passes: [make.dhcp(all, "client"), make.dhcpv6(one, "server"), ...plain],
    both: false,
  },
  {
    item: "dhcpv6_no_server",
    stops: [make.dhcpv6(one, "server"), v6(udp(547, 547, new Uint8Array(4)), 17)],
    passes: [make.dhcpv6(all, "client"), make.dhcp(one, "server"), ...plain],
    both: false,
  },
  {
    item: "rs_and_ra_filter",
    stops: [solicitation, advertisement, fragmented],
    passes: [neighbour, arp, ...plain],
    both: true,
  },
  {
    item: "ra_filter",
    stops: [advertisement, fragmented],
    passes: [solicitation, neighbour, ...plain],
    both: false,
  },
];

function settings(options: Partial<Record<HubOptionName, number>>): HubSettings {
  return { ...DEFAULT_HUB_SETTINGS, options: { ...DEFAULT_HUB_SETTINGS.options, ...options } };
}

/** What arrives at `b` of what `a` sends, one by one. */
function arrivals(a: Plugged, b: Plugged, frames: readonly Uint8Array[]): string[] {
  b.take();
  for (const bytes of frames) a.send(bytes);
  return b.take().map(toHex);
}

const hex = (frames: readonly Uint8Array[]) => frames.map(toHex);

describe("arrivalPolicy()", () => {
  test.each(rows)("$item stops frames from the port and names itself", (row) => {
    const world = new World();
    const a = world.attach("bridge", { [row.item]: true });
    const b = world.attach("bridge");
    expect(arrivals(a, b, row.stops)).toEqual([]);
    expect(world.drops(a)).toEqual({ [row.item]: row.stops.length });
    // In one run with others, too.
    a.send(...row.stops, ...row.passes, ...row.stops);
    expect(b.take().map(toHex)).toEqual(hex(row.passes));
    expect(world.drops(b)).toEqual({});
  });

  test("a frame that is stopped teaches the hub no address", () => {
    const world = new World();
    const a = world.attach("bridge", { filter_ipv4: true });
    a.send(v4(tcp(ACK)));
    expect(world.macCount(a)).toBe(0);
  });

  test("servers that are not to be are told of in the log", () => {
    for (const row of rows.filter(({ item }) => item.includes("no_server"))) {
      const world = new World();
      world.attach("bridge", { [row.item]: true }).send(row.stops[0]!);
      expect(world.events(row.item)).toHaveLength(1);
    }
  });
});

describe("departurePolicy()", () => {
  test.each(rows)("$item stops frames to the port if it holds in both directions", (row) => {
    const world = new World();
    const a = world.attach("bridge");
    const b = world.attach("bridge", { [row.item]: true });
    const c = world.attach("bridge");
    const frames = [...row.stops, ...row.passes];
    a.send(...frames);
    expect(b.take().map(toHex)).toEqual(hex(row.both ? row.passes : frames));
    expect(c.take().map(toHex)).toEqual(hex(frames));
    expect(world.drops(b)).toEqual(row.both ? { [row.item]: row.stops.length } : {});
    expect(world.drops(a)).toEqual({});
  });

  test("stops unicast to a known address as well", () => {
    const world = new World();
    const a = world.attach("bridge");
    const b = world.attach("bridge", { dhcp_filter: true });
    b.send(frame({ to: mac(1), from: mac(2), size: 60 }));
    a.send(make.dhcp({ to: mac(2), from: mac(1) }, "server"), v4(tcp(ACK)));
    expect(b.take()).toHaveLength(1);
    expect(world.drops(b)).toEqual({ dhcp_filter: 1 });
  });

  test("monitoring ports see everything, whatever their policy keeps from others", () => {
    const world = new World();
    const monitor = world.attach("monitor", {
      filter_ipv4: true,
      filter_ipv6: true,
      filter_non_ip: true,
      privacy_filter: true,
    });
    world.attach("bridge", { privacy_filter: true }).send(...plain);
    expect(monitor.take()).toHaveLength(3);
  });
});

test("HubPort.reconfigure() applies another policy to a running port at once, in both directions", () => {
  const world = new World();
  const a = world.attach("bridge");
  const b = world.attach("bridge");
  const ask = make.dhcp(all, "client");
  const answer = make.dhcp({ ...all, from: mac(2) }, "server");
  for (const isOn of [false, true, false]) {
    a.at.reconfigure({ ...DEFAULT_POLICY, dhcp_filter: isOn });
    expect(arrivals(a, b, [ask])).toHaveLength(isOn ? 0 : 1);
    expect(arrivals(b, a, [answer])).toHaveLength(isOn ? 0 : 1);
  }
});

describe("privacyFilter()", () => {
  function ports(options: Partial<Record<HubOptionName, number>> = {}) {
    const world = new World();
    world.hub.reconfigure(settings(options));
    const plug = (user: string, privacy_filter: boolean) => {
      const port = new ArrayPort(user);
      const policy = { ...DEFAULT_POLICY, privacy_filter };
      return Object.assign(port, { at: world.hub.attach(port, { kind: "client", user, policy }) });
    };
    const [alice, again, bob, server] = [
      plug("alice", true),
      plug("Alice", true),
      plug("bob", true),
      plug("server", false),
    ] as const;
    return { world, alice, again, bob, server };
  }
  const group = frame({ ...all, size: 60 });
  const unicast = frame({ ...one, size: 60 });

  test("keeps two ports apart that both have it, and lets each reach one without it", () => {
    const { world, alice, again, bob, server } = ports();
    alice.send(group, unicast, arp);
    expect(bob.take()).toEqual([]);
    expect(again.take()).toEqual([]);
    expect(server.take()).toHaveLength(3);
    expect(world.drops(bob)).toEqual({ privacy_filter: 3 });
    server.send(frame({ to: BROADCAST, from: mac(3), size: 60 }));
    expect(bob.take()).toHaveLength(1);
  });

  test("keeps unicast apart that is addressed to a known port", () => {
    const { alice, bob } = ports();
    bob.send(frame({ to, from: mac(2), size: 60 }));
    alice.send(frame({ to: mac(2), from: mac(1), size: 60 }));
    expect(bob.take()).toEqual([]);
  });

  test("lets groups pass without DropBroadcastsInPrivacyFilterMode, but nothing else", () => {
    const { alice, bob } = ports({ DropBroadcastsInPrivacyFilterMode: 0 });
    alice.send(group, unicast, arp);
    expect(bob.take().map(toHex)).toEqual(hex([group, arp]));
  });

  test("lets ARP pass without DropArpInPrivacyFilterMode, but nothing else", () => {
    const { alice, bob } = ports({ DropArpInPrivacyFilterMode: 0 });
    alice.send(group, unicast, arp);
    expect(bob.take().map(toHex)).toEqual(hex([arp]));
  });

  test("lets a user reach himself with AllowSameUserInPrivacyFilterMode", () => {
    const { alice, again, bob } = ports({ AllowSameUserInPrivacyFilterMode: 1 });
    alice.send(group, unicast);
    expect(again.take()).toHaveLength(2);
    expect(bob.take()).toEqual([]);
  });
});

describe("hubFilter()", () => {
  const bpdu = frame({
    to: 0x0180c2000000,
    from: mac(1),
    type: 38,
    payload: [0x42, 0x42, 3, ...Array<number>(35).fill(0)],
  });
  const lldp = frame({ to: 0x0180c200000e, from: mac(1), type: 0x88cc, size: 60 });
  const ospf = ipv4({ ...one, ip: lan(5), protocol: 89 });
  const options: [HubOptionName, DropReason, Uint8Array[], Uint8Array[]][] = [
    [
      "FilterPPPoE",
      "hub_filter_pppoe",
      [0x8863, 0x8864].map((type) => frame({ ...one, type, size: 60 })),
      [arp, ...plain],
    ],
    ["FilterOSPF", "hub_filter_ospf", [ospf], [arp, ...plain]],
    ["FilterIPv4", "hub_filter_ipv4", [v4(tcp(ACK)), arp], [v6(tcp(ACK)), other, taggedV4]],
    ["FilterIPv6", "hub_filter_ipv6", [v6(tcp(ACK))], [v4(tcp(ACK)), arp, other, taggedV6]],
    ["FilterNonIP", "hub_filter_non_ip", [other, taggedV4], [v4(tcp(ACK)), v6(tcp(ACK)), arp]],
    ["FilterBPDU", "hub_filter_bpdu", [bpdu], [lldp, ...plain]],
  ];

  test.each(options)(
    "%s stops its kind of frame from every port",
    (option, reason, stops, passes) => {
      const world = new World();
      const a = world.attach("local-bridge");
      const b = world.attach("bridge");
      expect(arrivals(a, b, stops)).toHaveLength(stops.length);
      world.hub.reconfigure(settings({ [option]: 1 }));
      a.send(...stops, ...passes);
      expect(b.take().map(toHex)).toEqual(hex(passes));
      expect(world.drops(a)).toEqual({ [reason]: stops.length });
    },
  );

  test("FR-15 bridge protocol and LLDP frames pass without it", () => {
    const world = new World();
    const a = world.attach("bridge");
    expect(arrivals(a, world.attach("bridge"), [bpdu, lldp])).toHaveLength(2);
  });

  test("DisableIPParsing leaves filters above the frame's type without effect", () => {
    const world = new World();
    const a = world.attach("bridge", { dhcp_filter: true, ra_filter: true, no_server: true });
    const b = world.attach("bridge");
    const frames = [make.dhcp(one, "client"), advertisement, v4(tcp(SYN | ACK))];
    expect(arrivals(a, b, frames)).toEqual([]);
    world.hub.reconfigure(settings({ DisableIPParsing: 1 }));
    expect(arrivals(a, b, frames)).toEqual(hex(frames));
  });
});
