import { describe, expect, test } from "bun:test";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { DEFAULT_HUB_SETTINGS } from "../../src/hub/hub-settings.ts";
import { TokenBucket } from "../../src/hub/shaper.ts";
import * as make from "./frames.ts";
import { ipv4, ipv6, lan, linkLocal, mac, tcp, udp } from "./frames.ts";
import { type Plugged, World } from "./world.ts";

const one = { to: mac(0x99), from: mac(1) };
const ACK = 16;
/** 1,000 bytes, 8,000 bit. */
const bulk = ipv4({
  ...one,
  ip: lan(5),
  protocol: 17,
  body: udp(5000, 5001, new Uint8Array(1000 - 14 - 20 - 8)),
});

/** Sends a frame of 1,000 bytes each millisecond and counts what arrives. */
function stream(world: World, from: Plugged, to: Plugged, ms: number): number {
  for (let n = 0; n < ms; n += 1) {
    world.now += 1;
    from.send(bulk);
  }
  return to.take().length;
}

describe.each(["max_upload", "max_download"] as const)("%s", (item) => {
  function shaped(bitsPerSecond: number) {
    const world = new World();
    const limits = { [item]: bitsPerSecond };
    const from = world.attach("bridge", item === "max_upload" ? limits : {});
    const to = world.attach("bridge", item === "max_download" ? limits : {});
    return { world, from, to, at: item === "max_upload" ? from : to };
  }

  test("lets through what the rate allows, and a quarter of a second at once", () => {
    const { world, from, to, at } = shaped(800_000);
    // 100 frames a second of 1,000 that come, after a burst of 25.
    const passed = stream(world, from, to, 5000);
    expect(passed).toBeGreaterThanOrEqual(524);
    expect(passed).toBeLessThanOrEqual(526);
    expect(world.drops(at)).toEqual({ [item]: 5000 - passed });
  });

  test("a frame larger than a quarter of a second's worth passes all the same, at the right rate", () => {
    const { world, from, to } = shaped(8_000);
    const passed = stream(world, from, to, 10_000);
    expect(passed).toBeGreaterThanOrEqual(10);
    expect(passed).toBeLessThanOrEqual(11);
  });

  test("ARP, ICMP, DHCP and the ends of flows pass at any rate, of IPv4 and IPv6", () => {
    const { world, from, to } = shaped(1);
    stream(world, from, to, 10);
    const exempt = [
      make.arp({ ...one, ip: lan(5) }),
      ipv4({ ...one, ip: lan(5), protocol: 1 }),
      make.dhcp(one, "client"),
      make.icmpv6(one, 135),
      make.icmpv6(one, 128),
      make.dhcpv6(one, "server"),
      ...[1, 2, 4, 18].flatMap((flags) => [
        ipv4({ ...one, ip: lan(5), protocol: 6, body: tcp(flags) }),
        ipv6({ ...one, ip: linkLocal(5), next: 6, body: tcp(flags) }),
      ]),
    ];
    from.send(...exempt);
    expect(to.take()).toHaveLength(exempt.length);
    from.send(
      ipv4({ ...one, ip: lan(5), protocol: 6, body: tcp(ACK) }),
      ipv6({ ...one, ip: linkLocal(5), next: 6, body: tcp(ACK) }),
      make.frame({ ...one, size: 60 }),
    );
    expect(to.take()).toEqual([]);
  });

  test("another policy or other options do not fill the bucket anew", () => {
    const { world, from, to, at } = shaped(800_000);
    stream(world, from, to, 500);
    for (let n = 0; n < 20; n += 1) {
      at.at.reconfigure({ ...at.at.policy, max_mac: 10 + n });
      world.hub.reconfigure({ ...DEFAULT_HUB_SETTINGS });
    }
    from.send(bulk, bulk, bulk);
    expect(to.take()).toEqual([]);
  });

  test("a changed rate holds at once, and 0 is none", () => {
    const { world, from, to, at } = shaped(800_000);
    stream(world, from, to, 1000);
    at.at.reconfigure({ ...at.at.policy, [item]: 1_600_000 });
    const doubled = stream(world, from, to, 1000);
    expect(doubled).toBeGreaterThanOrEqual(198);
    expect(doubled).toBeLessThanOrEqual(202);
    at.at.reconfigure({ ...DEFAULT_POLICY, no_broadcast_limiter: true });
    expect(stream(world, from, to, 100)).toBe(100);
  });
});

test("a monitoring port has its download limit, too", () => {
  const world = new World();
  const monitor = world.attach("monitor", { max_download: 800_000 });
  stream(world, world.attach("bridge"), monitor, 0);
  const passed = stream(world, world.attach("bridge"), monitor, 1000);
  expect(passed).toBeLessThanOrEqual(126);
});

test("TokenBucket.take() gives no more after a long pause than after a quarter of a second", () => {
  const bucket = new TokenBucket(10_000);
  const drain = (now: number) => {
    let taken = 0;
    while (bucket.take(100, now)) taken += 1;
    return taken;
  };
  expect(drain(0)).toBe(25);
  expect(drain(3_600_000)).toBe(25);
  expect(drain(3_600_050)).toBe(5);
});
