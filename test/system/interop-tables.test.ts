import { expect, test } from "bun:test";
import type { Ipv4 } from "../../src/base/ip.ts";
import { formatMac, type MacAddress, writeMac } from "../../src/base/mac.ts";
import { DHCP_TYPE, encodeDhcp } from "../../src/wire/dhcp.ts";
import { arp, BROADCAST, frame, ipv4, ipv6, lan, linkLocal, mac, udp } from "../hub/frames.ts";
import { exchangeAndLook, type FramePlan } from "../support/frame-exchange.ts";
import { toHex } from "../support/hex.ts";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { SOFTETHER_PROGRAMS } from "../support/softether.ts";
import {
  startOurs,
  startReference,
  TABLE_PASSWORD,
  TABLE_USERS,
  type Tables,
  type TableServer,
} from "../support/table-servers.ts";
import { HUB, openSite, SERVER_FROM } from "../support/tunnel.ts";

// Who is where: the tables of a hub, and the policies that rest on them, are the same on either server.

const FREE = mac(0x10);
const [CHECKED, FORCED, CLIENT, OTHER] = [0x20, 0x30, 0x40, 0x50].map(mac) as [
  MacAddress,
  MacAddress,
  MacAddress,
  MacAddress,
];
/** The bridge that a frame of FREE's spanning tree tells of. */
const ROOT = mac(0x60);
/** No station's address: IPv4 multicast. */
const GROUP = 0x0100_5e00_0001 as MacAddress;

const from4 = (from: number, n: number, tags: number[] = []) =>
  ipv4({ to: BROADCAST, from, ip: lan(n), tags });
const from6 = (from: number, n: number) => ipv6({ to: BROADCAST, from, ip: linkLocal(n) });
const arpOf = (from: number, n: number) => arp({ to: BROADCAST, from, ip: lan(n) });
const hello = (from: number) => frame({ to: BROADCAST, from, size: 60 });

function bpdu(from: number, bridge: MacAddress): Uint8Array {
  const payload = new Uint8Array(46);
  payload.set([0x42, 0x42, 0x03]);
  writeMac(payload, 3 + 19, bridge);
  return frame({ to: 0x0180_c200_0000, from, type: 38, payload });
}

/** What a DHCP server behind FREE says when it gives FORCED this address. */
function ack(n: number): Uint8Array {
  const none = 0 as Ipv4;
  const message = encodeDhcp({
    op: "reply",
    type: DHCP_TYPE.ACK,
    xid: 1,
    secs: 0,
    wantsBroadcast: true,
    ciaddr: none,
    yiaddr: lan(n) as Ipv4,
    siaddr: none,
    giaddr: none,
    chaddr: FORCED,
    options: new Map(),
  });
  const addresses = { to: BROADCAST, from: FREE, ip: lan(1) };
  return ipv4({ ...addresses, protocol: 17, body: udp(67, 68, message) });
}

interface Round {
  readonly from: string;
  readonly passes: readonly Uint8Array[];
  readonly stops?: readonly Uint8Array[];
}

const ROUNDS: readonly Round[] = [
  {
    from: "free",
    passes: [
      from4(FREE, 1),
      arpOf(FREE, 2),
      from4(FREE, 3, [7]),
      from6(FREE, 1),
      ipv4({ to: BROADCAST, from: FREE, ip: 0x0808_0808 }),
      ipv6({ to: BROADCAST, from: FREE, ip: [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1] }),
      bpdu(FREE, ROOT),
    ],
  },
  {
    from: "checked",
    stops: [from4(CHECKED, 1), arpOf(CHECKED, 2), from6(CHECKED, 1)],
    passes: [from4(CHECKED, 21), arpOf(CHECKED, 22), from6(CHECKED, 21)],
  },
  {
    from: "forced",
    stops: [
      from4(FORCED, 31),
      arpOf(FORCED, 31),
      ipv4({ to: BROADCAST, from: FORCED, ip: 0x0808_0404 }),
    ],
    passes: [from6(FORCED, 31), arp({ to: BROADCAST, from: FORCED, ip: 0 })],
  },
  { from: "free", passes: [ack(32)] },
  {
    from: "forced",
    passes: [from4(FORCED, 32), arpOf(FORCED, 32)],
    stops: [from4(FORCED, 33), from4(FORCED, 1)],
  },
  // The fourth MAC and the fifth IPv4 address of client mode.
  {
    from: "client",
    passes: [
      ...[41, 42, 43, 44].map((n) => from4(CLIENT, n)),
      ...[1, 2].map((n) => hello(CLIENT + n)),
    ],
    stops: [from4(CLIENT, 45), hello(CLIENT + 3)],
  },
  // Without a policy an address goes to whoever uses it.
  { from: "other", passes: [from4(OTHER, 2), hello(FREE + 1)] },
];

/** Where the improvements of hub.md 17, `mac-rules` and `ip-rules`, go another way than the reference. */
const REFERENCE_ROUNDS: readonly Round[] = [
  { from: "other", passes: [from6(OTHER, 0x51), hello(OTHER)] },
  // An IPv6 address stays with its session.
  { from: "free", passes: [from6(FREE, 0x51), hello(GROUP)] },
  {
    from: "client",
    passes: [
      // Public addresses escape the limit, and so does all of IPv6 in client mode.
      ...[1, 2, 3, 4, 5, 6].map((n) => ipv4({ to: BROADCAST, from: CLIENT, ip: 0x0808_0800 + n })),
      ...Array.from({ length: 17 }, (_, n) =>
        ipv6({ to: BROADCAST, from: CLIENT, ip: [0x2001, 0xdb8, 0, 0, 0, 0, 0, n + 1] }),
      ),
      ...[41, 42, 43, 44].map((n) => from4(CLIENT, n)),
      // A MAC of another session does not count against the limit.
      ...[CLIENT + 1, CLIENT + 2, OTHER].map(hello),
    ],
    stops: [
      from4(CLIENT, 45),
      ipv4({ to: BROADCAST, from: CLIENT, ip: 0x0808_0807 }),
      hello(CLIENT + 3),
    ],
  },
];

const STATIONS = [
  FREE,
  GROUP,
  FREE + 1,
  CHECKED,
  FORCED,
  CLIENT,
  CLIENT + 1,
  CLIENT + 2,
  CLIENT + 3,
  OTHER,
];

const planOf = (rounds: readonly Round[]): FramePlan => ({
  host: SERVER_FROM.left,
  port: 5555,
  hub: HUB,
  password: TABLE_PASSWORD,
  users: TABLE_USERS,
  clients: ["client"],
  hello: toHex(hello(FREE)),
  stations: STATIONS.map((station) => station.toString(16).padStart(12, "0")),
  rounds: rounds.map(({ from, passes, stops = [] }) => ({
    from,
    frames: [...passes, ...stops].map(toHex),
    expected: passes.length * (TABLE_USERS.length - 1),
  })),
});

const macRows = (rows: readonly (readonly [string, number, number])[]) =>
  rows.map(([user, address, vlan]) => `${user} ${formatMac(address as MacAddress)} ${vlan}`).sort();

const EXPECTED: Tables = {
  macs: macRows([
    ["free", FREE, 0],
    ["free", FREE, 7],
    ["free", ROOT, 0],
    ["checked", CHECKED, 0],
    ["forced", FORCED, 0],
    ["client", CLIENT, 0],
    ["client", CLIENT + 1, 0],
    ["client", CLIENT + 2, 0],
    ["other", OTHER, 0],
    ["other", FREE + 1, 0],
  ]),
  ips: [
    "free 192.168.0.1",
    "other 192.168.0.2",
    "free fe80::1",
    "checked 192.168.0.21",
    "checked 192.168.0.22",
    "checked fe80::15",
    "forced fe80::1f",
    "forced 192.168.0.32 (DHCP)",
    ...[41, 42, 43, 44].map((n) => `client 192.168.0.${n}`),
  ].sort(),
};

const REFERENCE_EXPECTED: Tables = {
  macs: macRows([
    ["free", FREE, 0],
    ["free", GROUP, 0],
    ["client", CLIENT, 0],
    ["client", CLIENT + 1, 0],
    ["client", CLIENT + 2, 0],
    ["client", OTHER, 0],
  ]),
  ips: ["other fe80::51", ...[41, 42, 43, 44].map((n) => `client 192.168.0.${n}`)].sort(),
};

/** Lets all stations send, and sees what came through and what is listed. */
async function compare(server: Namespace, peers: Namespace, of: Case): Promise<void> {
  const { tables } = await of.start(server);
  const { report, seen } = await exchangeAndLook(peers, planOf(of.rounds), tables);
  report.rounds.forEach((got, n) => {
    const { from, passes } = of.rounds[n]!;
    const wanted = Object.fromEntries(
      TABLE_USERS.filter((user) => user !== from).map((user) => [user, passes.map(toHex)]),
    );
    expect([n, got]).toEqual([n, wanted]);
  });
  expect(seen).toEqual(of.expected);
}

interface Case {
  readonly start: (at: Namespace) => Promise<TableServer>;
  readonly rounds: readonly Round[];
  readonly expected: Tables;
}

for (const kind of ["ours", "reference"] as const) {
  const start = (at: Namespace) => (kind === "ours" ? startOurs(at) : startReference(at));
  const needs = kind === "ours" ? [] : SOFTETHER_PROGRAMS;
  describeSystem(`tables of the server ${kind}`, needs, () => {
    test("the same stations pass and stop and are listed", async () => {
      await using site = await openSite();
      await compare(site.server, site.left, { start, rounds: ROUNDS, expected: EXPECTED });
    });

    test("mac-rules and ip-rules are those of the reference", async () => {
      await using site = await openSite();
      await compare(site.server, site.left, {
        start: kind === "ours" ? (at) => startOurs(at, ["mac-rules", "ip-rules"]) : startReference,
        rounds: REFERENCE_ROUNDS,
        expected: REFERENCE_EXPECTED,
      });
    });
  });
}
