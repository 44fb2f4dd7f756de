import { expect, test } from "bun:test";
import { formatMac, type MacAddress, writeMac } from "../../src/base/mac.ts";
import type { CompatName } from "../../src/config/compat.ts";
import type { Ipv4 } from "../../src/base/ip.ts";
import { POLICY_ITEMS, type PolicyKey } from "../../src/config/policy.ts";
import { DHCP_TYPE, encodeDhcp } from "../../src/wire/dhcp.ts";
import type { IpSnapshot, MacSnapshot } from "../../src/server/hub-tables.ts";
import { arp, BROADCAST, frame, ipv4, ipv6, lan, linkLocal, mac, udp } from "../hub/frames.ts";
import { exchangeAndLook, type FramePlan } from "../support/frame-exchange.ts";
import { toHex } from "../support/hex.ts";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { SOFTETHER_PROGRAMS, SoftEtherClient, SoftEtherServer } from "../support/softether.ts";
import { HUB, openSite, SERVER_FROM } from "../support/tunnel.ts";
import { secretFile, VpnClient, VpnServer } from "../support/vpn.ts";

// Who is where: the tables of a hub, and the policies that rest on them, are the same on either server.

const PASSWORD = "as you like it";
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

const USERS: Readonly<Record<string, Partial<Record<PolicyKey, boolean>>>> = {
  free: {},
  checked: { check_ip: true, check_ipv6: true },
  forced: { dhcp_force: true },
  client: {},
  other: {},
};
const NAMES = Object.keys(USERS);

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
  password: PASSWORD,
  users: NAMES,
  clients: ["client"],
  hello: toHex(hello(FREE)),
  stations: STATIONS.map((station) => station.toString(16).padStart(12, "0")),
  rounds: rounds.map(({ from, passes, stops = [] }) => ({
    from,
    frames: [...passes, ...stops].map(toHex),
    expected: passes.length * (NAMES.length - 1),
  })),
});

interface Tables {
  readonly macs: readonly string[];
  readonly ips: readonly string[];
}

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

/** SID-ALICE-7 is alice's. */
const userOf = (session: string) => session.split("-")[1]!.toLowerCase();

interface Server {
  tables(): Promise<Tables>;
}

const KEYS = Object.entries(USERS).map(
  ([user, policy]) => [user, { no_broadcast_limiter: true, ...policy }] as const,
);

async function startOurs(at: Namespace, compat: readonly CompatName[] = []): Promise<Server> {
  const password = `password = "file:${secretFile(at, "all", PASSWORD)}"`;
  const users = KEYS.map(([user, policy]) => {
    const items = Object.entries(policy).map(([key, value]) => `${key} = ${value}`);
    return `[hub.${HUB}.user.${user}]\n${password}\npolicy = { ${items.join(", ")} }\n`;
  });
  const settings = `[server]\nlisten = [5555]\ncompat = ${JSON.stringify(compat)}`;
  const config = [settings, `[hub.${HUB}]`, ...users].join("\n");
  const server = await VpnServer.start(at, config);
  const rows = async (table: string) => {
    const { stdout } = await server.command("hub", table, HUB, "--json");
    return JSON.parse(stdout) as unknown;
  };
  return {
    tables: async () => ({
      macs: ((await rows("mac")) as MacSnapshot[])
        .map(({ session, mac: address, vlan }) => `${userOf(session)} ${address} ${vlan}`)
        .sort(),
      ips: ((await rows("ip")) as IpSnapshot[])
        .map(
          ({ session, address, dhcp }) => `${userOf(session)} ${address}${dhcp ? " (DHCP)" : ""}`,
        )
        .sort(),
    }),
  };
}

async function startReference(at: Namespace): Promise<Server> {
  const server = await SoftEtherServer.start(at);
  await server.createHub(HUB, Object.fromEntries(NAMES.map((user) => [user, `"${PASSWORD}"`])));
  const wire = new Map<string, string>(POLICY_ITEMS.map(({ key, wire: name }) => [key, name]));
  const lines = KEYS.flatMap(([user, policy]) =>
    Object.keys(policy).map((key) => `UserPolicySet ${user} /NAME:${wire.get(key)} /VALUE:yes`),
  );
  await server.command(`Hub ${HUB}`, ...lines);
  return {
    tables: async () => ({
      macs: (await server.table(HUB, "MacTable"))
        .map((row) => {
          const address = row["MAC Address"]!.replaceAll("-", ":").toLowerCase();
          return `${userOf(row["Session Name"]!)} ${address} ${Number(row["VLAN ID"]) || 0}`;
        })
        .sort(),
      ips: (await server.table(HUB, "IpTable"))
        .map((row) => `${userOf(row["Session Name"]!)} ${row["IP Address"]}`)
        .sort(),
    }),
  };
}

/** Lets all stations send, and sees what came through and what is listed. */
async function compare(server: Namespace, peers: Namespace, of: Case): Promise<void> {
  const { tables } = await of.start(server);
  const { report, seen } = await exchangeAndLook(peers, planOf(of.rounds), tables);
  report.rounds.forEach((got, n) => {
    const { from, passes } = of.rounds[n]!;
    const wanted = Object.fromEntries(
      NAMES.filter((user) => user !== from).map((user) => [user, passes.map(toHex)]),
    );
    expect([n, got]).toEqual([n, wanted]);
  });
  expect(seen).toEqual(of.expected);
}

interface Case {
  readonly start: (at: Namespace) => Promise<Server>;
  readonly rounds: readonly Round[];
  readonly expected: Tables;
}

for (const kind of ["ours", "reference"] as const) {
  const start = (at: Namespace) => (kind === "ours" ? startOurs(at) : startReference(at));
  const needs = kind === "ours" ? [] : SOFTETHER_PROGRAMS;
  describeSystem(`tables of the server ${kind}`, ["dnsmasq", ...needs], () => {
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

    test("DHCPForce lets a host use what a DHCP server gave it, and nothing else", async () => {
      await using site = await openSite();
      const server = await start(site.server);
      const login = (user: string) => ({ hub: HUB, user, password: PASSWORD });
      const office = VpnClient.start(site.right, {
        ...login("free"),
        server: `${SERVER_FROM.right}:5555`,
        mode: "bridge",
      });
      await office.waitConnected();
      await site.right.address(office.device, "192.168.93.1/24");
      const dnsmasq = site.right.spawn([
        "dnsmasq",
        "-k",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--port=0",
        `--interface=${office.device}`,
        "--bind-interfaces",
        "--dhcp-range=192.168.93.100,192.168.93.100,255.255.255.0,2m",
        "--dhcp-authoritative",
        "--no-ping",
        `--dhcp-leasefile=${site.world.directory}/leases`,
        "--log-facility=-",
      ]);
      const desk = VpnClient.start(site.left, {
        ...login("forced"),
        server: `${SERVER_FROM.left}:5555`,
        address: "dhcp",
      });
      await desk.waitConnected();
      const reaches = async (source: string, tries: number) =>
        (
          await site.left.run([
            "ping",
            "-c",
            String(tries),
            "-i",
            "0.3",
            "-W",
            "1",
            "-I",
            source,
            "192.168.93.1",
          ])
        ).exitCode === 0;
      await until("a leased address", async () => reaches("192.168.93.100", 1), {
        deadlineMs: 25_000,
        everyMs: 200,
        explain: () => `${desk.output()}\n${dnsmasq.output()}`,
      });
      await site.left.address(desk.device, "192.168.93.77/24");
      expect(await reaches("192.168.93.77", 3)).toBe(false);
      expect(await reaches("192.168.93.100", 3)).toBe(true);
      const { ips } = await server.tables();
      expect(ips.filter((row) => row.includes("192.168.93."))).toEqual([
        "forced 192.168.93.100 (DHCP)",
        "free 192.168.93.1",
      ]);
      expect([await desk.stop(), await office.stop()]).toEqual([130, 130]);
    });
  });
}

describeSystem("a client that comes back", SOFTETHER_PROGRAMS, () => {
  test.each(["ours", "reference"] as const)(
    "%s has its MAC and its address at once, though its old session lingers",
    async (kind) => {
      await using site = await openSite();
      const password = `password = "file:${secretFile(site.server, "all", PASSWORD)}"`;
      const policy =
        'policy = { check_mac = true, check_ip = true, check_ipv6 = true, timeout = "60s" }';
      const config = ["[server]", "listen = [5555]", `[hub.${HUB}]`].join("\n");
      const users = ["free", "desk"].map(
        (user) => `[hub.${HUB}.user.${user}]\n${password}\n${policy}`,
      );
      const server = await VpnServer.start(site.server, [config, ...users].join("\n"));
      const login = { hub: HUB, password: PASSWORD };
      const peer = VpnClient.start(site.right, {
        ...login,
        user: "free",
        server: `${SERVER_FROM.right}:5555`,
      });
      await peer.waitConnected();
      await site.right.address(peer.device, "192.168.93.1/24");
      const desk = { ...login, user: "desk", server: `${SERVER_FROM.left}:5555` };
      const client = await (kind === "ours"
        ? ourDesk(site.left, desk)
        : theirDesk(site.left, desk));
      const reached = async () => {
        await site.left.address(client.device, "192.168.93.2/24");
        const ping = ["ping", "-c", "1", "-W", "1", "192.168.93.1"];
        await until("an answer", async () => (await site.left.run(ping)).exitCode === 0, {
          deadlineMs: 20_000,
          everyMs: 100,
        });
      };
      await reached();
      await client.comeBack();
      await reached();
      const station = await site.left.macOf(client.device);
      const { sessions, macTable, ipTable } = (await server.snapshot()).hubs[0]!;
      const [before, after] = sessions.filter(({ user }) => user === "desk");
      expect(after?.traffic.drops).toEqual({});
      expect(macTable.find(({ mac: one }) => one === station)?.session).toBe(after!.name);
      expect(ipTable.find(({ address }) => address === "192.168.93.2")?.session).toBe(after!.name);
      expect(before!.name).not.toBe(after!.name);
    },
  );
});

interface Desk {
  readonly device: string;
  /** Ends its session without a word to the server, and begins another. */
  comeBack(): Promise<void>;
}

interface DeskLogin {
  readonly server: string;
  readonly hub: string;
  readonly user: string;
  readonly password: string;
}

async function ourDesk(at: Namespace, login: DeskLogin): Promise<Desk> {
  const start = async () => {
    const client = VpnClient.start(at, login);
    await client.waitConnected();
    return client;
  };
  const first = await start();
  return {
    device: first.device,
    comeBack: async () => {
      await first.kill();
      await start();
    },
  };
}

async function theirDesk(at: Namespace, login: DeskLogin): Promise<Desk> {
  const client = await SoftEtherClient.start(at);
  await client.connect({ ...login, password: `"${login.password}"` });
  await client.waitConnected();
  return {
    device: client.device,
    comeBack: async () => {
      // Its id is another one in each process.
      await client.command("AccountDisconnect a");
      await client.command("AccountConnect a");
      await client.waitConnected();
    },
  };
}
