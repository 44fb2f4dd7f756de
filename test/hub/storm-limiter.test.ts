import { expect, test } from "bun:test";
import type { HubOptions } from "../../src/config/hub-options.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { DEFAULT_HUB_SETTINGS } from "../../src/hub/hub-settings.ts";
import { arp, BROADCAST, frame, ipv4, ipv6, lan, mac } from "./frames.ts";
import { type Plugged, World } from "./world.ts";

/** How many of the frames reach `to`, one sent every `everyMs`. */
function sendEvery(
  world: World,
  ports: { from: Plugged; to: Plugged },
  stream: { count: number; everyMs: number; make: (n: number) => Uint8Array },
): number {
  ports.to.take();
  for (let n = 0; n < stream.count; n += 1) {
    ports.from.send(stream.make(n));
    world.now += stream.everyMs;
  }
  return ports.to.take().length;
}

const LIMITED = { no_broadcast_limiter: false };

function open(options: Partial<HubOptions> = {}) {
  const world = new World();
  world.hub.reconfigure({
    ...DEFAULT_HUB_SETTINGS,
    options: { ...DEFAULT_HUB_SETTINGS.options, ...options },
  });
  const from = world.attach("bridge", LIMITED);
  const to = world.attach("bridge");
  return { world, from, to };
}

const hello = () => ipv4({ from: mac(1), to: BROADCAST, ip: lan(1) });

test("stormLimiter() lets about 100 of 500 frames at 100 a second pass, as the reference does", () => {
  const { world, from, to } = open();
  const passed = sendEvery(world, { from, to }, { count: 500, everyMs: 10, make: hello });
  expect(passed).toBeGreaterThan(80);
  expect(passed).toBeLessThan(170);
  expect(world.drops(from).storm).toBe(500 - passed);
});

test("stormLimiter() silences a steady storm within 4 s and recovers within a few quiet half seconds", () => {
  const { world, from, to } = open();
  sendEvery(world, { from, to }, { count: 500, everyMs: 10, make: hello });
  expect(sendEvery(world, { from, to }, { count: 200, everyMs: 10, make: hello })).toBe(0);
  // Two a second are no storm: the divisor falls by half or more with each.
  sendEvery(world, { from, to }, { count: 12, everyMs: 600, make: hello });
  expect(sendEvery(world, { from, to }, { count: 10, everyMs: 600, make: hello })).toBe(10);
});

test("stormLimiter() lets 30 frames a second of one flow pass, and any number of unicast frames", () => {
  const { world, from, to } = open();
  expect(sendEvery(world, { from, to }, { count: 300, everyMs: 33.4, make: hello })).toBe(300);
  to.send(ipv4({ from: mac(2), to: mac(1), ip: lan(2) }));
  const unicast = () => ipv4({ from: mac(1), to: mac(2), ip: lan(1) });
  expect(sendEvery(world, { from, to }, { count: 5000, everyMs: 1, make: unicast })).toBe(5000);
});

test("stormLimiter() counts frames to unknown MACs as floods", () => {
  const { world, from, to } = open();
  const lost = () => frame({ from: mac(1), to: mac(99) });
  expect(sendEvery(world, { from, to }, { count: 1000, everyMs: 10, make: lost })).toBeLessThan(
    170,
  );
});

test("stormLimiter() FR-16 holds 100,000 broadcasts a second, others' unicast loses nothing", () => {
  const { world, from, to } = open();
  const [one, two] = [world.attach("client"), world.attach("client")];
  one.send(ipv4({ from: mac(11), to: BROADCAST, ip: lan(11) }));
  two.send(ipv4({ from: mac(12), to: BROADCAST, ip: lan(12) }));
  [to, one, two].forEach((port) => port.take());
  const storm = Array.from({ length: 1000 }, hello);
  let unicast = 0;
  for (let n = 0; n < 500; n += 1) {
    from.send(...storm);
    one.send(ipv4({ from: mac(11), to: mac(12), ip: lan(11) }));
    unicast += two.take().filter((bytes) => bytes[0] !== 0xff).length;
    world.now += 10;
  }
  expect(unicast).toBe(500);
  // A wave of 1,300 or so until it is silenced, instead of as many per cent as of a slow storm.
  expect(to.frames.length).toBeLessThan(3_000);
  to.take();
  // Silenced for good by now.
  from.send(...storm);
  expect(to.take()).toHaveLength(0);
});

test("stormLimiter() does not let made-up source addresses get round it", () => {
  const { world, from, to } = open();
  const made = (n: number) => ipv4({ from: mac(1), to: BROADCAST, ip: n + 1 });
  const stream = { count: 10_000, everyMs: 0.05, make: made };
  expect(sendEvery(world, { from, to }, stream)).toBeLessThanOrEqual(2 * 1024);
  expect(world.events("storm")).toHaveLength(1);
});

test("stormLimiter() tells flows apart by source MAC and both addresses", () => {
  const { world, from, to } = open();
  const quiet = [
    (n: number) => ipv4({ from: mac(n % 10), to: BROADCAST, ip: lan(1) }),
    (n: number) => ipv4({ from: mac(20), to: BROADCAST, ip: lan(n % 10) }),
    (n: number) => arp({ from: mac(21), to: BROADCAST, ip: lan(n % 10) }),
    (n: number) => ipv6({ from: mac(22), to: BROADCAST, ip: [0xfe80, 0, 0, 0, 0, 0, 0, n % 10] }),
  ];
  for (const make of quiet) {
    expect(sendEvery(world, { from, to }, { count: 500, everyMs: 10, make })).toBe(500);
  }
});

test("stormLimiter() in strict mode sees one flow where one of the addresses is the same", () => {
  const { world, from, to } = open({ BroadcastLimiterStrictMode: 1 });
  const make = (n: number) => ipv4({ from: mac(1), to: BROADCAST, ip: lan(n % 50) });
  expect(sendEvery(world, { from, to }, { count: 500, everyMs: 10, make })).toBeLessThan(170);
});

test("stormLimiter() takes the threshold of the hub", () => {
  const { world, from, to } = open({ BroadcastStormDetectionThreshold: 200 });
  expect(sendEvery(world, { from, to }, { count: 500, everyMs: 10, make: hello })).toBe(500);
  expect(sendEvery(world, { from, to }, { count: 2000, everyMs: 2.5, make: hello })).toBeLessThan(
    700,
  );
});

test("stormLimiter() is off for ports with NoBroadcastLimiter and for hosts of the server's own", () => {
  const { world, to } = open();
  const exempt = [
    world.attach("bridge", { no_broadcast_limiter: true }),
    world.attach("secure-nat", LIMITED),
    world.attach("l3", LIMITED),
  ];
  exempt.forEach((from, n) => {
    const make = () => ipv4({ from: mac(40 + n), to: BROADCAST, ip: lan(1) });
    expect(from.at.program.flooding).toEqual(from.at.program.admission);
    expect(sendEvery(world, { from, to }, { count: 500, everyMs: 1, make })).toBe(500);
  });
});

test("stormLimiter() goes on where it was after a change of policy", () => {
  const { world, from, to } = open();
  sendEvery(world, { from, to }, { count: 500, everyMs: 10, make: hello });
  from.at.reconfigure({ ...DEFAULT_POLICY, max_mac: 50 });
  expect(sendEvery(world, { from, to }, { count: 100, everyMs: 10, make: hello })).toBe(0);
});

test("stormLimiter() keeps no more than 1,024 records of a port, the latest", () => {
  const { world, from, to } = open();
  sendEvery(world, { from, to }, { count: 500, everyMs: 10, make: hello });
  const other = (n: number) => ipv4({ from: mac(1), to: BROADCAST, ip: n + 1 });
  sendEvery(world, { from, to }, { count: 1024, everyMs: 1, make: other });
  // The storm's own record was the oldest, so its next frame is the first of a flow.
  expect(sendEvery(world, { from, to }, { count: 1, everyMs: 1, make: hello })).toBe(1);
});

test("stormLimiter() tells of a storm once, with its source; not with DoNotSaveHeavySecurityLogs", () => {
  const loud = open();
  sendEvery(loud.world, loud, { count: 500, everyMs: 10, make: hello });
  const told = loud.world.events("storm");
  expect(told).toHaveLength(1);
  expect(told[0]).toMatchObject({
    level: "warn",
    fields: { port: loud.from.name, mac: "02:00:00:00:00:01", address: "192.168.0.1" },
  });
  const silent = open({ DoNotSaveHeavySecurityLogs: 1 });
  sendEvery(silent.world, silent, { count: 500, everyMs: 10, make: hello });
  expect(silent.world.events("storm")).toHaveLength(0);
  expect(silent.world.drops(silent.from).storm).toBeGreaterThan(0);
});
