import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { flowOf, mixedCapture, pcapFile, REPLAY_STATION } from "../support/mixed-capture.ts";
import { describeSystem, World, type Namespace } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { SOFTETHER_PROGRAMS } from "../support/softether.ts";
import { ping, transfer, waitPing } from "../support/transfer.ts";
import { FrameListener, sendFrames } from "../support/two-lans.ts";
import {
  ALSO_GOOD,
  GOOD,
  HUB,
  serverConfig,
  startClient,
  type TunnelClient,
} from "../support/tunnel.ts";
import { VpnServer } from "../support/vpn.ts";

// client ~~ server ==lan0== host
//                  ==lan1== other
//
// The cables are veths with all their offloads on: what a host sends comes in super-frames of up to 64 KB.

const HOST = { ipv4: "10.93.0.2", ipv6: "fd93::2" } as const;
const OTHER = { ipv4: "10.93.0.3", ipv6: "fd93::3" } as const;
const CLIENT = { ipv4: "10.93.0.1", ipv6: "fd93::1" } as const;
const SERVER = "10.9.0.1";
/** Goes over within the deadline of any transfer: with lost super-frames it would take minutes. */
const TRANSFER_BYTES = 60_000_000;
const PLAIN_LINK = join(import.meta.dir, "../support/plain-link.py");

interface Place {
  readonly world: World;
  readonly client: Namespace;
  readonly server: Namespace;
  readonly host: Namespace;
  readonly other: Namespace;
}

async function openPlace(): Promise<Place> {
  const world = new World();
  const client = await world.namespace("client");
  const server = await world.namespace("server");
  const host = await world.namespace("host");
  const other = await world.namespace("other");
  await world.link(
    { at: client, device: "eth0", address: "10.9.0.2/24" },
    { at: server, device: "left", address: `${SERVER}/24` },
  );
  const place = { world, client, server, host, other };
  await layLan0(place);
  await world.link({ at: server, device: "lan1" }, { at: other, device: "eth0" });
  await other.address("eth0", `${OTHER.ipv4}/24`, `${OTHER.ipv6}/64`);
  return place;
}

async function layLan0({ world, server, host }: Place): Promise<void> {
  await world.link({ at: server, device: "lan0" }, { at: host, device: "eth0" });
  await host.address("eth0", `${HOST.ipv4}/24`, `${HOST.ipv6}/64`);
}

async function dress(client: TunnelClient): Promise<void> {
  await client.at.waitDevice(client.device);
  await client.at.address(client.device, `${CLIENT.ipv4}/24`, `${CLIENT.ipv6}/64`);
}

const bridge = (...lines: string[]) => `[[hub.${HUB}.bridge]]\n${lines.join("\n")}\n`;
const NIC0 = bridge('device = "lan0"');
const NIC1 = bridge('device = "lan1"');

async function start(
  { server }: Place,
  more: string,
  options: { online?: boolean; prefix?: readonly string[] } = {},
): Promise<VpnServer> {
  const { online = true, prefix = [] } = options;
  return VpnServer.start(server, serverConfig(server, { more, online }), { prefix });
}

async function bridgesOf(server: VpnServer, hub = HUB) {
  const found = (await server.snapshot()).hubs.find(({ name }) => name === hub);
  return found?.bridges ?? [];
}

/** Until the bridges of the hub stand like that, in their order. */
function waitStatus(server: VpnServer, ...wanted: string[]): Promise<unknown> {
  return until(`bridges ${wanted.join(", ")}`, async () => {
    const found = await bridgesOf(server);
    return found.map(({ status }) => status).join() === wanted.join();
  });
}

async function carries(from: Namespace, to: Namespace, address: string): Promise<void> {
  const { bytes, sent, received } = await transfer(from, to, address, TRANSFER_BYTES);
  expect([bytes, received]).toEqual([TRANSFER_BYTES, sent]);
}

/** Segments that a host had to refuse: a checksum that was not completed would show here. */
async function badSegments(at: Namespace): Promise<number> {
  const { stdout } = await at.check(["cat", "/proc/net/snmp"]);
  const [names, values] = stdout.split("\n").filter((line) => line.startsWith("Tcp:"));
  const column = names!.split(" ").indexOf("InCsumErrors");
  return Number(values!.split(" ")[column]);
}

describeSystem("a hub that is bridged to interfaces", ["tcpreplay", "python3"], () => {
  let place: Place;
  let server: VpnServer;
  let client: TunnelClient;

  beforeAll(async () => {
    place = await openPlace();
    server = await start(place, NIC0 + NIC1);
    client = await startClient("ours", place.client, SERVER, GOOD);
    await client.waitConnected();
    await dress(client);
  });
  afterAll(async () => {
    await client.stop();
    await server.stop();
    await place.world.close();
  });

  test("lists them with the session that each has", async () => {
    const hub = (await server.snapshot()).hubs.find(({ name }) => name === HUB)!;
    expect(hub.bridges).toMatchObject([
      { device: "lan0", kind: "nic", status: "operating", session: "SID-LOCALBRIDGE-1" },
      { device: "lan1", kind: "nic", status: "operating", session: "SID-LOCALBRIDGE-2" },
    ]);
    expect(hub.innerSessions).toMatchObject([
      { name: "SID-LOCALBRIDGE-1", user: "Local Bridge", host: "Ethernet Bridge" },
      { name: "SID-LOCALBRIDGE-2", user: "Local Bridge", host: "Ethernet Bridge" },
    ]);
    const shown = await server.command("status");
    expect(shown.stdout).toMatch(/lan0 +nic +operating/);
  });

  test("pings of all sizes pass between client and hosts, and between the hosts", async () => {
    for (const address of [HOST.ipv4, HOST.ipv6, OTHER.ipv4, OTHER.ipv6])
      await waitPing(place.client, client.device, address);
    await waitPing(place.host, "eth0", OTHER.ipv6);
    for (const size of [0, 1, 1452, 1473, 8000]) {
      const result = await ping(place.host, CLIENT.ipv4, { size });
      expect([size, result.received]).toEqual([size, result.sent]);
    }
  });

  for (const [family, to, back] of [
    ["IPv4", HOST.ipv4, CLIENT.ipv4],
    ["IPv6", HOST.ipv6, CLIENT.ipv6],
  ] as const) {
    test(`TCP over ${family} does not collapse with offloads on, in either direction`, async () => {
      const before = (await bridgesOf(server))[0]!.traffic;
      await carries(place.client, place.host, to);
      await carries(place.host, place.client, back);
      for (const at of [place.host, place.client]) expect(await badSegments(at)).toBe(0);
      const { traffic, drops } = (await bridgesOf(server))[0]!;
      expect(drops).toMatchObject({ frame_length: 0, frame_header: 0, refused: 0, over_mtu: 0 });
      // Super-frames, or a read and a write would move one frame each.
      for (const way of ["ingress", "egress"] as const) {
        const frames = traffic[way].frames - before[way].frames;
        expect(frames / (traffic[way].calls - before[way].calls)).toBeGreaterThan(2);
      }
    });
  }

  test("a mixed capture that is replayed arrives once, in order per flow, byte for byte", async () => {
    const frames = mixedCapture();
    const file = join(place.world.directory, "mixed.pcap");
    writeFileSync(file, pcapFile(frames));
    await place.server.check(["python3", PLAIN_LINK, "lan1"]);
    const source = REPLAY_STATION.replaceAll(":", "");
    const onWire = await FrameListener.start(place.other, source);
    const atClient = await FrameListener.start(place.client, source, client.device);
    await place.host.check(["tcpreplay", "-q", "--pps", "4000", "-i", "eth0", file]);
    const sent = frames.map((frame) => frame.toHex());
    const arrived = await onWire.waitFrames(sent.length);
    // Digests, or a difference would be told in megabytes.
    expect(digests(arrived).toSorted()).toEqual(digests(sent).toSorted());
    expect(inFlows(arrived)).toEqual(inFlows(sent));
    // To the client, too, where its kernel may have put segments together again.
    await until("the frames at the client", () => atClient.frames.length > sent.length / 2);
  });

  test("frames over 1600 bytes are refused and counted, those around them pass", async () => {
    for (const [at, device] of [
      [place.host, "eth0"],
      [place.server, "lan0"],
    ] as const)
      await at.ip("link", "set", device, "mtu", "9000");
    const frame = (length: number) =>
      `${"ff".repeat(6)}${"025e00530077"}88b5${"4a".repeat(length - 14)}`;
    const listener = await FrameListener.start(place.other, "025e00530077");
    const before = (await bridgesOf(server))[0]!.drops.frame_length;
    await sendFrames(place.host, [frame(1601), frame(60), frame(9000), frame(1514)]);
    expect(await listener.waitFrames(2)).toEqual([frame(60), frame(1514)]);
    expect((await bridgesOf(server))[0]!.drops.frame_length - before).toBe(2);
    for (const [at, device] of [
      [place.host, "eth0"],
      [place.server, "lan0"],
    ] as const)
      await at.ip("link", "set", device, "mtu", "1500");
  });

  test("FI-06 an interface that is down, removed, renamed or comes back is named and found again", async () => {
    await place.server.ip("link", "set", "lan0", "down");
    await waitStatus(server, "error", "operating");
    expect((await bridgesOf(server))[0]!.problem).toContain("ip link set lan0 up");
    await place.server.ip("link", "set", "lan0", "up");
    await waitStatus(server, "operating", "operating");
    await waitPing(place.client, client.device, HOST.ipv4);
    await place.server.ip("link", "set", "lan0", "down");
    await place.server.ip("link", "set", "lan0", "name", "lan9");
    await place.server.ip("link", "set", "lan9", "up");
    await waitStatus(server, "error", "operating");
    expect((await bridgesOf(server))[0]!.problem).toContain("ENODEV");
    await place.server.ip("link", "del", "lan9");
    await layLan0(place);
    await waitStatus(server, "operating", "operating");
    await waitPing(place.client, client.device, HOST.ipv4);
    // The other one never noticed.
    expect((await bridgesOf(server))[1]!.session).toBe("SID-LOCALBRIDGE-2");
    expect((await bridgesOf(server))[0]!.traffic.ingress.frames).toBeGreaterThan(1000);
  });

  test("a reload opens, closes and re-creates bridges, and leaves alone what is as it was", async () => {
    const config = (more: string, online = true) => serverConfig(place.server, { more, online });
    const quiet = bridge('device = "lan1"', "enable = false");
    await server.reload(config(NIC0 + quiet));
    const session = (await bridgesOf(server))[0]!.session;
    expect((await bridgesOf(server)).map(({ status }) => status)).toEqual(["operating", "offline"]);
    await server.reload(config(bridge('device = "lan1"', "promiscuous = false") + NIC0));
    await waitStatus(server, "operating", "operating");
    expect((await bridgesOf(server))[1]!.session).toBe(session);
    await server.reload(config(NIC0 + NIC1, false));
    expect((await bridgesOf(server)).map(({ status }) => status)).toEqual(["offline", "offline"]);
    await server.reload(config(NIC0 + NIC1));
    await waitStatus(server, "operating", "operating");
  });
});

describeSystem("a hub that is bridged to a TAP", [], () => {
  const TAP = bridge('tap = "LAN"', "mtu = 1400");

  test("a machine and its LAN are in the hub by a TAP and a bridge of the kernel", async () => {
    const place = await openPlace();
    await using _ = place.world;
    const server = await start(place, TAP);
    const client = await startClient("ours", place.client, SERVER, GOOD);
    await client.waitConnected();
    await dress(client);
    await place.server.waitDevice("tap_lan");
    const mac = await place.server.macOf("tap_lan");
    expect(mac).toStartWith("5e:");
    expect((await bridgesOf(server))[0]).toMatchObject({ mac, mtu: 1400, kind: "tap" });
    await place.server.address("tap_lan", "10.93.0.9/24");
    await waitPing(place.client, client.device, "10.93.0.9");
    await place.server.ip("addr", "flush", "dev", "tap_lan");
    await place.server.ip("link", "add", "br0", "type", "bridge");
    for (const port of ["tap_lan", "lan0"])
      await place.server.ip("link", "set", port, "master", "br0");
    await place.server.address("br0", "10.93.0.9/24", "fd93::9/64");
    for (const address of ["10.93.0.9", "fd93::9", HOST.ipv4, HOST.ipv6])
      await waitPing(place.client, client.device, address);
    await waitPing(place.host, "eth0", "10.93.0.9");
    await carries(place.client, place.server, "10.93.0.9");
    await carries(place.host, place.client, CLIENT.ipv6);
    await client.stop();
    // The interface goes with the server, and is what it was when that comes back.
    await server.stop();
    await until("the interface to go", async () => !(await place.server.hasDevice("tap_lan")));
    await server.restart();
    await place.server.waitDevice("tap_lan");
    expect(await place.server.macOf("tap_lan")).toBe(mac);
    await server.reload(serverConfig(place.server));
    await until("the interface to go", async () => !(await place.server.hasDevice("tap_lan")));
    await server.stop();
  });
});

describeSystem("interfaces and hubs, several to several", SOFTETHER_PROGRAMS, () => {
  test("one interface is in two hubs; the real client reaches its LAN by either", async () => {
    const place = await openPlace();
    await using _ = place.world;
    const second = `[hub.SECOND.bridge]\ndevice = "lan0"\n[hub.SECOND.user.two]\nanonymous = true\n`;
    const server = await start(place, NIC0 + second);
    const real = await startClient("reference", place.client, SERVER, GOOD);
    await real.waitConnected();
    await dress(real);
    await waitPing(place.client, real.device, HOST.ipv4);
    await waitPing(place.client, real.device, HOST.ipv6);
    await carries(place.client, place.host, HOST.ipv4);
    await carries(place.host, place.client, CLIENT.ipv4);
    for (const hub of [HUB, "SECOND"])
      expect(await bridgesOf(server, hub)).toMatchObject([{ device: "lan0", status: "operating" }]);
    const seen = async () => {
      const { hubs } = await server.snapshot();
      return hubs.map(({ macTable }) => macTable.some(({ session }) => session.includes("BRIDGE")));
    };
    await until("the host in both hubs", async () => (await seen()).every(Boolean));
    await real.stop();
    await server.stop();
  });

  test("a mirror port gets what passes between others, and nothing comes in by it", async () => {
    const place = await openPlace();
    await using _ = place.world;
    const server = await start(place, NIC0 + bridge('device = "lan1"', "monitor = true"));
    const client = await startClient("ours", place.client, SERVER, ALSO_GOOD);
    await client.waitConnected();
    await dress(client);
    await waitPing(place.client, client.device, HOST.ipv4);
    const mac = (await place.host.macOf("eth0")).replaceAll(":", "");
    // An echo request of the client, to the host alone.
    const listener = await FrameListener.start(place.other, `${mac}`);
    await ping(place.client, HOST.ipv4, { count: 3 });
    await listener.waitFrames(6);
    expect((await ping(place.other, HOST.ipv4, { count: 2 })).received).toBe(0);
    const { macTable } = (await server.snapshot()).hubs[0]!;
    const own = await place.other.macOf("eth0");
    expect(macTable.some((entry) => entry.mac === own)).toBeFalse();
    expect((await bridgesOf(server))[1]).toMatchObject({ monitor: true, promiscuous: false });
    await client.stop();
    await server.stop();
  });
});

describeSystem("rights of a server with bridges", ["setpriv"], () => {
  const without = (...rights: string[]) => ["setpriv", "--bounding-set", rights.join(",")];

  test("CAP_NET_RAW is enough for an interface that is there", async () => {
    const place = await openPlace();
    await using _ = place.world;
    const prefix = without("-all", "+net_raw", "+dac_override");
    const server = await start(place, NIC0, { prefix });
    await waitStatus(server, "operating");
    await server.stop();
  });

  test("FI-06 without it, or without CAP_NET_ADMIN for a TAP, the error tells what to do", async () => {
    const place = await openPlace();
    await using _ = place.world;
    const prefix = without("-net_raw", "-net_admin");
    const server = await start(place, NIC0 + bridge('tap = "x"'), { prefix });
    await waitStatus(server, "error", "error");
    const [nic, tap] = await bridgesOf(server);
    expect(nic!.problem).toMatch(/EPERM.*/);
    expect(nic!.problem).toContain("setcap cap_net_raw");
    expect(tap!.problem).toContain("setcap cap_net_admin");
    await server.stop();
  });
});

function digests(frames: readonly string[]): string[] {
  return frames.map((frame) => `${frame.slice(0, 120)} ${Bun.hash(frame)}`);
}

/** Frames by the flow that they are of. */
function inFlows(frames: readonly string[]): Map<string, string[]> {
  const flows = new Map<string, string[]>();
  for (const frame of frames) {
    const flow = flows.get(flowOf(frame)) ?? [];
    flow.push(...digests([frame]));
    flows.set(flowOf(frame), flow);
  }
  return flows;
}
