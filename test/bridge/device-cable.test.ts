import { afterAll, beforeAll, expect, test } from "bun:test";
import type { CloseReason } from "../../src/hub/port.ts";
import { openPoller, type Poller } from "../../src/platform/poller.ts";
import { openTap, type Tap } from "../../src/platform/tap.ts";
import { inNamespace } from "../platform/enter-namespace.ts";
import { describeSystem, whyNoSystemTests, World, type Namespace } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { ensureWasm } from "../wasm/compiled.ts";

await ensureWasm();
const { DevicePort } = await import("../../src/bridge/device-port.ts");

const DONE: CloseReason = { code: "test" };
const VLAN = "40";

/** Not every kernel has 802.1Q interfaces built in. */
const HAS_VLAN = whyNoSystemTests() === undefined && canMakeVlan(`pbt${process.pid}-vlan`);

function canMakeVlan(netns: string): boolean {
  const ip = (...args: string[]) => Bun.spawnSync(["ip", ...args], { stderr: "ignore" }).success;
  try {
    ip("netns", "add", netns);
    const made = ["link", "add", "link", "lo", "name", "v", "type", "vlan", "id", VLAN];
    return ip("-n", netns, ...made);
  } finally {
    ip("netns", "del", netns);
  }
}

// Two interfaces in two namespaces, their ports plugged into each other: what the kernel of one side cuts off, the
// other's has to take, with nobody else in between.
describeSystem("DevicePort between two kernels", ["iperf3", "ping"], () => {
  let world: World;
  let poller: Poller;
  const ends: {
    space: Namespace;
    tap: Tap;
    port: InstanceType<typeof DevicePort>;
    device: string;
  }[] = [];
  const closed: CloseReason[] = [];

  beforeAll(async () => {
    world = new World();
    poller = openPoller();
    for (const n of [1, 2]) {
      const space = await world.namespace(`end${n}`);
      const device = `c-cable${n}`;
      const tap = inNamespace(space.netns, () => openTap({ name: device, mtu: 1500, isUp: true }));
      const port = new DevicePort({
        device: tap,
        poller,
        onClosed: (reason) => closed.push(reason),
      });
      ends.push({ space, tap, port, device });
      await space.address(device, `198.51.100.${n}/24`, `2001:db8::${n}/64`);
      if (!HAS_VLAN) continue;
      await space.ip("link", "add", "link", device, "name", "vlan", "type", "vlan", "id", VLAN);
      await space.address("vlan", `203.0.113.${n}/24`, `2001:db8:40::${n}/64`);
    }
    const [one, two] = ends;
    one!.port.plug(two!.port);
    two!.port.plug(one!.port);
  });
  afterAll(async () => {
    for (const { port } of ends) port.close(DONE);
    poller.close();
    await world.close();
  });

  const drops = () =>
    ends.flatMap(({ port }) => Object.values(port.stats.drops)).reduce((sum, n) => sum + n, 0);

  test("pings of every size pass", async () => {
    for (const size of [0, 1, 56, 1471, 1472, 1473, 4000]) {
      const args = ["-c", "2", "-i", "0.01", "-W", "2", "-s", String(size)];
      await ends[0]!.space.check(["ping", ...args, "198.51.100.2"]);
      await ends[0]!.space.check(["ping", ...args, "2001:db8::2"]);
    }
    expect(drops()).toBe(0);
  });

  const passes = async (target: string) => {
    const [client, server] = ends.map((end) => end.space);
    const before = ends.map(({ port }) => ({ ...port.stats }));
    const daemon = server!.spawn(["iperf3", "-s", "-1", "-p", "5201"]);
    await server!.waitListening(5201);
    const { stdout } = await client!.check(
      ["iperf3", "-c", target, "-p", "5201", "-J", "-t", "1", "--bidir"],
      { deadlineMs: 15_000 },
    );
    await daemon.stop();
    const { end } = JSON.parse(stdout) as {
      end: Record<"sum_received" | "sum_received_bidir_reverse", { bytes: number }>;
    };
    expect(end.sum_received.bytes).toBeGreaterThan(20e6);
    expect(end.sum_received_bidir_reverse.bytes).toBeGreaterThan(20e6);
    for (const [n, { port, tap }] of ends.entries()) {
      if (!tap.isOffloaded) continue;
      const frames = port.stats.ingressFrames - before[n]!.ingressFrames;
      expect(frames / (port.stats.reads - before[n]!.reads)).toBeGreaterThan(2);
      const egress = port.stats.egressFrames - before[n]!.egressFrames;
      expect(egress / (port.stats.writes - before[n]!.writes)).toBeGreaterThan(2);
    }
    expect(drops()).toBe(0);
    // A wrong checksum or header would show here.
    const { stdout: counters } = await server!.check(["cat", "/proc/net/snmp"]);
    expect(counters).toMatch(/Tcp: (?:-?\d+ ){12}0 /);
  };
  test("TCP over IPv4 passes in super-frames, both ways at once", () => passes("198.51.100.2"));
  test("TCP over IPv6 passes in super-frames, both ways at once", () => passes("2001:db8::2"));
  test.skipIf(!HAS_VLAN)("TCP over IPv4 in a VLAN passes in super-frames, both ways at once", () =>
    passes("203.0.113.2"),
  );
  test.skipIf(!HAS_VLAN)("TCP over IPv6 in a VLAN passes in super-frames, both ways at once", () =>
    passes("2001:db8:40::2"),
  );

  test("UDP with segmentation offload arrives whole", async () => {
    const [client, server] = ends.map((end) => end.space);
    const receiver = server!.spawn(["python3", "-c", UDP_RECEIVER]);
    await until("the receiver", () => receiver.lines.stdout.includes("ready"));
    await client!.check(["python3", "-c", UDP_SENDER]);
    await until("all datagrams", () => receiver.lines.stdout.at(-1) === "done 1000,60");
    await receiver.stop();
  });

  test("FI-06 an interface that is down costs frames, not the port", async () => {
    const [one, two] = ends;
    await two!.space.ip("link", "set", two!.device, "down");
    await one!.space.run(["ping", "-c", "1", "-W", "1", "198.51.100.2"]);
    expect(two!.port.stats.drops.interface_down).toBeGreaterThan(0);
    await two!.space.address(two!.device, "2001:db8::2/64");
    await one!.space.check(["ping", "-c", "1", "-W", "2", "198.51.100.2"]);
    expect(two!.port.isClosed).toBeFalse();
  });

  test("FI-06 an interface that is deleted closes its port and nothing else", async () => {
    const [one, two] = ends;
    await two!.space.ip("link", "del", two!.device);
    await until("the port to close", () => two!.port.isClosed);
    expect(closed.map((reason) => reason.code)).toEqual(["interface_removed"]);
    expect(await two!.space.hasDevice(two!.device)).toBeFalse();
    await one!.space.run(["ping", "-c", "1", "-W", "1", "198.51.100.2"]);
    expect(one!.port.isClosed).toBeFalse();
  });

  test("close() takes the interface away at once, though it is waited for", async () => {
    const [one] = ends;
    one!.port.close(DONE);
    await until("the interface to go", async () => !(await one!.space.hasDevice(one!.device)));
  });
});

const UDP_RECEIVER = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("198.51.100.2", 5202)); s.settimeout(10)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
print("ready", flush=True)
sizes = {}; n = 0
while n < 60:
    data = s.recv(70000); sizes[len(data)] = sizes.get(len(data), 0) + 1; n += 1
    assert data == bytes([data[0]]) * len(data)
print("done", ",".join(f"{size},{count}" for size, count in sorted(sizes.items())), flush=True)
`;

/** UDP_SEGMENT (103) makes datagrams of 1000 bytes out of what is given in one call. */
const UDP_SENDER = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(socket.IPPROTO_UDP, 103, 1000)
for burst in range(6):
    s.sendto(b"".join(bytes([10 * burst + n]) * 1000 for n in range(10)), ("198.51.100.2", 5202))
`;
