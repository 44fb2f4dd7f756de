import { expect, test } from "bun:test";
import { POLICY_ITEMS, type PolicyKey } from "../../src/config/policy.ts";
import * as make from "../hub/frames.ts";
import { BROADCAST, frame, ipv4, ipv6, lan, linkLocal, mac, tcp, udp } from "../hub/frames.ts";
import { exchange, type FramePlan } from "../support/frame-exchange.ts";
import { toHex } from "../support/hex.ts";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { SOFTETHER_PROGRAMS, SoftEtherServer } from "../support/softether.ts";
import { ping, waitPing } from "../support/transfer.ts";
import {
  ALSO_GOOD,
  dressClient,
  GOOD,
  HUB,
  INSIDE,
  openSite,
  SERVER_FROM,
  serverConfig,
  startClient,
} from "../support/tunnel.ts";
import { secretFile, VpnServer } from "../support/vpn.ts";

// One user for each policy, and one without any: what they get of each other is the same on either server.

const PASSWORD = "as you like it";
const VLAN = 200;
const SYN = 2;
const SYN_ACK = 18;

type Addresses = { to: number; from: number };
const data = new Uint8Array(4);

/** One frame of each kind that a policy tells apart. */
const KINDS: Readonly<Record<string, (one: Addresses, all: Addresses) => Uint8Array>> = {
  arp: (_, all) => make.arp({ ...all, ip: lan(5) }),
  dhcpAsk: (_, all) => make.dhcp(all, "client"),
  dhcpAnswer: (one) => make.dhcp(one, "server"),
  dhcpv6Ask: (_, all) => make.dhcpv6(all, "client"),
  dhcpv6Answer: (one) => make.dhcpv6(one, "server"),
  syn: (one) => ipv4({ ...one, ip: lan(5), protocol: 6, body: tcp(SYN) }),
  synAck: (one) => ipv4({ ...one, ip: lan(5), protocol: 6, body: tcp(SYN_ACK) }),
  synV6: (one) => ipv6({ ...one, ip: linkLocal(5), next: 6, body: tcp(SYN) }),
  synAckV6: (one) => ipv6({ ...one, ip: linkLocal(5), next: 6, body: tcp(SYN_ACK) }),
  udp: (one) => ipv4({ ...one, ip: lan(5), protocol: 17, body: udp(5000, 5001, data) }),
  group: (_, all) => ipv4({ ...all, ip: lan(5), protocol: 17, body: udp(5353, 5353, data) }),
  groupV6: (_, all) => ipv6({ ...all, ip: linkLocal(5), next: 17, body: udp(5353, 5353, data) }),
  solicitation: (_, all) => make.icmpv6(all, 133),
  advertisement: (_, all) => make.routerAdvertisement(all),
  neighbour: (_, all) => make.icmpv6(all, 135),
  other: (one) => frame({ ...one, size: 60 }),
  groupOther: (_, all) => frame({ ...all, size: 61 }),
  tagged: (one) => ipv4({ ...one, ip: lan(5), tags: [300] }),
};
type Kind = keyof typeof KINDS;
const ALL: readonly Kind[] = Object.keys(KINDS);
const IPV4: readonly Kind[] = ["arp", "dhcpAsk", "dhcpAnswer", "syn", "synAck", "udp", "group"];
const NEIGHBOURS: readonly Kind[] = ["solicitation", "advertisement", "neighbour"];
const IPV6: readonly Kind[] = [
  "dhcpv6Ask",
  "dhcpv6Answer",
  "synV6",
  "synAckV6",
  "groupV6",
  ...NEIGHBOURS,
];

interface Case {
  readonly user: string;
  readonly policy: Partial<Record<PolicyKey, number | boolean>>;
  /** Kinds that are stopped on their way from the user. */
  readonly up: readonly Kind[];
  /** Kinds that are stopped on their way to him. */
  readonly down: readonly Kind[];
}

const both = (kinds: readonly Kind[]) => ({ up: kinds, down: kinds });
const up = (kinds: readonly Kind[]) => ({ up: kinds, down: [] });

const CASES: readonly Case[] = [
  { user: "noserver", policy: { no_server: true }, ...up(["synAck"]) },
  { user: "noserver6", policy: { no_server_v6: true }, ...up(["synAckV6"]) },
  {
    user: "arpdhcponly",
    policy: { arp_dhcp_only: true },
    ...both(["group", "groupV6", "groupOther"]),
  },
  { user: "dhcp", policy: { dhcp_filter: true }, ...both(["dhcpAsk", "dhcpAnswer"]) },
  { user: "dhcpv6", policy: { dhcpv6_filter: true }, ...both(["dhcpv6Ask", "dhcpv6Answer"]) },
  { user: "dhcpserver", policy: { dhcp_no_server: true }, ...up(["dhcpAnswer"]) },
  { user: "dhcpv6server", policy: { dhcpv6_no_server: true }, ...up(["dhcpv6Answer"]) },
  {
    user: "rsra",
    policy: { rs_and_ra_filter: true },
    ...both(["solicitation", "advertisement"]),
  },
  { user: "ra", policy: { ra_filter: true }, ...up(["advertisement"]) },
  { user: "ipv4", policy: { filter_ipv4: true }, ...both(IPV4) },
  { user: "ipv6", policy: { filter_ipv6: true }, ...both(IPV6) },
  { user: "nonip", policy: { filter_non_ip: true }, ...both(["other", "groupOther", "tagged"]) },
];

const FREE = "free";
/** To him no router is the default one. */
const HOMEBODY = "homebody";
const PRIVATE = ["private1", "private2"] as const;
const MEMBERS = ["member1", "member2"] as const;
const USERS: Readonly<Record<string, Case["policy"]>> = {
  ...Object.fromEntries(CASES.map(({ user, policy }) => [user, policy])),
  [FREE]: {},
  [HOMEBODY]: { no_ipv6_default_router_in_ra: true },
  ...Object.fromEntries(PRIVATE.map((user) => [user, { privacy_filter: true }])),
  ...Object.fromEntries(MEMBERS.map((user) => [user, { vlan_id: VLAN }])),
};
const NAMES = Object.keys(USERS);
/**
 * Who meets whom. Members of a VLAN do not meet the cases: to those its frames come with a tag, which the reference's
 * filters do not look behind and ours do.
 */
const MEETINGS = [
  NAMES.filter((user) => !MEMBERS.some((name) => name === user)),
  [FREE, ...MEMBERS],
];

const stationOf = (user: string) => mac(0x100 + NAMES.indexOf(user));

/** The frame as hexadecimal digits, from the user's station. */
function frameOf(user: string, kind: Kind): Uint8Array {
  const from = stationOf(user);
  return KINDS[kind]!({ to: mac(0x99), from }, { to: BROADCAST, from });
}

function withTag(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from([...bytes.subarray(0, 12), 0x81, 0, 0, VLAN, ...bytes.subarray(12)]);
}

const isMember = (name: string) => MEMBERS.some((user) => user === name);
const isPrivate = (name: string) => PRIVATE.some((user) => user === name);

/** Kinds that get from one user to another. */
function passing(from: string, to: string): readonly Kind[] {
  if (isPrivate(from) && isPrivate(to)) return [];
  if (isMember(to)) return isMember(from) ? ALL : [];
  const sender = CASES.find(({ user }) => user === from);
  const receiver = CASES.find(({ user }) => user === to);
  return ALL.filter((kind) => !sender?.up.includes(kind) && !receiver?.down.includes(kind));
}

/** What a user is to get of another's frames. */
function expected(from: string, to: string): string[] {
  const tags = isMember(from) && !isMember(to);
  return passing(from, to).map((kind) => {
    if (to === HOMEBODY && kind === "advertisement") return toHex(harmless(from));
    const bytes = frameOf(from, kind);
    return toHex(tags ? withTag(bytes) : bytes);
  });
}

function harmless(from: string): Uint8Array {
  return make.routerAdvertisement({ to: BROADCAST, from: stationOf(from) }, { lifetime: 0 });
}

/** Everybody sends, and all the others listen. */
function plan(users: readonly string[]): FramePlan {
  return {
    host: SERVER_FROM.left,
    port: 5555,
    hub: HUB,
    password: PASSWORD,
    users,
    stations: users.map((user) => stationOf(user).toString(16).padStart(12, "0")),
    rounds: users.map((from) => ({
      from,
      frames: ALL.map((kind) => toHex(frameOf(from, kind))),
      expected: users
        .filter((to) => to !== from)
        .map((to) => expected(from, to).length)
        .reduce((sum, count) => sum + count, 0),
    })),
  };
}

/** Outcome as names: user to the kinds that he got, `?` before what nobody has sent. */
function told(
  users: readonly string[],
  from: string,
  got: Record<string, string[]>,
): Record<string, string[]> {
  const names = new Map<string, string>();
  for (const kind of ALL) {
    names.set(toHex(frameOf(from, kind)), kind);
    names.set(toHex(withTag(frameOf(from, kind))), `vlan ${kind}`);
  }
  names.set(toHex(harmless(from)), "harmless advertisement");
  const each = users
    .filter((user) => user !== from)
    .map((user) => [user, (got[user] ?? []).map((hex) => names.get(hex) ?? `?${hex}`)]);
  return Object.fromEntries(each) as Record<string, string[]>;
}

async function startOurs(at: Namespace): Promise<void> {
  const password = `password = "file:${secretFile(at, "all", PASSWORD)}"`;
  const users = NAMES.map((user) => {
    const policy = { no_broadcast_limiter: true, ...USERS[user] };
    const items = Object.entries(policy).map(([key, value]) => `${key} = ${value}`);
    return `[hub.${HUB}.user.${user}]\n${password}\npolicy = { ${items.join(", ")} }\n`;
  });
  await VpnServer.start(at, ["[server]\nlisten = [5555]", `[hub.${HUB}]`, ...users].join("\n"));
}

async function startReference(at: Namespace): Promise<void> {
  const server = await SoftEtherServer.start(at);
  await server.createHub(HUB, Object.fromEntries(NAMES.map((user) => [user, `"${PASSWORD}"`])));
  const wire = new Map<string, string>(POLICY_ITEMS.map(({ key, wire: name }) => [key, name]));
  const lines = NAMES.flatMap((user) =>
    Object.entries({ no_broadcast_limiter: true, ...USERS[user] }).map(([key, value]) => {
      const text = value === true ? "yes" : String(value);
      return `UserPolicySet ${user} /NAME:${wire.get(key)} /VALUE:${text}`;
    }),
  );
  await server.command(`Hub ${HUB}`, ...lines);
}

for (const kind of ["ours", "reference"] as const) {
  const needs = kind === "ours" ? [] : SOFTETHER_PROGRAMS;
  describeSystem(`policies on the server ${kind}`, needs, () => {
    test("each stops what it is to stop, and nothing else", async () => {
      await using site = await openSite();
      await (kind === "ours" ? startOurs : startReference)(site.server);
      for (const users of MEETINGS) {
        const { rounds } = await exchange(site.left, plan(users));
        rounds.forEach((got, n) => {
          const from = users[n]!;
          const others = users.filter((user) => user !== from);
          const wanted = Object.fromEntries(others.map((to) => [to, expected(from, to)]));
          expect([from, told(users, from, got)]).toEqual([from, told(users, from, wanted)]);
        });
      }
    });
  });
}

describeSystem("a policy that changes", SOFTETHER_PROGRAMS, () => {
  test("holds for a running session of the real client at once, and when it is lifted as well", async () => {
    await using site = await openSite();
    const config = serverConfig(site.server);
    const server = await VpnServer.start(site.server, config);
    const [left, right] = await Promise.all([
      startClient("reference", site.left, SERVER_FROM.left, GOOD),
      startClient("ours", site.right, SERVER_FROM.right, ALSO_GOOD),
    ]);
    await Promise.all([left.waitConnected(), right.waitConnected()]);
    await Promise.all([dressClient(left, "left"), dressClient(right, "right")]);
    const sessions = async () =>
      (await server.snapshot()).hubs[0]!.sessions.map(({ name }) => name);
    await waitPing(site.right, right.device, INSIDE.left.ipv4);
    const before = await sessions();

    const [user, others] = config.split(`[hub.${HUB}.user.right]`) as [string, string];
    const filtered = user.replace("policy = {", "policy = { filter_ipv4 = true,");
    await server.reload(`${filtered}[hub.${HUB}.user.right]${others}`);
    expect((await ping(site.right, INSIDE.left.ipv4, { count: 3 })).received).toBe(0);

    await server.reload(config);
    await waitPing(site.right, right.device, INSIDE.left.ipv4);
    expect(await sessions()).toEqual(before);
  });
});
