import { afterEach, expect, test } from "bun:test";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { NAT, NatWorld, OUTSIDE } from "../support/nat-world.ts";
import { until } from "../support/process.ts";
import type { VpnServer } from "../support/vpn.ts";

// UDP and ICMP through SecureNAT with real programs: guest -- server with SecureNAT -- router -- inet.

const PROGRAMS = ["iperf3", "ping", "traceroute", "python3"];
/** A closed port at inet. */
const CLOSED = 4;

let nat: NatWorld;
afterEach(() => nat?.[Symbol.asyncDispose]());

/** @param pings whether the server's user may have ping sockets; root can do with raw ones */
async function open(secureNat = "", pings = true): Promise<VpnServer> {
  nat = await NatWorld.open();
  const range = pings ? "0 2147483647" : "1 0";
  await nat.server.check(["sysctl", "-qw", `net.ipv4.ping_group_range=${range}`]);
  const server = await nat.start(secureNat);
  await nat.dress();
  await nat.waitIpv6();
  return server;
}

async function ping(target: string, ...flags: string[]): Promise<string> {
  const { stdout } = await nat.guest.run(["ping", "-n", "-i0.2", "-W3", ...flags, target]);
  return stdout;
}

interface Iperf {
  readonly end: { readonly sum: { readonly packets: number } };
}

/** Datagrams that have come to a machine, also those that no program has taken. */
async function arrived(at: Namespace, target: string): Promise<number> {
  const isV6 = target.includes(":");
  const { stdout } = await at.check(["cat", `/proc/net/${isV6 ? "snmp6" : "snmp"}`]);
  if (isV6) {
    const value = (name: string) => Number(new RegExp(`^${name}\\s+(\\d+)`, "m").exec(stdout)![1]);
    return value("Udp6InDatagrams") + value("Udp6InErrors");
  }
  const [names, values] = stdout.split("\n").filter((line) => line.startsWith("Udp: "));
  const value = (name: string) => Number(values!.split(" ")[names!.split(" ").indexOf(name)]);
  return value("InDatagrams") + value("InErrors");
}

async function iperf(target: string, ...flags: string[]): Promise<Iperf["end"]["sum"]> {
  const args = ["iperf3", "-c", target, "-u", "-J", "-t1", "--connect-timeout", "5000", ...flags];
  const { stdout } = await nat.guest.check(args, { deadlineMs: 30_000 });
  return (JSON.parse(stdout) as Iperf).end.sum;
}

/** What answered at each hop. */
async function hops(target: string, ...flags: string[]): Promise<string[]> {
  const args = ["traceroute", "-n", "-q1", "-w3", "-m6", ...flags, target];
  const { stdout } = await nat.guest.check(args, { deadlineMs: 40_000 });
  return stdout.split("\n").flatMap((line) => /^ *\d+ +(\S+)/.exec(line)?.[1] ?? []);
}

/** Errors that a guest's socket gets after datagrams of these sizes, one each; runs until each has failed. */
const PROBE = `
import socket, sys, select, struct
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
if family == socket.AF_INET:
    s.setsockopt(socket.IPPROTO_IP, 11, 1)
    s.setsockopt(socket.IPPROTO_IP, 10, 2)
else:
    s.setsockopt(socket.IPPROTO_IPV6, 25, 1)
    s.setsockopt(socket.IPPROTO_IPV6, 23, 2)
s.connect((sys.argv[1], int(sys.argv[2])))
poll = select.poll()
poll.register(s, 0)
for size in sys.argv[3:]:
    try: s.send(bytes(int(size)))
    except OSError as error: print("send", error.errno)
    poll.poll(15000)
    try:
        data, control, flags, name = s.recvmsg(2048, 512, 0x2000)
        errno, origin, kind, code, pad, info, more = struct.unpack("IBBBBII", control[0][2][:16])
        print("error", errno, kind, code, info)
    except BlockingIOError: print("nothing")
`;

async function probe(from: Namespace, target: string, port: number, ...sizes: number[]) {
  const words = [target, String(port), ...sizes.map(String)];
  const { stdout } = await from.check(["python3", "-c", PROBE, ...words], { deadlineMs: 30_000 });
  return stdout.trim().split("\n");
}

/** Tells of the first datagram that comes, IPv4 or IPv6: TTL and traffic class. */
const LISTEN = `
import socket, struct, sys
v6 = sys.argv[1] == "6"
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
level = socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP
for option in (51, 66) if v6 else (12, 13): s.setsockopt(level, option, 1)
s.bind(("", 7007))
print("ready", flush=True)
data, control, flags, name = s.recvmsg(100, 200)
for level, kind, value in sorted(control, key=lambda each: each[1] in (1, 67)):
    print(value[0], flush=True)
`;

/** Sends a datagram with TTL 40, expedited (DSCP 46) and with ECT(1). */
const SEND = `
import socket, sys
v6 = ":" in sys.argv[1]
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
level = socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP
s.setsockopt(level, 16 if v6 else 2, 40)
s.setsockopt(level, 67 if v6 else 1, 0xb9)
s.sendto(b"x", (sys.argv[1], 7007))
`;

describeSystem("UDP and ICMP through SecureNAT", PROGRAMS, () => {
  test.each([true, false])(
    "ping and traceroute -I of both versions, whole and in fragments (ping sockets: %p)",
    async (pings) => {
      await open("", pings);
      for (const target of [OUTSIDE.inet, OUTSIDE.inet6, NAT.host]) {
        expect(await ping(target, "-c3")).toMatch(/ 3 received/);
        expect(await ping(target, "-c2", "-s4000")).toMatch(/ 2 received/);
      }
      expect(await hops(OUTSIDE.inet, "-I")).toEqual([NAT.host, OUTSIDE.router, OUTSIDE.inet]);
      expect(await hops(OUTSIDE.inet6, "-I")).toEqual([NAT.host6, OUTSIDE.router6, OUTSIDE.inet6]);
      expect(await ping(OUTSIDE.inet, "-c1", "-s65507")).toMatch(/ 1 received/);
    },
    60_000,
  );

  // A receiver that gets no turn for a while on a busy machine loses datagrams in its own queue: they have arrived.
  test("iperf3 -u both ways comes through", async () => {
    await open();
    await nat.serveIperf();
    for (const target of [OUTSIDE.inet, OUTSIDE.inet6]) {
      for (const flags of ["-b20M", "-b20M -R", "-b10M -l8000", "-b10M -l8000 -R"]) {
        const receiver = flags.endsWith("-R") ? nat.guest : nat.inet;
        const before = await arrived(receiver, target);
        const { packets } = await iperf(target, ...flags.split(" "));
        const count = (await arrived(receiver, target)) - before;
        expect(packets).toBeGreaterThan(100);
        expect(count).toBeGreaterThanOrEqual(Math.floor(packets * 0.95));
      }
    }
  }, 60_000);

  test("traceroute by UDP shows the hops", async () => {
    await open();
    const v4 = [NAT.host, OUTSIDE.router, OUTSIDE.inet];
    const v6 = [NAT.host6, OUTSIDE.router6, OUTSIDE.inet6];
    expect(await hops(OUTSIDE.inet)).toEqual(v4);
    expect(await hops(OUTSIDE.inet, "-U", "-p", String(CLOSED))).toEqual(v4);
    expect(await hops(OUTSIDE.inet6)).toEqual(v6);
  }, 60_000);

  test("the guest's TTL and urgency go along, as through a router", async () => {
    await open();
    for (const [version, target] of [
      ["4", OUTSIDE.inet],
      ["6", OUTSIDE.inet6],
    ] as const) {
      const listener = nat.inet.spawn(["python3", "-c", LISTEN, version]);
      const { stdout } = listener.lines;
      await until("the listener", () => stdout.includes("ready"));
      await nat.guest.check(["python3", "-c", SEND, target]);
      await until("the datagram", () => stdout.length >= 3);
      expect(stdout.slice(1)).toEqual(["38", String(0xb8)]);
    }
  }, 60_000);

  test("a closed port, an unreachable network and an absent host are told", async () => {
    await open();
    expect(await probe(nat.guest, OUTSIDE.inet, CLOSED, 100)).toEqual(["error 111 3 3 0"]);
    expect(await probe(nat.guest, OUTSIDE.inet6, CLOSED, 100)).toEqual(["error 111 1 4 0"]);
    // The router has no way there, and says so.
    expect(await probe(nat.guest, "192.0.2.9", 9, 100)).toEqual(["error 101 3 0 0"]);
    expect(await probe(nat.guest, "2001:db8:99::9", 9, 100)).toEqual(["error 101 1 0 0"]);
    // Nobody has this address.
    expect(await probe(nat.guest, "203.0.113.77", 9, 100)).toEqual(["error 113 3 1 0"]);
  }, 60_000);

  test("a way with a smaller MTU is told, by the router's word and from memory", async () => {
    await open();
    for (const [at, device] of [
      [nat.router, "inet0"],
      [nat.inet, "eth0"],
    ] as const) {
      await at.ip("link", "set", device, "mtu", "1400");
    }
    expect(await probe(nat.guest, OUTSIDE.inet, CLOSED, 1450)).toEqual(["error 90 3 4 1400"]);
    expect(await probe(nat.guest, OUTSIDE.inet6, CLOSED, 1430)).toEqual(["error 90 2 0 1400"]);
    // The server knows by now: the error is its own, and as true. Another guest would see the same.
    await nat.guest.ip("route", "flush", "cache");
    expect(await probe(nat.guest, OUTSIDE.inet, CLOSED, 1450)).toEqual(["error 90 3 4 1400"]);
    expect(await probe(nat.guest, OUTSIDE.inet, CLOSED, 1300)).toEqual(["error 111 3 3 0"]);
    // What may be cut gets through.
    expect(await ping(OUTSIDE.inet, "-c2", "-s1450", "-Mdont")).toMatch(/ 2 received/);
    expect(await ping(OUTSIDE.inet6, "-c2", "-s2000")).toMatch(/ 2 received/);
  }, 60_000);

  test("5,000 UDP flows time out, and their sockets with them", async () => {
    await open('udp_timeout = "15s"');
    const flows = `
import socket
for n in range(5000):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", 20000 + n))
    s.sendto(b"x", ("${OUTSIDE.inet}", 9))
    s.close()
`;
    const sockets = async () => {
      const { stdout } = await nat.server.check(["ss", "-Huan"]);
      return stdout.split("\n").filter((line) => /0\.0\.0\.0:2\d{4}\b/.test(line)).length;
    };
    await nat.guest.check(["python3", "-c", flows], { deadlineMs: 30_000 });
    await until("the flows", async () => (await sockets()) > 4000);
    await until("their end", async () => (await sockets()) === 0, { deadlineMs: 40_000 });
    expect(await ping(OUTSIDE.inet, "-c1")).toMatch(/ 1 received/);
  }, 90_000);
});
