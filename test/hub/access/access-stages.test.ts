import { expect, test } from "bun:test";
import { MAX_DELAYED_BYTES } from "../../../src/base/limits.ts";
import type { MacAddress } from "../../../src/base/mac.ts";
import { BROADCAST } from "../frames.ts";
import { AccessWorld, drop, net, pass, user } from "./access-world.ts";
import { bytesOf, FRAME, type Made } from "./reference.ts";

const HELLO: Made = { ...FRAME, toMac: BROADCAST };
const UDP: Made = { ...HELLO, proto: 17 };

test("AccessList takes the first rule that is met, in the order of priority", () => {
  const world = new AccessWorld([
    drop({ priority: 300, family: 4 }),
    pass({ priority: 200, family: 4, proto: 6 }),
    drop({ priority: 100, family: 4, from: net("10.0.0.9") }),
  ]);
  const from = world.attach("from");
  const to = world.attach("to");
  from.send(bytesOf(HELLO), bytesOf(UDP), bytesOf({ ...HELLO, from: "10.0.0.9" }));
  expect(to.take()).toEqual([bytesOf(HELLO)]);
  world.close();
});

test("AccessList skips rules that are not enabled, and passes what no rule meets", () => {
  const world = new AccessWorld([drop({ enable: false }), drop({ family: 6 })]);
  const from = world.attach("from");
  const to = world.attach("to");
  from.send(bytesOf(HELLO));
  expect(to.take()).toHaveLength(1);
  world.close();
});

test("AccessList costs a port nothing whom no rule means", () => {
  const world = new AccessWorld([drop({ fromUser: user("alice") })]);
  expect(world.attach("alice").at.program.arrival).toHaveLength(1);
  const bob = world.attach("bob").at.program;
  expect(bob.arrival).toEqual([]);
  expect(bob.departure).toEqual([]);
  world.close();
});

test("stage 1 ends at the first rule that names a receiver; from there on each receiver is asked about", () => {
  const world = new AccessWorld([
    drop({ priority: 100, toUser: user("guard"), fromUser: user("alice") }),
    drop({ priority: 200, family: 4, proto: 17 }),
    pass({ priority: 300, toUser: user("guard") }),
    drop({ priority: 400 }),
  ]);
  const [alice, bob, guard, other] = ["alice", "bob", "guard", "other"].map((name) =>
    world.attach(name),
  );
  bob!.send(bytesOf({ ...HELLO, fromMac: 0x02_00_00_00_00_0b as MacAddress }));
  expect([alice!, guard!, other!].map((port) => port.take().length)).toEqual([0, 1, 0]);
  alice!.send(bytesOf(HELLO));
  expect([bob!, guard!, other!].map((port) => port.take().length)).toEqual([0, 0, 0]);
  bob!.send(bytesOf({ ...UDP, fromMac: 0x02_00_00_00_00_0b as MacAddress }));
  expect([alice!, guard!, other!].map((port) => port.take().length)).toEqual([0, 0, 0]);
  // On departure the one loses it that does not get it.
  expect(other!.at.counters.record().drops).toEqual({ access_list: 3 });
  expect(bob!.at.counters.record().drops).toEqual({ access_list: 1 });
  world.close();
});

test("what a rule above those of receivers passes is not asked about again", () => {
  const world = new AccessWorld([
    pass({ priority: 100, family: 4, proto: 6 }),
    drop({ priority: 200, toUser: user("guard") }),
  ]);
  const from = world.attach("from");
  const guard = world.attach("guard");
  from.send(bytesOf(HELLO), bytesOf(UDP), bytesOf(HELLO));
  expect(guard.take()).toEqual([bytesOf(HELLO), bytesOf(HELLO)]);
  world.close();
});

test("monitoring ports are receivers, too", () => {
  const world = new AccessWorld([drop({ toUser: user("watcher"), family: 4, proto: 17 })]);
  const from = world.attach("from");
  const to = world.attach("to");
  const watcher = world.attach("watcher", { kind: "monitor" });
  from.send(bytesOf(HELLO), bytesOf(UDP));
  expect(to.take()).toHaveLength(2);
  expect(watcher.take()).toEqual([bytesOf(HELLO)]);
  world.close();
});

test("stage 2 neither delays nor loses frames", () => {
  const world = new AccessWorld([pass({ toUser: user("to"), delayMs: 1000, lossPercent: 100 })]);
  const from = world.attach("from");
  const to = world.attach("to");
  from.send(bytesOf(HELLO));
  expect(to.take()).toHaveLength(1);
  world.close();
});

test("changed rules hold for ports that are there", () => {
  const world = new AccessWorld([]);
  const from = world.attach("from");
  const to = world.attach("to");
  from.send(bytesOf(HELLO));
  world.change([drop({ fromUser: user("from") })]);
  from.send(bytesOf(HELLO));
  world.change([drop({ fromUser: user("from") }), pass({ priority: 1, family: 4 })]);
  from.send(bytesOf(HELLO));
  expect(to.take()).toHaveLength(2);
  expect(from.at.counters.record().drops).toEqual({ access_list: 1 });
  world.close();
});

test("a rule delays frames of one direction, and they go on from learning", () => {
  const world = new AccessWorld([pass({ fromUser: user("from"), delayMs: 100 })]);
  const from = world.attach("from");
  const to = world.attach("to");
  from.send(bytesOf(HELLO));
  expect(world.hub.macTable()).toEqual([]);
  world.clock.advance(99);
  expect(to.take()).toEqual([]);
  world.clock.advance(1);
  expect(to.take()).toEqual([bytesOf(HELLO)]);
  expect(world.hub.macTable()).toHaveLength(1);
  to.send(bytesOf({ ...HELLO, fromMac: FRAME.toMac, toMac: FRAME.fromMac }));
  expect(from.take()).toHaveLength(1);
  world.close();
});

test("a frame that a monitoring port may not see reaches its destination unharmed", () => {
  const world = new AccessWorld([drop({ toUser: user("eye"), family: 4, proto: 17 })]);
  const eye = world.attach("eye", { kind: "monitor" });
  const from = world.attach("from");
  const to = world.attach("to");
  to.send(bytesOf({ ...HELLO, fromMac: FRAME.toMac }));
  for (const toMac of [FRAME.toMac, BROADCAST]) {
    eye.take();
    const sent = [bytesOf({ ...UDP, toMac }), bytesOf({ ...HELLO, toMac })];
    from.send(...sent);
    expect(eye.take()).toEqual([sent[1]!]);
    expect(to.take()).toEqual(sent);
  }
  world.close();
});

test("frames that are delayed by the same time keep their order, those of one moment too", () => {
  const world = new AccessWorld([pass({ delayMs: 100 })], { NoIpTable: 1 });
  const from = world.attach("from");
  const to = world.attach("to");
  const sent = Array.from({ length: 200 }, (_, n) => bytesOf({ ...UDP, fromPort: 1000 + n }));
  from.send(...sent);
  world.clock.advance(100);
  expect(to.take()).toEqual(sent);
  world.close();
});

test("frames that wait go on in time, also after one whose receiver has failed", () => {
  const world = new AccessWorld([pass({ fromUser: user("from"), delayMs: 100 })]);
  const from = world.attach("from");
  const to = world.attach("to");
  from.send(bytesOf(HELLO));
  world.clock.advance(10);
  from.send(bytesOf(UDP));
  to.onDeliver = () => {
    throw new Error("receiver");
  };
  expect(() => world.clock.advance(90)).toThrow("receiver");
  to.onDeliver = undefined;
  to.take();
  world.clock.advance(10);
  expect(to.take()).toEqual([bytesOf(UDP)]);
  world.close();
});

test("what ports say while their hub closes is not delayed any more", () => {
  const world = new AccessWorld([pass({ delayMs: 100 })]);
  const first = world.attach("first");
  const last = world.attach("last");
  first.close = () => last.send(bytesOf(HELLO));
  world.close();
  expect(world.hub.totals().drops).toEqual({ delay_full: 1 });
});

test("a delayed frame is not asked about again where rules name receivers", () => {
  const world = new AccessWorld([
    pass({ priority: 100, delayMs: 50 }),
    drop({ priority: 200, toUser: user("to") }),
  ]);
  const from = world.attach("from");
  const to = world.attach("to");
  from.send(bytesOf(HELLO));
  world.clock.advance(50);
  expect(to.take()).toHaveLength(1);
  world.close();
});

test("jitter spreads the delay by its share of it, evenly to both sides", () => {
  const world = new AccessWorld([pass({ delayMs: 100, jitterPercent: 50 })], { NoIpTable: 1 });
  const from = world.attach("from");
  const to = world.attach("to");
  const arrivals: number[] = [];
  to.onDeliver = () => arrivals.push(world.clock.now());
  for (let n = 0; n < 400; n += 1) from.send(bytesOf(HELLO));
  for (let ms = 0; ms < 200; ms += 1) world.clock.advance(1);
  expect(arrivals).toHaveLength(400);
  expect(Math.min(...arrivals)).toBeWithin(50, 55);
  expect(Math.max(...arrivals)).toBeWithin(145, 152);
  const mean = arrivals.reduce((sum, at) => sum + at, 0) / arrivals.length;
  expect(mean).toBeWithin(95, 105);
  world.close();
});

test("loss is decided first, and frames are lost as often as the rule says", () => {
  const world = new AccessWorld([pass({ lossPercent: 30, delayMs: 10 })]);
  const from = world.attach("from");
  const to = world.attach("to");
  for (let n = 0; n < 2000; n += 1) from.send(bytesOf(HELLO));
  world.clock.advance(10);
  const arrived = to.take().length;
  expect(arrived).toBeWithin(1340, 1460);
  expect(from.at.counters.record().drops).toEqual({ access_loss: 2000 - arrived });
  world.close();
});

test("a loss of 100 per cent loses all", () => {
  const world = new AccessWorld([pass({ lossPercent: 100 })]);
  const from = world.attach("from");
  const to = world.attach("to");
  for (let n = 0; n < 100; n += 1) from.send(bytesOf(HELLO));
  expect(to.take()).toEqual([]);
  world.close();
});

test("FR-23 what waits is bounded in memory, also of small frames; the rest is dropped and counted", () => {
  for (const bytes of [bytesOf(HELLO, new Uint8Array(1400)), bytesOf({ ...HELLO, proto: 1 })]) {
    const world = new AccessWorld([pass({ delayMs: 10_000, jitterPercent: 100 })], {
      NoIpTable: 1,
    });
    const from = world.attach("from");
    const to = world.attach("to");
    const most = Math.floor(MAX_DELAYED_BYTES / bytes.length);
    for (let n = 0; n < most; n += 1) from.send(bytes);
    const dropped = from.at.counters.record().drops.delay_full ?? 0;
    // Each of them costs some hundred bytes more than it has.
    expect((most - dropped) * (bytes.length + 256)).toBeLessThan(MAX_DELAYED_BYTES);
    expect((most - dropped) * (bytes.length + 512)).toBeGreaterThan(MAX_DELAYED_BYTES);
    world.clock.advance(20_000);
    expect(to.take()).toHaveLength(most - dropped);
    // There is room again.
    from.send(bytes);
    world.clock.advance(20_000);
    expect(to.take()).toHaveLength(1);
    world.close();
  }
});

test("FR-21 the last of 32,768 rules decides", () => {
  const rules = Array.from({ length: 32_767 }, (_, n) =>
    drop({ family: 4, to: net(`10.${1 + (n >> 8)}.${n & 255}.0/24`), priority: n + 1 }),
  );
  const world = new AccessWorld([...rules, drop({ priority: 32_768, family: 4, proto: 17 })]);
  const from = world.attach("from");
  const to = world.attach("to");
  from.send(bytesOf(HELLO), bytesOf(UDP), bytesOf({ ...HELLO, to: "10.128.254.1" }));
  expect(to.take()).toEqual([bytesOf(HELLO)]);
  expect(from.at.counters.record().drops).toEqual({ access_list: 2 });
  world.close();
});

test("a user who comes to another group meets the rules of that", () => {
  const world = new AccessWorld([
    drop({ priority: 1, fromUser: user("guests") }),
    drop({ priority: 2, toUser: user("guests") }),
    drop({ priority: 3, fromUser: user("visitors"), toUser: user("bob") }),
  ]);
  const alice = world.attach("alice", { group: "staff" });
  const bob = world.attach("bob", { group: "staff" });
  const back = { ...HELLO, fromMac: FRAME.toMac };
  const exchange = () => {
    alice.send(bytesOf(HELLO));
    bob.send(bytesOf(back));
    return [bob.take().length, alice.take().length];
  };
  expect(exchange()).toEqual([1, 1]);
  alice.at.reconfigure(alice.at.policy, { group: "guests" });
  expect(exchange()).toEqual([0, 0]);
  // Another policy leaves the group as it is.
  alice.at.reconfigure({ ...alice.at.policy, max_mac: 9 });
  expect(exchange()).toEqual([0, 0]);
  alice.at.reconfigure(alice.at.policy, { group: undefined });
  expect(exchange()).toEqual([1, 1]);
  alice.at.reconfigure(alice.at.policy, { group: "visitors" });
  expect(exchange()).toEqual([0, 1]);
  world.close();
});
