import { describe, expect, test } from "bun:test";
import type { MacAddress } from "../../src/base/mac.ts";
import { RouterAdvertiser } from "../../src/ip-host/router-advertiser.ts";
import { tryParseRouterAdvertisement } from "../../src/wire/router-advertisement.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { bytesOf, HOST_MAC } from "./packets.ts";

const ALL_NODES_MAC = 0x3333_0000_0001 as MacAddress;
const NOBODY = new Uint8Array(16);
const guest = (n: number) => (0x0200_0000_0000 + n) as MacAddress;

function open(isDefaultRouter: () => boolean = () => true) {
  const clock = new ManualClock();
  const sent: { at: number; to: MacAddress; packet: Uint8Array; lifetimeMs: number }[] = [];
  let settled = 0;
  const advertiser = new RouterAdvertiser({
    clock,
    random: seededRandom(3),
    facts: {
      mac: HOST_MAC,
      linkLocal: bytesOf("fe80::1"),
      mtu: 1500,
      prefixes: [{ network: bytesOf("2001:db8:30::"), length: 64 }],
      dns: [bytesOf("2001:db8:30::1")],
      search: [],
      hasOtherConfig: true,
    },
    isDefaultRouter,
    send: (to, packet) => {
      const { lifetimeMs } = tryParseRouterAdvertisement(packet)!;
      sent.push({ at: clock.now(), to, packet, lifetimeMs });
    },
    settled: () => void (settled += 1),
  });
  return { clock, sent, advertiser, settled: () => settled };
}

/** Seconds of the prefix option: valid, preferred; and of the name servers. */
function lifetimes(packet: Uint8Array): number[] {
  const view = new DataView(packet.buffer);
  return [
    view.getUint32(40 + 16 + 8 + 8 + 4),
    view.getUint32(40 + 16 + 8 + 8 + 8),
    view.getUint32(40 + 16 + 8 + 8 + 32 + 4),
  ];
}

describe("RouterAdvertiser", () => {
  test("start() speaks at once, twice more soon, and then every 200 to 600 seconds (RFC 4861 6.2.4)", () => {
    const { clock, sent, advertiser, settled } = open();
    advertiser.start();
    expect(sent.map(({ to }) => to)).toEqual([ALL_NODES_MAC]);
    clock.advance(3_600_000);
    const gaps = sent.slice(1).map(({ at }, index) => at - sent[index]!.at);
    expect(gaps.slice(0, 2)).toEqual([3_000, 16_000]);
    expect(gaps.length).toBeGreaterThan(6);
    for (const gap of gaps.slice(2)) {
      expect(gap).toBeGreaterThanOrEqual(200_000);
      expect(gap).toBeLessThanOrEqual(600_000);
    }
    // Not in step with other routers.
    expect(new Set(gaps).size).toBeGreaterThan(4);
    expect(settled()).toBe(sent.length - 1);
    expect(clock.pending).toBe(1);
  });

  test("solicited() answers one asker alone, within half a second", () => {
    const { clock, sent, advertiser } = open();
    advertiser.start();
    advertiser.solicited(bytesOf("fe80::2"), guest(2));
    advertiser.solicited(bytesOf("fe80::3"), guest(3));
    advertiser.solicited(bytesOf("fe80::2"), guest(2));
    expect(sent.length).toBe(1);
    clock.advance(500);
    expect(sent.slice(1).map(({ to }) => to)).toEqual([guest(2), guest(3)]);
    expect(sent[1]!.packet.subarray(24, 40)).toEqual(bytesOf("fe80::2"));
    expect(advertiser.stats).toEqual({ multicast: 1, unicast: 2, solicitations: 3 });
    // Each time anew.
    advertiser.solicited(bytesOf("fe80::2"), guest(2));
    clock.advance(500);
    expect(sent.length).toBe(4);
  });

  test("solicited() tells everybody for one without an address, and for many, no more than once in 3 seconds", () => {
    const { clock, sent, advertiser } = open();
    advertiser.start();
    for (let second = 0; second < 60; second += 1) {
      advertiser.solicited(NOBODY, guest(2));
      for (let n = 0; n < 500; n += 1) advertiser.solicited(bytesOf("fe80::3"), guest(n));
      clock.advance(1_000);
    }
    expect(sent.every(({ to }) => to === ALL_NODES_MAC)).toBe(true);
    const gaps = sent.slice(1).map(({ at }, index) => at - sent[index]!.at);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(3_000);
    expect(sent.length).toBeGreaterThan(14);
    expect(advertiser.stats.unicast).toBe(0);
  });

  test("changed() tells everybody soon that it is no default router any more", () => {
    let isRouter = true;
    const { clock, sent, advertiser } = open(() => isRouter);
    advertiser.start();
    clock.advance(100_000);
    const before = sent.length;
    isRouter = false;
    advertiser.changed();
    clock.advance(0);
    expect(sent.length).toBe(before + 1);
    expect(sent.at(-1)!.lifetimeMs).toBe(0);
    // The prefix and the name server stay as they are.
    expect(lifetimes(sent.at(-1)!.packet)).toEqual([86_400, 14_400, 1_800]);
    isRouter = true;
    advertiser.changed();
    advertiser.changed();
    clock.advance(2_999);
    expect(sent.length).toBe(before + 1);
    clock.advance(1);
    expect(sent.at(-1)!.lifetimeMs).toBe(1_800_000);
    // A frame may have been lost.
    clock.advance(19_000);
    expect(sent.length).toBe(before + 4);
  });

  test("close() takes back the route, the prefix and the name server, and leaves no timer", () => {
    const { clock, sent, advertiser } = open();
    advertiser.start();
    advertiser.solicited(bytesOf("fe80::2"), guest(2));
    advertiser.close();
    advertiser.close();
    expect(sent.length).toBe(2);
    expect([sent[1]!.to, sent[1]!.lifetimeMs]).toEqual([ALL_NODES_MAC, 0]);
    expect(lifetimes(sent[1]!.packet)).toEqual([7_200, 0, 0]);
    expect(clock.pending).toBe(0);
    advertiser.solicited(NOBODY, guest(2));
    advertiser.changed();
    clock.advance(10_000_000);
    expect(sent.length).toBe(2);
  });

  test("says nothing, not even goodbye, before it was started", () => {
    const { clock, sent, advertiser } = open();
    advertiser.solicited(NOBODY, guest(2));
    advertiser.changed();
    advertiser.close();
    expect([sent.length, clock.pending]).toEqual([0, 0]);
  });
});
