import { describe, expect, test } from "bun:test";
import { formatAddress, type Ipv4 } from "../../src/base/ip.ts";
import type { MacAddress } from "../../src/base/mac.ts";
import type { CompatName } from "../../src/config/compat.ts";
import { DEFAULT_HUB_OPTIONS, type HubOptions } from "../../src/config/hub-options.ts";
import { DEFAULT_POLICY, type Policy } from "../../src/config/policy.ts";
import { Hub } from "../../src/hub/hub.ts";
import { DEFAULT_HUB_SETTINGS } from "../../src/hub/hub-settings.ts";
import { stationAddress } from "../../src/hub/station-address.ts";
import { encodeArp, tryParseArp } from "../../src/wire/arp.ts";
import { tryParseEthernet } from "../../src/wire/ethernet.ts";
import {
  encodeNeighborAdvertisement,
  encodeNeighborSolicitation,
  readLinkAddress,
  tryParseNeighborSolicitation,
} from "../../src/wire/neighbor-discovery.ts";
import { ArrayPort } from "../support/array-port.ts";
import { fromHex } from "../support/hex.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { arp, BROADCAST, frame, ipv4, ipv6, lan, mac } from "./frames.ts";

const OWN = stationAddress("server", "TEST");

function open(
  set: {
    options?: Partial<HubOptions>;
    compat?: readonly CompatName[];
    polls?: boolean;
  } = {},
) {
  const clock = new ManualClock();
  const silent = () => {};
  const hub = new Hub({
    name: "test",
    clock,
    log: { debug: silent, info: silent, warn: silent, error: silent },
    random: seededRandom(1),
    serverId: "server",
    settings: {
      ...DEFAULT_HUB_SETTINGS,
      options: { ...DEFAULT_HUB_OPTIONS, ...set.options },
      compat: new Set(set.compat),
    },
    ...(set.polls === undefined ? {} : { polls: set.polls }),
  });
  const plug = (name: string, policy: Partial<Policy> = {}) => {
    const port = new ArrayPort(name);
    const at = hub.attach(port, {
      kind: "client",
      user: "test",
      policy: { ...DEFAULT_POLICY, no_broadcast_limiter: true, ...policy },
    });
    return Object.assign(port, { at });
  };
  return { clock, hub, plug };
}

const arpOf = (bytes: Uint8Array) => tryParseArp(tryParseEthernet(bytes)!.payload)!;
const isPoll = (bytes: Uint8Array) => tryParseEthernet(bytes)!.src === OWN.mac;
/** What a host answers to an ARP poll. */
const answerTo = (poll: Uint8Array, from: MacAddress) => {
  const asked = arpOf(poll);
  const payload = encodeArp({
    operation: 2,
    senderMac: from,
    senderIp: asked.targetIp,
    targetMac: asked.senderMac,
    targetIp: asked.senderIp,
  });
  return frame({ to: tryParseEthernet(poll)!.src, from, type: 0x0806, payload });
};

test("stationAddress() makes the addresses of hub.md 2.4, the same whatever the name's case", () => {
  for (let n = 0; n < 1000; n += 1) {
    const { mac: own, ipv4: ip, ipv6: link, macLow } = stationAddress("server", `hub${n}`);
    expect(Math.floor(own / 2 ** 32)).toBe(0x00ae);
    expect(own % 2 ** 32).toBe(macLow >>> 0);
    expect(ip >>> 16).toBe(0xac1f);
    for (const octet of [(ip >>> 8) & 255, ip & 255]) {
      expect(octet).toBeGreaterThanOrEqual(1);
      expect(octet).toBeLessThanOrEqual(254);
    }
    expect(formatAddress(link)).toStartWith("fe80::2ae:");
  }
  expect(stationAddress("server", "test")).toEqual(OWN);
  expect(stationAddress("other", "TEST").mac).not.toBe(OWN.mac);
});

describe("polling", () => {
  test("asks each host by an ARP probe about every 5 s, and only behind its own port", () => {
    const { clock, plug } = open();
    const [a, b] = [plug("a"), plug("b")];
    a.send(ipv4({ from: mac(1), to: BROADCAST, ip: lan(1) }));
    a.send(ipv4({ from: mac(2), to: BROADCAST, ip: lan(2) }));
    b.take();
    clock.advance(30_000);
    const polls = a.take().filter(isPoll);
    // Those of the first ten seconds are held back, in case the host looks whether its address is free.
    expect(polls.length).toBeGreaterThanOrEqual(6);
    expect(polls.length).toBeLessThanOrEqual(10);
    const first = polls[0]!;
    expect(first).toHaveLength(42);
    expect(arpOf(first)).toMatchObject({ operation: 1, senderMac: OWN.mac, senderIp: 0 as Ipv4 });
    expect(new Set(polls.map((poll) => arpOf(poll).targetIp)).size).toBe(2);
    for (const poll of polls) {
      expect(tryParseEthernet(poll)!.dst).toBe(mac(arpOf(poll).targetIp & 255));
    }
    expect(b.take()).toEqual([]);
  });

  test("keeps the entry of a silent host that answers, and forgets one that does not after 60 s", () => {
    const { clock, hub, plug } = open();
    const port = plug("a");
    port.send(ipv4({ from: mac(1), to: BROADCAST, ip: lan(1) }));
    port.send(ipv4({ from: mac(2), to: BROADCAST, ip: lan(2) }));
    port.onDeliver = () => {
      for (const poll of port.take()) {
        if (isPoll(poll) && arpOf(poll).targetIp === lan(1)) port.send(answerTo(poll, mac(1)));
      }
    };
    clock.advance(600_000);
    expect(hub.ipTable().map(({ address }) => formatAddress(address.bytes))).toEqual([
      "192.168.0.1",
    ]);
  });

  test("solicits IPv6 neighbours from its link-local address, with its MAC in the question", () => {
    const { clock, plug } = open();
    const port = plug("a");
    port.send(ipv6({ from: mac(1), to: BROADCAST, ip: [0xfe80, 0, 0, 0, 0, 0, 0, 7] }));
    clock.advance(6_000);
    const [poll] = port.take().filter(isPoll);
    const { dst, payload } = tryParseEthernet(poll!)!;
    const asked = tryParseNeighborSolicitation(payload)!;
    expect(dst).toBe(mac(1));
    expect(formatAddress(asked.target)).toBe("fe80::7");
    expect(asked.source).toEqual(OWN.ipv6);
    expect(readLinkAddress(payload)).toBe(OWN.mac);
  });

  test("does not poll an address that a host is looking at: it would take that for a conflict (RFC 5227)", () => {
    const { clock, plug } = open();
    const [port, other] = [plug("a"), plug("b")];
    port.send(ipv4({ from: mac(1), to: BROADCAST, ip: lan(1) }));
    clock.advance(9_900);
    expect(port.take().filter(isPoll)).toEqual([]);
    clock.advance(15_000);
    expect(port.take().filter(isPoll).length).toBeGreaterThan(0);
    const look = encodeArp({
      operation: 1,
      senderMac: mac(1),
      senderIp: 0 as Ipv4,
      targetMac: 0 as MacAddress,
      targetIp: lan(1) as Ipv4,
    });
    other.send(frame({ to: BROADCAST, from: mac(3), type: 0x0806, payload: look }));
    clock.advance(9_900);
    expect(port.take().filter(isPoll)).toEqual([]);
    clock.advance(10_000);
    expect(port.take().filter(isPoll).length).toBeGreaterThan(0);
  });

  test("leaves a host alone that is heard anyway", () => {
    const { clock, plug } = open();
    const port = plug("a");
    for (let second = 0; second < 60; second += 1) {
      port.send(ipv4({ from: mac(1), to: BROADCAST, ip: lan(1) }));
      clock.advance(1_000);
    }
    expect(port.take().filter(isPoll)).toEqual([]);
    clock.advance(10_000);
    expect(port.take().filter(isPoll).length).toBeGreaterThan(0);
  });

  test("takes no timer while the table is empty, and stops when it is empty again", () => {
    const { clock, hub, plug } = open();
    const port = plug("a");
    expect(clock.pending).toBe(0);
    port.send(ipv4({ from: mac(1), to: BROADCAST, ip: lan(1) }));
    expect(clock.pending).toBe(1);
    clock.advance(100_000);
    expect(hub.ipTable()).toEqual([]);
    expect(clock.pending).toBe(0);
    port.send(ipv4({ from: mac(1), to: BROADCAST, ip: lan(1) }));
    expect(clock.pending).toBe(1);
    hub.close();
    expect(clock.pending).toBe(0);
  });

  test("spreads a thousand hosts evenly over 5 s", () => {
    const { clock, plug } = open();
    const port = plug("a");
    const polled = () => port.take().filter(isPoll).length;
    for (let n = 0; n < 1000; n += 1) port.send(ipv4({ from: mac(1), to: BROADCAST, ip: lan(n) }));
    // The first round is still sized for the one host that there was when it began.
    clock.advance(12_000);
    polled();
    const seconds = Array.from({ length: 10 }, () => {
      clock.advance(1_000);
      return polled();
    });
    for (const count of seconds) {
      expect(count).toBeGreaterThan(140);
      expect(count).toBeLessThan(260);
    }
  });

  test("costs hosts nothing of their counters, and does not wait behind a full cable", () => {
    const { clock, plug } = open();
    const port = plug("a");
    port.send(ipv4({ from: mac(1), to: BROADCAST, ip: lan(1) }));
    const before = port.at.counters.record();
    clock.advance(20_000);
    const [poll] = port.take().filter(isPoll);
    port.send(answerTo(poll!, mac(1)));
    expect(port.at.counters.record()).toEqual(before);
    port.ready = false;
    clock.advance(20_000);
    expect(port.take()).toEqual([]);
    expect(port.at.counters.record()).toEqual(before);
  });

  const off: [string, Parameters<typeof open>[0], number][] = [
    ["NoAddressPollingIPv4", { options: { NoAddressPollingIPv4: 1 } }, 6],
    ["NoAddressPollingIPv6", { options: { NoAddressPollingIPv6: 1 } }, 4],
    ["both", { options: { NoAddressPollingIPv4: 1, NoAddressPollingIPv6: 1 } }, 0],
    ["the bridge edition", { polls: false }, 0],
  ];
  for (const [name, set, left] of off) {
    test(`is switched off by ${name}`, () => {
      const { clock, plug } = open(set);
      const port = plug("a");
      port.send(ipv4({ from: mac(1), to: BROADCAST, ip: lan(1) }));
      port.send(ipv6({ from: mac(1), to: BROADCAST, ip: [0xfe80, 0, 0, 0, 0, 0, 0, 7] }));
      expect(clock.pending).toBe(left === 0 ? 0 : 1);
      clock.advance(20_000);
      const types = port.take().map((bytes) => tryParseEthernet(bytes)!.etherType);
      const expected = left === 0 ? [] : [left === 6 ? 0x86dd : 0x0806];
      expect([...new Set(types)]).toEqual(expected);
    });
  }

  test("with compat polling asks as the reference does, and answers nobody", () => {
    const { clock, plug } = open({ compat: ["polling"] });
    const port = plug("a");
    port.send(ipv4({ from: mac(1), to: BROADCAST, ip: lan(1) }));
    clock.advance(6_000);
    const [poll] = port.take().filter(isPoll);
    expect(arpOf(poll!)).toMatchObject({ senderIp: OWN.ipv4, targetIp: lan(1) as Ipv4 });
    port.send(ask(OWN.ipv4));
    expect(port.take()).toEqual([]);
  });
});

/** A host asks for the MAC of an address. */
function ask(targetIp: Ipv4, to: number = BROADCAST, tags: readonly number[] = []): Uint8Array {
  const payload = encodeArp({
    operation: 1,
    senderMac: mac(1),
    senderIp: lan(1) as Ipv4,
    targetMac: 0 as MacAddress,
    targetIp,
  });
  return frame({ to, from: mac(1), type: 0x0806, payload, tags });
}

const HOST = Uint8Array.fromHex("fe800000000000000000000000000007");

function solicit(to: number, source: Uint8Array, target: Uint8Array): Uint8Array {
  // Who looks whether an address is free asks the group of it (RFC 4861 7.1.1).
  const isProbe = source.every((octet) => octet === 0);
  const destination = isProbe ? fromHex("ff0200000000000000000001ff000000") : target;
  if (isProbe) destination.set(target.subarray(13), 13);
  const payload = encodeNeighborSolicitation({ source, destination, target, mac: mac(1) });
  return frame({ to, from: mac(1), type: 0x86dd, payload });
}

const SOLICITED_NODE = 0x3333_ff00_0000 + (OWN.macLow & 0xffffff);

describe("HubStation", () => {
  test("answers ARP for its polling address to the asking port alone", () => {
    const { plug } = open();
    const [port, other] = [plug("a"), plug("b")];
    for (const to of [BROADCAST, OWN.mac]) {
      port.send(ask(OWN.ipv4, to));
      const [answer, ...more] = port.take();
      expect(more).toEqual([]);
      expect(tryParseEthernet(answer!)!.dst).toBe(mac(1));
      expect(arpOf(answer!)).toEqual({
        operation: 2,
        senderMac: OWN.mac,
        senderIp: OWN.ipv4,
        targetMac: mac(1),
        targetIp: lan(1) as Ipv4,
      });
      expect(other.take().filter(isPoll)).toEqual([]);
    }
    port.send(ask((OWN.ipv4 ^ 1) as Ipv4));
    expect(port.take()).toEqual([]);
  });

  test("answers in the VLAN of the question", () => {
    const { plug } = open();
    const port = plug("a");
    port.send(ask(OWN.ipv4, BROADCAST, [200]));
    expect(tryParseEthernet(port.take()[0]!)!.tags[0]!.id).toBe(200);
    const inVlan = plug("b", { vlan_id: 7 });
    inVlan.send(ask(OWN.ipv4));
    expect(tryParseEthernet(inVlan.take()[0]!)!.tags).toEqual([]);
  });

  test("answers Neighbour Solicitations for its link-local address, the multicast and the unicast one", () => {
    const { plug } = open();
    const [port, other] = [plug("a"), plug("b")];
    for (const to of [SOLICITED_NODE, OWN.mac]) {
      port.send(solicit(to, HOST, OWN.ipv6));
      const [answer, ...more] = port.take();
      expect(more).toEqual([]);
      const { dst, payload } = tryParseEthernet(answer!)!;
      expect(dst).toBe(mac(1));
      expect(payload).toEqual(
        encodeNeighborAdvertisement({
          source: OWN.ipv6,
          destination: HOST,
          target: OWN.ipv6,
          mac: OWN.mac,
          isSolicited: true,
        }),
      );
    }
    // Who looks whether the address is free is told so for all to hear.
    port.send(solicit(SOLICITED_NODE, new Uint8Array(16), OWN.ipv6));
    const { dst, payload } = tryParseEthernet(port.take()[0]!)!;
    expect(dst).toBe(0x3333_0000_0001 as MacAddress);
    expect(payload.subarray(24, 40).toHex()).toBe("ff020000000000000000000000000001");
    expect(payload[44]! & 0x40).toBe(0);
    expect(other.take().filter(isPoll)).toEqual([]);
  });

  test("answers nothing to solicitations that are for others, cut, or damaged", () => {
    const { plug } = open();
    const port = plug("a");
    const good = solicit(OWN.mac, HOST, OWN.ipv6);
    for (let at = 14; at < good.length; at += 1) {
      const bad = good.slice();
      bad[at]! ^= 0x10;
      // The traffic class and flow label are under no checksum.
      if (at < 14 + 4 && at !== 14) continue;
      port.send(bad);
    }
    for (let end = 14; end < good.length; end += 1) port.send(good.slice(0, end));
    const others = OWN.ipv6.slice();
    others[15]! ^= 1;
    port.send(solicit(SOLICITED_NODE, HOST, others));
    expect(port.take()).toEqual([]);
  });

  test("stands frames of any content, and sends no more than it was asked", () => {
    const { plug } = open();
    const [port, other] = [plug("a"), plug("b")];
    const dice = seededRandom(7);
    const from = [mac(1), OWN.mac];
    const to = [OWN.mac, BROADCAST, SOLICITED_NODE];
    const types = [0x0806, 0x86dd, 0x88b5, 0x8100];
    for (let n = 0; n < 20_000; n += 1) {
      const good = n % 2 === 0 ? solicit(OWN.mac, HOST, OWN.ipv6) : ask(OWN.ipv4);
      const payload = dice.below(3) === 0 ? dice.bytes(dice.below(80)) : good.slice(14);
      if (payload.length > 0) payload[dice.below(payload.length)] = dice.below(256);
      const sent = frame({
        to: to[dice.below(to.length)]!,
        from: from[dice.below(from.length)]!,
        type: types[dice.below(types.length)]!,
        tags: dice.below(4) === 0 ? [dice.below(4096)] : [],
        payload: payload.subarray(0, dice.below(payload.length + 1)),
      });
      port.send(sent);
      expect(port.take().length).toBeLessThanOrEqual(1);
      expect(other.take().filter((bytes) => bytes.length !== sent.length)).toEqual([]);
    }
  });

  test("learns from frames to the hub's MAC, and delivers them nowhere", () => {
    const { hub, plug } = open();
    const [port, other] = [plug("a"), plug("b")];
    port.send(ipv4({ from: mac(1), to: OWN.mac, ip: lan(1) }));
    expect(other.take()).toEqual([]);
    expect(hub.macTable()).toHaveLength(1);
    expect(hub.ipTable()).toHaveLength(1);
    expect(port.at.counters.record().drops).toEqual({});
  });

  test("FR-10 drops frames with the hub's own MAC as source, learning nothing", () => {
    const { hub, plug } = open();
    const [port, other] = [plug("a"), plug("b")];
    port.send(ipv4({ from: OWN.mac, to: BROADCAST, ip: lan(1) }));
    port.send(frame({ from: OWN.mac, to: mac(1), tags: [5] }));
    expect(other.take()).toEqual([]);
    expect(port.at.counters.record().drops).toEqual({ mac_spoof: 2 });
    expect(hub.macTable()).toEqual([]);
    // Another hub's station is a host like any other.
    port.send(frame({ from: stationAddress("other", "TEST").mac, to: BROADCAST }));
    expect(other.take()).toHaveLength(1);
  });

  test("FR-15 reserved addresses pass and pause frames never, FilterBPDU stops the spanning tree", () => {
    const bridge = 0x0180_c200_0000;
    const bpdu = frame({ to: bridge, from: mac(1), type: 38, payload: [0x42, 0x42, 3], size: 60 });
    const lldp = frame({ to: bridge + 0x0e, from: mac(1), type: 0x88cc, size: 60 });
    const pause = frame({ to: bridge + 1, from: mac(1), type: 0x8808, size: 60 });
    const passes = (options: Partial<HubOptions>) => {
      const { plug } = open({ options });
      const [port, other] = [plug("a"), plug("b")];
      return [bpdu, lldp, pause].map((bytes) => {
        port.send(bytes);
        return other.take().length;
      });
    };
    expect(passes({})).toEqual([1, 1, 0]);
    expect(passes({ FilterBPDU: 1 })).toEqual([0, 1, 0]);
  });
});

test("a hub answers no solicitation and no ARP where it does not poll", () => {
  const { plug } = open({ polls: false });
  const port = plug("a");
  port.send(
    ask(OWN.ipv4),
    solicit(OWN.mac, HOST, OWN.ipv6),
    arp({ from: mac(1), to: OWN.mac, ip: lan(1) }),
  );
  expect(port.take()).toEqual([]);
});
