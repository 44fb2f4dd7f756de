import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, chownSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { describeSystem } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { SOFTETHER_PROGRAMS } from "../support/softether.ts";
import { arping, ping, transfer, waitPing } from "../support/transfer.ts";
import { GOOD, plainMac } from "../support/tunnel.ts";
import {
  bridgeConfig,
  FrameListener,
  HOST,
  LAN,
  officeConfig,
  openLans,
  sendFrames,
  startBranch,
  startOffice,
  type TwoLans,
} from "../support/two-lans.ts";
import { secretFile, VPN_BIN, VpnServer } from "../support/vpn.ts";

// A branch joined to the office by a bridge and a cascade, each side ours or the reference's.
const SIDES = [
  { branch: "ours", office: "ours" },
  { branch: "reference", office: "ours" },
  { branch: "ours", office: "reference" },
] as const;

const BRANCH = { ipv4: "192.168.50.2", ipv6: "fd00:50::2" };
const OFFICE = { ipv4: "192.168.50.1", ipv6: "fd00:50::1" };
const GROUP_PORT = 5678;
/** Local experiments (IEEE 802): nothing else on the cable has it. */
const ETHERTYPE = "88b6";
const BROADCAST = "ffffffffffff";
/** Of frames that no host sends. A station is on one side only: a local bridge takes no MAC that was just heard elsewhere. */
const STATIONS = { branch: "02aa00000001", office: "02aa00000002" } as const;
const filler = (bytes: number) => "5a".repeat(bytes);

for (const sides of SIDES) {
  const needs = ["dnsmasq", "dhclient", "arping", "python3", ...SOFTETHER_PROGRAMS];
  describeSystem(`branch ${sides.branch}, office ${sides.office}`, needs, () => {
    const isOurs = sides.branch === "ours" && sides.office === "ours";
    let lans: TwoLans;
    let office: Awaited<ReturnType<typeof startOffice>>;
    let bridge: Awaited<ReturnType<typeof startBranch>>;

    beforeAll(async () => {
      lans = await openLans();
      await lans.branch.address(HOST, `${BRANCH.ipv4}/24`, `${BRANCH.ipv6}/64`);
      await lans.office.address(HOST, `${OFFICE.ipv4}/24`, `${OFFICE.ipv6}/64`);
      office = await startOffice(sides.office, lans);
      bridge = await startBranch(sides.branch, lans);
      await waitPing(lans.branch, HOST, OFFICE.ipv4);
    });
    afterAll(async () => {
      if (bridge instanceof VpnServer) await bridge.stop();
      if (office instanceof VpnServer) await office.stop();
      await lans?.[Symbol.asyncDispose]();
    });

    test("ARP and neighbour discovery find the other site's hosts", async () => {
      expect(await arping(lans.branch, HOST, OFFICE.ipv4)).toBe(true);
      expect(await arping(lans.office, HOST, BRANCH.ipv4)).toBe(true);
      await waitPing(lans.branch, HOST, OFFICE.ipv6);
      await waitPing(lans.office, HOST, BRANCH.ipv6);
      await until("echoes that fill frames", async () => {
        const whole = await ping(lans.branch, OFFICE.ipv4, { size: 1472, noFragment: true });
        return whole.received === whole.sent;
      });
    });

    test("a DHCP server of the office gives the branch its addresses", async () => {
      lans.office.spawn([
        "dnsmasq",
        "-k",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--port=0",
        `--interface=${HOST}`,
        "--bind-interfaces",
        "--no-ping",
        "--dhcp-range=192.168.50.100,192.168.50.110,255.255.255.0,10m",
        `--dhcp-leasefile=${join(lans.world.directory, "leases")}`,
      ]);
      await lans.office.waitListening(67, { protocol: "udp" });
      const files = lans.world.folder("dhclient");
      await lans.branch.run(
        [
          "dhclient",
          "-1",
          "-v",
          "-sf",
          "/bin/true",
          "-pf",
          join(files, "pid"),
          "-lf",
          join(files, "lease"),
          HOST,
        ],
        { deadlineMs: 30_000 },
      );
      const lease = await Bun.file(join(files, "lease")).text();
      expect(lease).toMatch(/fixed-address 192\.168\.50\.1(?:0\d|10);/);
    });

    test.each([
      ["239.1.2.3", "udp4"],
      ["ff15::1234", "udp6"],
    ])("multicast to %s arrives at the other site", async (group) => {
      const family = group.includes(":") ? "AF_INET6" : "AF_INET";
      const join4 = `s.setsockopt(0, 35, socket.inet_aton("${group}") + socket.inet_aton("${OFFICE.ipv4}"))`;
      const join6 = `s.setsockopt(41, 20, socket.inet_pton(socket.AF_INET6, "${group}") + struct.pack("@I", socket.if_nametoindex("${HOST}")))`;
      const isIpv6 = group.includes(":");
      const listener = lans.office.spawn([
        "python3",
        "-c",
        `import socket, struct
s = socket.socket(socket.${family}, socket.SOCK_DGRAM)
s.bind(("", ${GROUP_PORT}))
${isIpv6 ? join6 : join4}
print("ready", flush=True)
while True: print(s.recv(100).decode(), flush=True)`,
      ]);
      await until("the listener", () => listener.lines.stdout.includes("ready"), {
        explain: () => listener.output(),
      });
      const pick = isIpv6
        ? `s.setsockopt(41, 17, socket.if_nametoindex("${HOST}"))`
        : `s.setsockopt(0, 32, socket.inet_aton("${BRANCH.ipv4}"))`;
      await lans.branch.check([
        "python3",
        "-c",
        `import socket, struct
s = socket.socket(socket.${family}, socket.SOCK_DGRAM)
${pick}
for n in range(3): s.sendto(b"to all %d" % n, ("${group}", ${GROUP_PORT}))`,
      ]);
      await until("the datagrams", () => listener.lines.stdout.length >= 4);
      // Once each, in order.
      expect(listener.lines.stdout).toEqual(["ready", "to all 0", "to all 1", "to all 2"]);
      await listener.stop();
    });

    test("frames with VLAN tags pass with their tags, in both directions", async () => {
      for (const [from, to, station] of [
        [lans.branch, lans.office, STATIONS.branch],
        [lans.office, lans.branch, STATIONS.office],
      ] as const) {
        const listener = await FrameListener.start(to, ETHERTYPE);
        const tagged = [1, 100, 4094].map(
          (vlan) =>
            `${BROADCAST}${station}8100${(0xa000 | vlan).toString(16)}${ETHERTYPE}${filler(64)}`,
        );
        // A customer's tag within a provider's, which their bridge loses.
        if (isOurs) {
          tagged.push(`${BROADCAST}${station}88a8006481000065${ETHERTYPE}${filler(64)}`);
        }
        await sendFrames(from, tagged);
        expect(await listener.waitFrames(tagged.length)).toEqual(tagged);
      }
    });

    test("frames that are too long for the hub are refused and counted, others go on", async () => {
      await lans.branch.ip("link", "set", HOST, "mtu", "9000");
      await lans.box.ip("link", "set", LAN, "mtu", "9000");
      const listener = await FrameListener.start(lans.office, ETHERTYPE);
      const frame = (bytes: number) =>
        `${BROADCAST}${STATIONS.branch}${ETHERTYPE}${filler(bytes - 14)}`;
      const good = [frame(60), frame(1514)];
      await sendFrames(lans.branch, [frame(5000), good[0]!, frame(1601), good[1]!]);
      expect(await listener.waitFrames(2)).toEqual(good);
      if (bridge instanceof VpnServer) {
        const [hub] = (await bridge.snapshot()).hubs;
        expect(hub?.bridges[0]?.drops.frame_length).toBe(2);
      }
      await lans.branch.ip("link", "set", HOST, "mtu", "1500");
      await lans.box.ip("link", "set", LAN, "mtu", "1500");
    });

    // This takes as long as a local bridge holds back, so it is done where the bridge of the office is ours.
    if (sides.office !== "ours") return;
    test("a station that moves to the other site is found there", async () => {
      const moving = { mac: "02:aa:00:00:00:77", ipv4: "192.168.50.77" };
      const settle = async (at: typeof lans.branch) => {
        await at.ip("link", "add", "mv0", "link", HOST, "type", "macvlan", "mode", "bridge");
        await at.ip("link", "set", "mv0", "address", moving.mac);
        await at.address("mv0", `${moving.ipv4}/32`);
        // Else the host's other interface would answer for this one.
        await at.check(["sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1"]);
      };
      /** A host that was moved says so. */
      const announce = (at: typeof lans.branch) =>
        at.run(["arping", "-c", "1", "-w", "1", "-U", "-I", "mv0", moving.ipv4]);
      await settle(lans.branch);
      await announce(lans.branch);
      await waitPing(lans.office, HOST, moving.ipv4);
      await lans.branch.ip("link", "del", "mv0");
      await settle(lans.office);
      // A local bridge takes a MAC over from elsewhere when nobody has heard it there for 13 s (hub.md 2.7).
      await until(
        "the station at the office, asked from the branch",
        async () => {
          await announce(lans.office);
          return (await ping(lans.branch, moving.ipv4, { count: 1 })).received > 0;
        },
        { deadlineMs: 40_000, everyMs: 500 },
      );
      if (office instanceof VpnServer) {
        const table = (await office.snapshot()).hubs[0]?.macTable ?? [];
        const row = table.find(({ mac }) => plainMac(mac) === plainMac(moving.mac));
        expect(row?.session).toStartWith("SID-LOCALBRIDGE-");
      }
      await lans.office.ip("link", "del", "mv0");
    });

    // Their bridge loses the super-frames of a network card (hub.md 14.2), so that TCP crawls there.
    if (!isOurs) return;
    test("TCP fills the link in both directions, whole", async () => {
      for (const [from, to, address] of [
        [lans.branch, lans.office, OFFICE.ipv4],
        [lans.office, lans.branch, BRANCH.ipv4],
        [lans.branch, lans.office, OFFICE.ipv6],
      ] as const) {
        const moved = await transfer(from, to, address, 50_000_000);
        expect(moved.received).toBe(moved.sent);
      }
    });
  });
}

describeSystem("FR-17 a loop between two sites", ["python3"], () => {
  const CABLE = "loop0";
  const LOOPS = [
    ["a second cascade", { cascades: ["office", "spare"] }],
    ["a cable from one bridge to the other", { devices: [LAN, CABLE] }],
  ] as const;

  test.each(LOOPS)("%s is found, one end is shut, and the LANs stay joined", async (_, loop) => {
    await using lans = await openLans();
    const { world, box, branch } = lans;
    await branch.address(HOST, `${BRANCH.ipv4}/24`);
    await lans.office.address(HOST, `${OFFICE.ipv4}/24`);
    const office = (await startOffice("ours", lans)) as VpnServer;
    const bridge = (await startBranch("ours", lans)) as VpnServer;
    await waitPing(branch, HOST, OFFICE.ipv4);
    if ("devices" in loop) {
      await world.link({ at: box, device: CABLE }, { at: lans.server, device: CABLE });
      await office.reload(officeConfig(lans.server, [LAN, CABLE]));
    }
    await bridge.reload(bridgeConfig(lans, loop));
    const shut = await until("a port that is shut", async () => {
      for (const at of [office, bridge]) {
        const [hub] = (await at.snapshot()).hubs;
        const found = [...hub!.innerSessions, ...hub!.sessions].find(
          ({ blocked }) => blocked !== undefined,
        );
        if (found !== undefined) return { at, session: found };
      }
      return undefined;
    });
    expect(shut.session.blocked?.reason).toBe("loop");
    await shut.at.waitLog("loop_found", { port: shut.session.name });
    await waitPing(branch, HOST, OFFICE.ipv4, 40_000);
    const listener = await FrameListener.start(lans.office, ETHERTYPE);
    const frames = ["01", "02", "03"].map(
      (n) => `${BROADCAST}${STATIONS.branch}${ETHERTYPE}${n}${filler(60)}`,
    );
    await sendFrames(branch, frames);
    // A frame that has gone round would be there twice.
    expect(await listener.waitFrames(frames.length)).toEqual(frames);
    await Bun.sleep(200);
    expect(listener.frames).toEqual(frames);
    await bridge.stop();
    await office.stop();
  });
});

describeSystem("vpn bridge without root", ["setpriv"], () => {
  const NOBODY = 65_534;

  test("the two rights of its unit are enough", async () => {
    await using lans = await openLans();
    const { world, box, branch } = lans;
    await branch.address(HOST, `${BRANCH.ipv4}/24`);
    await lans.office.address(HOST, `${OFFICE.ipv4}/24`);
    const office = (await startOffice("ours", lans)) as VpnServer;
    // Somebody who owns nothing but the files of this bridge, and may look into no other folder.
    const program = join(world.directory, "vpn");
    copyFileSync(VPN_BIN, program);
    chmodSync(program, 0o755);
    chmodSync(world.directory, 0o711);
    for (const path of [
      world.folder(`${box.name}-vpn-bridge`),
      secretFile(box, "office", GOOD.password),
    ]) {
      chownSync(path, NOBODY, NOBODY);
    }
    const rights = "-all,+net_admin,+net_raw";
    const drop =
      `setpriv --reuid=${NOBODY} --regid=${NOBODY} --clear-groups --no-new-privs ` +
      `--bounding-set=${rights} --inh-caps=${rights} --ambient-caps=${rights}`;
    const prefix = ["sh", "-c", `shift; exec ${drop} ${program} "$@"`, "sh"];
    const bridge = (await startBranch("ours", lans, { prefix })) as VpnServer;
    const owner = await Bun.file(`/proc/${bridge.pid}/status`).text();
    expect(owner).toMatch(/^Uid:\s+65534\s+65534/m);
    await waitPing(branch, HOST, OFFICE.ipv4);
    await bridge.stop();
    await office.stop();
  });
});
