import { describe, expect, test } from "bun:test";
import { formatAddress, tryParseNet } from "../../../src/base/ip.ts";
import { type MacAddress, readMac } from "../../../src/base/mac.ts";
import { noHostDrops } from "../../../src/ip-host/host-drops.ts";
import { Ipv6Services } from "../../../src/secure-nat/ipv6/ipv6-services.ts";
import { hostIpv6 } from "../../../src/secure-nat/ipv6/make-ipv6.ts";
import { finishChecksum, sumWords } from "../../../src/wire/checksum.ts";
import { tryParseDhcpv6 } from "../../../src/wire/dhcpv6.ts";
import { tryParseNeighborAdvertisement } from "../../../src/wire/neighbor-discovery.ts";
import { tryParseRouterAdvertisement } from "../../../src/wire/router-advertisement.ts";
import {
  aimed,
  bytesOf,
  GUEST_MAC,
  HOST_MAC,
  icmpv6Frame,
  ipFrame,
  KeptFrames,
  udpPayload,
} from "../../ip-host/packets.ts";
import { fromHex } from "../../support/hex.ts";
import { concatBytes } from "../../support/layers.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { seededRandom } from "../../support/seeded-random.ts";

const PREFIX = tryParseNet("2001:db8:30::/64")!;
const GLOBAL = "2001:db8:30::1";
const GUEST = "fe80::2";
const ALL_NODES_MAC = 0x3333_0000_0001 as MacAddress;
const GUEST_LINK_OPTION = fromHex("0101020000000002");

function open(options: { hasNat?: boolean; domain?: string } = {}) {
  const clock = new ManualClock();
  const kept = new KeptFrames();
  /** Multicast listener reports, which have a header of their own before the message. */
  const reports: Uint8Array[] = [];
  const take = () =>
    kept.take().filter((frame) => {
      const isReport = frame[14 + 6] === 0;
      if (isReport) reports.push(frame.subarray(14));
      return !isReport;
    });
  const cable = { take, takePackets: () => take().map((frame) => frame.subarray(14)) };
  const drops = noHostDrops();
  const warnings: string[] = [];
  const log = {
    debug: () => undefined,
    info: () => undefined,
    warn: (event: string) => void warnings.push(event),
    error: () => undefined,
  };
  const way = { exists: true, closed: 0, changed: () => {} };
  const addresses = hostIpv6(HOST_MAC, PREFIX);
  const services = new Ipv6Services({
    hub: "office",
    clock,
    random: seededRandom(1),
    log,
    link: kept.link,
    addresses,
    domain: options.domain ?? "branch.example",
    drops,
    hasNat: options.hasNat ?? true,
    watchWayOut: (onChange) => {
      way.changed = onChange;
      return {
        get exists() {
          return way.exists;
        },
        close: () => void (way.closed += 1),
      };
    },
  });
  const icmp = (source: string, destination: string, message: string, ttl = 255) =>
    services.receiveIcmp(aimed(icmpv6Frame({ source, destination, ttl }, fromHex(message))));
  return { clock, cable, reports, drops, warnings, way, services, icmp, addresses };
}

/** A solicitation for a target, with or without the asker's MAC. */
const solicitation = (target: string, option = "0101020000000002") =>
  `8700000000000000${bytesOf(target).toHex()}${option}`;

const advertisements = (frames: readonly Uint8Array[]) =>
  frames.map((frame) => {
    const packet = frame.subarray(14);
    const { target, mac, isSolicited } = tryParseNeighborAdvertisement(packet)!;
    return {
      to: readMac(frame, 0),
      source: formatAddress(packet.subarray(8, 24)),
      destination: formatAddress(packet.subarray(24, 40)),
      target: formatAddress(target),
      mac,
      isSolicited,
      isRouter: (packet[44]! & 0x80) !== 0,
    };
  });

describe("hostIpv6()", () => {
  test("makes addresses of MAC and prefix", () => {
    const { linkLocal, global } = hostIpv6(HOST_MAC, tryParseNet("2001:db8:30::77/64")!);
    expect(formatAddress(linkLocal)).toBe("fe80::5c00:ff:fe00:1");
    expect(formatAddress(global)).toBe(GLOBAL);
  });
});

describe("Ipv6Services and neighbours (RFC 4861 7.2)", () => {
  test("receiveIcmp() answers solicitations for both addresses to the station that asked", () => {
    const { cable, icmp } = open();
    for (const target of ["fe80::5c00:ff:fe00:1", GLOBAL]) {
      for (const destination of [target, "ff02::1:ff00:1"]) {
        expect(icmp(GUEST, destination, solicitation(target))).toBe(true);
        expect(advertisements(cable.take())).toEqual([
          {
            to: GUEST_MAC,
            source: target,
            destination: GUEST,
            target,
            mac: HOST_MAC,
            isSolicited: true,
            isRouter: true,
          },
        ]);
      }
    }
  });

  test("receiveIcmp() tells everybody when somebody looks whether its address is free (RFC 4862 5.4.3)", () => {
    const { cable, icmp } = open();
    icmp("::", "ff02::1:ff00:1", solicitation(GLOBAL, ""));
    const [answer] = advertisements(cable.take());
    expect(answer).toMatchObject({ to: ALL_NODES_MAC, destination: "ff02::1", isSolicited: false });
  });

  test("receiveIcmp() tells everybody 32 times a second at most for one guest", () => {
    const { cable, drops, icmp } = open();
    for (let n = 0; n < 40; n += 1) icmp("::", "ff02::1:ff00:1", solicitation(GLOBAL, ""));
    expect([advertisements(cable.take()).length, drops.limit]).toEqual([32, 8]);
  });

  test("receiveIcmp() is silent about others, and drops what came from elsewhere or is broken", () => {
    const { cable, drops, icmp } = open();
    icmp(GUEST, "ff02::1:ff00:99", solicitation("2001:db8:30::99"));
    expect(drops.header).toBe(0);
    icmp(GUEST, GLOBAL, solicitation(GLOBAL), 254);
    icmp(GUEST, GLOBAL, solicitation(GLOBAL).slice(0, 30));
    icmp(GUEST, GLOBAL, solicitation("ff02::1"));
    icmp(GUEST, GLOBAL, solicitation(GLOBAL, "0100020000000002"));
    // Who has no address may not tell a MAC, and asks the group.
    icmp("::", "ff02::1:ff00:1", solicitation(GLOBAL));
    icmp("::", GLOBAL, solicitation(GLOBAL, ""));
    expect([cable.take(), drops.header]).toEqual([[], 6]);
  });

  test("IP-02 believes no advertisement, and contradicts who claims its address, now and then", () => {
    const { cable, clock, drops, icmp, warnings } = open();
    const claim = (target: string) => `8800000060000000${bytesOf(target).toHex()}0201020000000002`;
    icmp(GUEST, GLOBAL, claim("2001:db8:30::99"));
    expect([cable.take(), drops.arp_spoof]).toEqual([[], 0]);
    for (let n = 0; n < 100; n += 1) icmp(GUEST, GLOBAL, claim(GLOBAL));
    expect(advertisements(cable.take())).toMatchObject([{ to: ALL_NODES_MAC, target: GLOBAL }]);
    expect([drops.arp_spoof, warnings]).toEqual([100, ["nat_address_conflict"]]);
    clock.advance(10_000);
    icmp(GUEST, GLOBAL, claim(GLOBAL));
    expect(cable.take().length).toBe(1);
  });

  test("receiveIcmp() leaves what is no discovery to others", () => {
    const { cable, icmp } = open();
    expect(icmp(GUEST, GLOBAL, "8000000000010001")).toBe(false);
    expect(icmp(GUEST, "ff02::1", "8300000000000000")).toBe(false);
    expect(cable.take()).toEqual([]);
  });
});

describe("Ipv6Services as a router", () => {
  test("start() tells who has the addresses and who is the router; close() takes it back", () => {
    const { cable, clock, services, way } = open();
    services.start();
    const frames = cable.take();
    expect(frames.length).toBe(3);
    expect(advertisements(frames.slice(0, 2)).map(({ target }) => target)).toEqual([
      "fe80::5c00:ff:fe00:1",
      GLOBAL,
    ]);
    expect(tryParseRouterAdvertisement(frames[2]!.subarray(14))).toMatchObject({
      lifetimeMs: 1_800_000,
    });
    expect(services.stats).toMatchObject({ advertised: 1, solicited: 0 });
    services.close();
    services.close();
    const [last, ...more] = cable.take();
    expect(more).toEqual([]);
    expect(tryParseRouterAdvertisement(last!.subarray(14))?.lifetimeMs).toBe(0);
    expect([clock.pending, way.closed > 0]).toEqual([0, true]);
  });

  test("receiveIcmp() answers router solicitations by unicast", () => {
    const { cable, clock, icmp, services } = open();
    services.start();
    cable.take();
    icmp(GUEST, "ff02::2", `8500000000000000${GUEST_LINK_OPTION.toHex()}`);
    clock.advance(500);
    const [answer] = cable.take();
    expect(readMac(answer!, 0)).toBe(GUEST_MAC);
    expect(tryParseRouterAdvertisement(answer!.subarray(14))?.lifetimeMs).toBe(1_800_000);
  });

  test("is a default router while there is a way out and NAT to take it", () => {
    const { cable, clock, services, way } = open();
    const lifetimes = () =>
      cable
        .takePackets()
        .flatMap((packet) => tryParseRouterAdvertisement(packet)?.lifetimeMs ?? []);
    way.exists = false;
    services.start();
    expect(lifetimes()).toEqual([0]);
    way.exists = true;
    way.changed();
    clock.advance(3_000);
    expect(lifetimes()).toEqual([1_800_000]);
    const alone = open({ hasNat: false });
    alone.services.start();
    const [, , advertised] = alone.cable.takePackets();
    expect(tryParseRouterAdvertisement(advertised!)?.lifetimeMs).toBe(0);
    expect(alone.services.isDefaultRouter).toBe(false);
  });

  test("IP-17 router advertisements and redirects of guests are counted and change nothing", () => {
    const { cable, drops, icmp } = open();
    icmp(GUEST, "ff02::1", "8600000040000708 0000000000000000".replace(" ", ""));
    icmp(GUEST, GLOBAL, `8900000000000000${bytesOf(GUEST).toHex()}${bytesOf(GLOBAL).toHex()}`);
    expect([drops.router_spoof, cable.take()]).toEqual([2, []]);
  });

  test("reconfigure() tells of another domain, and of nothing where it is the same", () => {
    const { cable, clock, services } = open({ domain: "" });
    services.start();
    const has = (frame: Uint8Array) => frame.toHex().includes("066272616e6368076578616d706c6500");
    expect(cable.take().some(has)).toBe(false);
    services.reconfigure({ domain: "" });
    clock.advance(2_000);
    expect(cable.take()).toEqual([]);
    services.reconfigure({ domain: "branch.example" });
    clock.advance(1_000);
    expect(cable.take().map(has)).toEqual([true]);
  });
});

describe("Ipv6Services as a listener of groups (RFC 3810)", () => {
  /** A general query of a switch, with a router alert before it. */
  const query = (change: (packet: Uint8Array) => void = () => {}) => {
    const source = "fe80::9";
    const destination = "ff02::1";
    const message = fromHex(`8200000003e80000${"00".repeat(16)}00000000`);
    const plain = icmpv6Frame({ source, destination, ttl: 1 }, message);
    const packet = concatBytes(
      plain.subarray(0, 54),
      fromHex("3a00050200000100"),
      plain.subarray(54),
    );
    packet[14 + 5]! += 8;
    packet[14 + 6] = 0;
    change(packet);
    return aimed(packet);
  };
  const GROUPS = ["ff02::2", "ff02::1:2", "ff02::1:ff00:1"];
  const told = (packet: Uint8Array) => {
    const count = (packet[54]! << 8) | packet[55]!;
    return Array.from({ length: count }, (_, n) => {
      const at = 56 + 20 * n;
      return `${packet[at]} ${formatAddress(packet.subarray(at + 4, at + 20))}`;
    });
  };

  test("start() reports its groups twice, and close() that it leaves them", () => {
    const { cable, clock, reports, services } = open();
    services.start();
    clock.advance(1_000);
    cable.take();
    // Both addresses of the host end alike, so that one group serves both.
    expect(reports.map(told)).toEqual([
      GROUPS.map((group) => `4 ${group}`),
      GROUPS.map((group) => `4 ${group}`),
    ]);
    const [first] = reports;
    expect(formatAddress(first!.subarray(24, 40))).toBe("ff02::16");
    expect([first![7], first!.subarray(40, 48).toHex()]).toEqual([1, "3a00050200000100"]);
    const sum = sumWords(
      first!,
      48,
      first!.length,
      sumWords(first!, 8, 40, first!.length - 48 + 58),
    );
    expect(finishChecksum(sum)).toBe(0);
    services.close();
    cable.take();
    expect(told(reports.at(-1)!)).toEqual(GROUPS.map((group) => `3 ${group}`));
    expect(clock.pending).toBe(0);
  });

  test("receiveIcmp() answers a query once within the time that it gives", () => {
    const { cable, clock, reports, services } = open();
    services.start();
    clock.advance(1_000);
    for (let n = 0; n < 50; n += 1) expect(services.receiveIcmp(query())).toBe(true);
    clock.advance(1_000);
    cable.take();
    expect(reports.slice(2).map(told)).toEqual([GROUPS.map((group) => `2 ${group}`)]);
  });

  test("receiveIcmp() drops queries from elsewhere, without a router alert, or broken", () => {
    const { cable, clock, drops, icmp, reports, services } = open();
    services.start();
    clock.advance(1_000);
    services.receiveIcmp(query((packet) => (packet[14 + 7] = 64)));
    services.receiveIcmp(query((packet) => packet.set(bytesOf("2001:db8::9"), 14 + 8)));
    services.receiveIcmp(query((packet) => (packet[packet.length - 1]! ^= 1)));
    icmp("fe80::9", "ff02::1", `8200000003e80000${"00".repeat(16)}00000000`, 1);
    icmp("fe80::9", "ff02::1", "82000000", 1);
    clock.advance(10_000);
    cable.take();
    expect([reports.length, drops.header]).toEqual([2, 5]);
  });
});

describe("Ipv6Services.receiveDhcp()", () => {
  test("answers port 546 of the asker from its link-local address", () => {
    const { cable, services } = open();
    const addresses = { source: GUEST, destination: "ff02::1:2" };
    const message = fromHex("0b12345600060002001700010004 00030001".replace(" ", ""));
    const payload = udpPayload(addresses, 546, 547, message);
    services.receiveDhcp(aimed(ipFrame({ ...addresses, protocol: 17, payload })));
    const [frame] = cable.take();
    expect(readMac(frame!, 0)).toBe(GUEST_MAC);
    const packet = frame!.subarray(14);
    expect(formatAddress(packet.subarray(8, 24))).toBe("fe80::5c00:ff:fe00:1");
    expect(formatAddress(packet.subarray(24, 40))).toBe(GUEST);
    const view = new DataView(packet.buffer, packet.byteOffset);
    expect([view.getUint16(40), view.getUint16(42)]).toEqual([547, 546]);
    const answer = tryParseDhcpv6(packet.slice(48))!;
    expect([answer.type, answer.transaction]).toEqual([7, 0x123456]);
    expect(answer.options.map(({ code }) => code)).toEqual([2, 1, 23]);
    expect(services.stats.dhcp.informed).toBe(1);
  });

  test("IP-06 drops a datagram without a right checksum, which IPv6 must have", () => {
    const { cable, drops, services } = open();
    const addresses = { source: GUEST, destination: "ff02::1:2" };
    for (const sum of [0, 0x1234]) {
      const payload = udpPayload(addresses, 546, 547, fromHex("0b123456"), { sum });
      services.receiveDhcp(aimed(ipFrame({ ...addresses, protocol: 17, payload })));
    }
    const cut = concatBytes(udpPayload(addresses, 546, 547, new Uint8Array(), { length: 9 }));
    services.receiveDhcp(aimed(ipFrame({ ...addresses, protocol: 17, payload: cut })));
    expect([cable.take(), drops.checksum, drops.header]).toEqual([[], 2, 1]);
  });
});
