import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { SystemError, VpnError } from "../../src/base/errors.ts";
import { tryParseIpv4 } from "../../src/base/ip.ts";
import { readMac } from "../../src/base/mac.ts";
import type { SecureNatConfig } from "../../src/config/secure-nat-config.ts";
import { noHostDrops } from "../../src/ip-host/host-drops.ts";
import { logInto } from "../../src/observe/log.ts";
import { applyNft, listNftTables } from "../../src/platform/nftables.ts";
import type { Poller } from "../../src/platform/poller.ts";
import { ERRNO } from "../../src/platform/stream-socket.ts";
import { tryGetLink } from "../../src/platform/link.ts";
import { NO_OWN_PLACES, type OwnPlaces } from "../../src/secure-nat/destination-rule.ts";
import { KernelNat } from "../../src/secure-nat/kernel-nat.ts";
import { kernelNatName } from "../../src/secure-nat/kernel-nat-place.ts";
import { aimed, bytesOf, echoPayload, GUEST_MAC, HOST_MAC } from "../ip-host/packets.ts";
import { ipFrame, KeptFrames, udpPayload } from "../ip-host/packets.ts";
import { inNamespace } from "../platform/enter-namespace.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { describeSystem, type Namespace, World } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { secureNatConfig } from "./config.ts";

const GUEST = { 4: "192.168.30.50", 6: "fd93:30::50" } as const;
const OUTER = { 4: "198.51.100.1", 6: "2001:db8:1::1" } as const;
const SETTINGS = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"];

describe("kernelNatName()", () => {
  test("is the hub's name where interfaces can have it, else a mark of it", () => {
    expect(kernelNatName("Office")).toBe("office");
    expect(kernelNatName("a_rather-l")).toBe("a_rather-l");
    const others = ["a rather long name", "two words", "Büro", "über", "..", "-x"];
    const names = new Set(others.map(kernelNatName));
    expect(names.size).toBe(others.length);
    for (const name of names) expect(name).toMatch(/^[0-9a-f]{10}$/);
    expect(kernelNatName("TWO WORDS")).toBe(kernelNatName("two words"));
  });
});

describeSystem("KernelNat", ["nft"], () => {
  let world: World;
  let machine: Namespace;
  let outside: Namespace;
  const opened: KernelNat[] = [];

  beforeEach(async () => {
    world = new World();
    machine = await world.namespace("machine");
    outside = await world.namespace("outside");
    await world.link(
      { at: machine, device: "wan0", address: "198.51.100.2/24" },
      { at: outside, device: "eth0", address: `${OUTER[4]}/24` },
    );
    await machine.address("wan0", "2001:db8:1::2/64");
    await outside.address("eth0", `${OUTER[6]}/64`);
  });
  afterEach(async () => {
    inNamespace(machine.netns, () => {
      for (const nat of opened.splice(0)) nat.close();
    });
    await world.close();
  });

  interface Given {
    readonly hub?: string;
    readonly net?: string;
    readonly prefix6?: string;
    readonly config?: Partial<SecureNatConfig>;
    readonly own?: OwnPlaces;
    readonly poller?: Poller;
  }
  function open({ hub = "Office", net = "192.168.30.1", ...given }: Given = {}) {
    const clock = new ManualClock();
    const cable = new KeptFrames();
    const drops = noHostDrops();
    const warnings: string[] = [];
    const prefix6 = given.prefix6 ?? "fd93:30::";
    const v6 = { linkLocal: bytesOf("fe80::1"), global: bytesOf(`${prefix6}1`) };
    const nat = inNamespace(machine.netns, () => {
      const made = new KernelNat(
        { ...secureNatConfig(), nat: "kernel", ...given.config },
        {
          hub,
          clock,
          log: logInto(clock, ({ text }) => void warnings.push(text)),
          link: cable.link,
          addresses: { v4: tryParseIpv4(net)!, prefix: 24, v6 },
          drops,
          own: given.own ?? NO_OWN_PLACES,
          ...(given.poller === undefined ? {} : { poller: given.poller }),
        },
      );
      opened.push(made);
      return made;
    });
    const send = (frame: Uint8Array) => inNamespace(machine.netns, () => nat.receive(aimed(frame)));
    const close = () => inNamespace(machine.netns, () => nat.close());
    return { nat, clock, cable, drops, send, close };
  }
  const refusal = (given: Given): VpnError => {
    try {
      open(given);
    } catch (thrown) {
      if (thrown instanceof VpnError) return thrown;
      throw thrown;
    }
    throw new Error("it was not refused");
  };
  const tables = () => inNamespace(machine.netns, () => listNftTables());
  const hasTun = (name: string) => inNamespace(machine.netns, () => tryGetLink(name)) !== undefined;
  const settings = async (...names: string[]) =>
    (await machine.check(["sysctl", "-n", ...names])).stdout.split("\n").filter(Boolean);

  function ping(family: 4 | 6, to: string = OUTER[family], from: string = GUEST[family]) {
    const ends = { source: from, destination: to };
    const payload = echoPayload(ends, 7, 1, new Uint8Array(32));
    return ipFrame({ ...ends, protocol: family === 4 ? 1 : 58, payload });
  }

  test.each([4, 6] as const)(
    "sends a guest's packet of IPv%d out under the machine's address, and its answer back to the guest",
    async (family) => {
      const { cable, send } = open();
      const headerBytes = family === 4 ? 20 : 40;
      const answers = await until(
        "an answer",
        () => {
          send(ping(family));
          const found = cable.take().filter(({ length }) => length >= 14 + headerBytes + 40);
          return found.length > 0 && found;
        },
        { everyMs: 50 },
      );
      const [answer] = answers;
      expect(readMac(answer!, 0)).toBe(GUEST_MAC);
      expect(readMac(answer!, 6)).toBe(HOST_MAC);
      const [source, destination] = family === 4 ? [26, 30] : [22, 38];
      const length = family === 4 ? 4 : 16;
      expect(answer!.subarray(source, source! + length)).toEqual(bytesOf(OUTER[family]));
      expect(answer!.subarray(destination, destination! + length)).toEqual(bytesOf(GUEST[family]));
      expect(answer![14 + headerBytes]).toBe(family === 4 ? 0 : 129);
    },
  );

  test("makes a table, a TUN and forwarding, and leaves nothing of them", async () => {
    const before = await settings(...SETTINGS, "net.ipv6.conf.wan0.accept_ra");
    expect(before).toEqual(["0", "0", "1"]);
    const { close } = open();
    expect(tables().sort()).toEqual(["patchbay-forwarding", "patchbay_office"]);
    expect(hasTun("nat_office")).toBeTrue();
    // A machine that lives by router advertisements goes on to.
    expect(await settings(...SETTINGS, "net.ipv6.conf.wan0.accept_ra")).toEqual(["1", "1", "2"]);
    close();
    close();
    expect(tables()).toEqual([]);
    expect(hasTun("nat_office")).toBeFalse();
    expect(await settings(...SETTINGS, "net.ipv6.conf.wan0.accept_ra")).toEqual(before);
  });

  test("does without IPv6 on a machine that has switched it off", async () => {
    await machine.check(["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"]);
    const { send, drops } = open();
    expect(await settings(...SETTINGS)).toEqual(["1", "0"]);
    send(ping(6));
    expect(drops.not_served).toBe(1);
  });

  test("does not touch forwarding that is on", async () => {
    await machine.check(["sysctl", "-qw", ...SETTINGS.map((name) => `${name}=1`)]);
    const { close } = open();
    expect(tables()).toEqual(["patchbay_office"]);
    close();
    expect(await settings(...SETTINGS)).toEqual(["1", "1"]);
  });

  test("serves two hubs, and switches forwarding off with the last", async () => {
    const one = open();
    const two = open({ hub: "Second", net: "192.168.31.1", prefix6: "fd93:31::" });
    one.close();
    expect(tables().sort()).toEqual(["patchbay-forwarding", "patchbay_second"]);
    expect(await settings(...SETTINGS)).toEqual(["1", "1"]);
    two.close();
    expect(tables()).toEqual([]);
    expect(await settings(...SETTINGS)).toEqual(["0", "0"]);
  });

  test("takes away what another has left that was killed, and puts its settings back in the end", async () => {
    const killed = open({ hub: "Killed", net: "192.168.33.1", prefix6: "fd93:33::" });
    await machine.ip("link", "del", "nat_killed");
    opened.splice(opened.indexOf(killed.nat), 1);
    const next = open();
    expect(tables().sort()).toEqual(["patchbay-forwarding", "patchbay_office"]);
    next.close();
    expect(tables()).toEqual([]);
    expect(await settings(...SETTINGS)).toEqual(["0", "0"]);
  });

  test("leaves the tables of others alone", () => {
    inNamespace(machine.netns, () => applyNft("table inet mine {}\n"));
    const { close } = open();
    close();
    expect(tables()).toEqual(["mine"]);
  });

  test("refuses a network that this machine has, or another hub", async () => {
    const { code, message } = refusal({ net: "198.51.100.9" });
    expect(code).toBe("nat_subnet");
    expect(message).toContain("198.51.100.0/24 overlaps 198.51.100.0/24 at wan0");
    open({ hub: "First" });
    expect(refusal({ hub: "Second", prefix6: "fd93:31::" }).message).toContain("at nat_first");
    await machine.ip("route", "add", "192.168.44.128/25", "via", OUTER[4]);
    expect(refusal({ net: "192.168.44.1", prefix6: "fd93:44::" }).code).toBe("nat_subnet");
    // What was begun for them is gone.
    expect(hasTun("nat_second")).toBeFalse();
    expect(tables().sort()).toEqual(["patchbay-forwarding", "patchbay_first"]);
  });

  test("a hub that is called as the mark of another one's name is refused, and the other goes on", () => {
    const hub = "a rather long name";
    open({ hub });
    const mark = kernelNatName(hub);
    const openOther = () => open({ hub: mark, net: "192.168.31.1", prefix6: "fd93:31::" });
    expect(openOther).toThrow(SystemError);
    expect(hasTun(`nat_${mark}`)).toBeTrue();
    expect(tables().sort()).toEqual(["patchbay-forwarding", `patchbay_${mark}`]);
  });

  test("counts what the kernel has for a guest that nobody knows, and what it does not take", async () => {
    const { drops, send, nat } = open();
    await machine.check(["nft", "delete", "table", "inet", "patchbay_office"]);
    await until("a packet for nobody", async () => {
      await machine.run(["ping", "-nc1", "-W0.1", "192.168.30.77"]);
      return drops.not_served > 0;
    });
    await machine.ip("link", "set", "nat_office", "down");
    send(ping(4));
    expect(drops.socket_full).toBe(1);
    nat.close();
  });

  test("leaves nothing where a step fails half-way", async () => {
    const before = await settings(...SETTINGS);
    const tunnelServers = () => {
      throw new VpnError("nft_failed", "Cannot change the packet filter");
    };
    expect(refusal({ own: { ...NO_OWN_PLACES, tunnelServers } }).code).toBe("nft_failed");
    // The last step.
    const add = () => {
      throw new SystemError("epoll_ctl", ERRNO.EMFILE, "wait for a device");
    };
    expect(() => open({ poller: { add, close: () => undefined } })).toThrow(SystemError);
    expect([tables(), hasTun("nat_office")]).toEqual([[], false]);
    expect(await settings(...SETTINGS)).toEqual(before);
  });

  test("drops what comes from no guest's address, and from somebody else's", () => {
    const { drops, send } = open();
    send(ping(4, OUTER[4], "192.168.31.50"));
    send(ping(6, OUTER[6], "2001:db8:9::1"));
    expect(drops.martian).toBe(2);
    send(ping(4));
    const other = ping(4);
    other[11] = 0x66;
    send(other);
    expect(drops.arp_spoof).toBe(1);
  });

  test.each([
    "127.0.0.1",
    "169.254.169.254",
    "100.100.100.200",
    "::1",
    "fd00:ec2::254",
    "64:ff9b::127.0.0.1",
  ])("IP-18: a guest does not get to %s", async (place) => {
    const { cable, send } = open();
    const family = place.includes(":") ? 6 : 4;
    await machine.ip("route", "add", "default", "via", OUTER[4]);
    await machine.ip("route", "add", "default", "via", OUTER[6]);
    const watcher = outside.spawn(["tcpdump", "-lni", "eth0", "icmp or icmp6"]);
    await until("tcpdump", () => watcher.output().includes("listening"));
    send(ping(family, place));
    // What goes out behind it shows that it would have been seen by now.
    await until("the next packet", () => {
      send(ping(4));
      cable.take();
      return watcher.output().includes("echo request");
    });
    expect(watcher.output()).not.toContain(`> ${place}`);
  });

  test("IP-18: a guest does not get to ports of the server, by whichever address of the machine", async () => {
    const ports = new Set<number>();
    const own = { ...NO_OWN_PLACES, listeningPorts: () => ports };
    const { clock, cable, send } = open({ own });
    const ask = (port: number) => {
      const ends = { source: GUEST[4], destination: "198.51.100.2" };
      const payload = udpPayload(ends, 5000, port, new Uint8Array(8));
      send(ipFrame({ ...ends, protocol: 17, payload }));
    };
    // ICMP tells which rule it was: nobody is at the port (3), or it is forbidden (13).
    const answered = (code: number) =>
      until(`code ${code} for port 992`, () => {
        ask(992);
        const errors = cable.takePackets().filter((packet) => packet[9] === 1);
        return errors.some((packet) => packet[20] === 3 && packet[21] === code);
      });
    await answered(3);
    ports.add(992);
    clock.advance(1000);
    await answered(13);
    ports.clear();
    clock.advance(1000);
    await answered(3);
  });

  test("bounds the entries of one guest", async () => {
    const config = { maxEntriesPerAddress: 2 };
    const { cable, send } = open({ config });
    const ends = { source: GUEST[4], destination: OUTER[4] };
    const begin = (port: number) =>
      send(
        ipFrame({ ...ends, protocol: 17, payload: udpPayload(ends, port, 9, new Uint8Array(8)) }),
      );
    /** Ports whose datagrams were refused: an ICMP error quotes them. */
    const refused = new Set<number>();
    await until("the third to be refused", () => {
      for (const port of [5001, 5002, 5003]) begin(port);
      for (const packet of cable.takePackets()) {
        const isRefusal = packet[9] === 1 && packet[20] === 3 && packet[21] === 13;
        if (isRefusal) refused.add((packet[48]! << 8) | packet[49]!);
      }
      return refused.has(5003);
    });
    expect([...refused]).toEqual([5003]);
  });

  test("lets nobody but guests through, and nobody to guests", async () => {
    const { send } = open();
    send(ping(4));
    await outside.ip("route", "add", "192.168.30.0/24", "via", "198.51.100.2");
    await outside.ip("route", "add", "203.0.113.0/24", "via", "198.51.100.2");
    const far = await world.namespace("far");
    await world.link(
      { at: machine, device: "far0", address: "203.0.113.1/24" },
      { at: far, device: "eth0", address: "203.0.113.2/24" },
    );
    await far.ip("route", "add", "default", "via", "203.0.113.1");
    const toGuest = await outside.run(["ping", "-nc1", "-W1", GUEST[4]]);
    expect(toGuest.stdout).toContain("Packet filtered");
    // The interface was not there when forwarding was switched on; those that were do not forward for strangers.
    expect((await outside.run(["ping", "-nc1", "-W0.5", "203.0.113.2"])).exitCode).toBe(1);
    expect((await machine.run(["ping", "-nc1", "-W1", GUEST[4]])).exitCode).not.toBe(0);
  });
});
