import { afterEach, describe, expect, test } from "bun:test";
import { tryParseRouterAdvertisement } from "../../src/wire/router-advertisement.ts";
import { formatMac } from "../../src/base/mac.ts";
import { interfaceMac } from "../../src/l3-switch/link-address.ts";
import { tryParseAddress } from "../../src/base/ip.ts";
import { echo, type Host, L3World, seen, switchConfig } from "./world.ts";

const A = 'a = ["10.1.0.254/24", "fd00:1::fe/64"]';
const B = 'b = ["10.2.0.254/24", "fd00:2::fe/64"]';
const C = 'c = "10.3.0.254/24"';
const table = (interfaces: readonly string[], more = "") =>
  switchConfig(`interface = { ${interfaces.join(", ")} }\n${more}`);

let world = new L3World();
afterEach(() => {
  world.close();
  expect(world.clock.pending).toBe(0);
  world = new L3World();
});

describe("interfaceMac()", () => {
  test("is what the reference makes of switch, hub and address", () => {
    // Seen on the wire (hub.md 12.1).
    const address = tryParseAddress("10.1.0.254")!;
    expect(formatMac(interfaceMac({ name: "north", hub: "A", address }))).toBe("5e:a3:82:e9:bf:76");
  });
});

describe("L3Switch.reconfigure()", () => {
  test("adds and takes away routes while packets flow", () => {
    const l3 = world.start(table([A, B]));
    const a = world.host("a", "10.1.0.1");
    const router = world.host("b", "10.2.0.2");
    a.send("10.9.0.1");
    expect(seen(a.take()[0]!).type).toBe(3);
    const route = 'route = [{ to = "10.9.0.0/16", via = "10.2.0.2" }]';
    expect(l3.reconfigure(table([A, B], route))).toEqual({ added: [], removed: [] });
    a.send("10.9.0.1");
    expect([router.take().length, a.take().length]).toEqual([1, 0]);
    l3.reconfigure(table([A, B]));
    a.send("10.9.0.1");
    expect([router.take().length, a.take().length]).toEqual([0, 1]);
  });

  test("leaves interfaces that stay with all that they know, and packets that wait there", () => {
    const l3 = world.start(table([A, B]));
    const a = world.host("a", "10.1.0.1");
    const b = world.host("b", "10.2.0.2");
    const late = world.host("b", "10.2.0.3");
    a.send("10.2.0.2");
    b.port.take();
    late.answers = false;
    a.send("10.2.0.3");
    const { added, removed } = l3.reconfigure(table([A, B, C], "mtu = 1400"));
    expect([added.map(({ hub }) => hub), removed]).toEqual([["c"], []]);
    world.plug(added[0]!);
    l3.begin();
    late.answers = true;
    world.advance(1_000);
    expect(late.take().length).toBe(1);
    b.port.take();
    a.send("10.2.0.2");
    // Without another question.
    expect(b.port.take().length).toBe(1);
    const c = world.host("c", "10.3.0.3");
    a.send("10.3.0.3");
    expect(c.take().length).toBe(1);
    expect(l3.interfaces.map(({ mtu }) => mtu)).toEqual([1400, 1400, 1400]);
  });

  test("what waits and may not be cut is refused when a smaller MTU comes meanwhile", () => {
    const l3 = world.start(table([A, B]));
    const a = world.host("a", "10.1.0.1");
    const a6 = world.host("a", "fd00:1::1");
    const [late, late6] = [world.host("b", "10.2.0.3"), world.host("b", "fd00:2::3")];
    late.answers = late6.answers = false;
    const body = new Uint8Array(1400);
    a.send("10.2.0.3", { body, flags: 0x4000 });
    a6.send("fd00:2::3", { body });
    l3.reconfigure(table([A, B], "mtu = 1300"));
    late.answers = late6.answers = true;
    world.advance(1_000);
    expect([late.take(), late6.take()]).toEqual([[], []]);
    expect([...a.take(), ...a6.take()].map(seen)).toMatchObject([
      { type: 3, code: 4, word: 1300 },
      { type: 2, code: 0, word: 1300 },
    ]);
  });

  test("makes an interface anew whose address is another, and one that went is silent", () => {
    const l3 = world.start(table([A, B, C]));
    const a = world.host("a", "10.1.0.1");
    const b = world.host("b", "10.2.0.2");
    const other = 'b = "10.2.0.250/24"';
    const { added, removed } = l3.reconfigure(table([A, other]));
    expect([added, removed].map((all) => all.map(({ hub }) => hub))).toEqual([["b"], ["b", "c"]]);
    expect(added[0]!.mac).not.toBe(removed[0]!.mac);
    expect(world.lost).toEqual([]);
    world.plug(added[0]!);
    l3.begin();
    a.send("10.2.0.2");
    expect(b.take().map((one) => seen(one).from)).toEqual([formatMac(added[0]!.mac)]);
    a.send("10.3.0.254", { protocol: 1, body: echo("10.1.0.1", "10.3.0.254") });
    expect(seen(a.take()[0]!)).toMatchObject({ type: 3, code: 0 });
    b.send("10.1.0.1");
    expect(a.take()).toEqual([]);
  });
});

describe("L3Switch with ra = true", () => {
  const advertisements = (host: Host) =>
    host.port.take().filter((one) => one[54] === 134 && one[20] === 58);

  test("announces its networks, and those that it leads to, at the start and seldom later", () => {
    const a = world.host("a", "fd00:1::1");
    const l3 = world.start(
      table([A, B], 'ra = true\nroute = [{ to = "fd00:9::/48", via = "fd00:2::9" }]'),
    );
    const [first, ...more] = advertisements(a);
    expect(more).toEqual([]);
    const packet = first!.subarray(14);
    const told = tryParseRouterAdvertisement(packet);
    expect(told).toMatchObject({
      lifetimeMs: 1_800_000,
      preference: "low",
      router: l3.interfaces[0]!.linkLocal,
    });
    const options = optionsOf(packet);
    expect(options.map(([kind]) => kind)).toEqual([1, 5, 3, 24, 24]);
    expect(options[2]![1].subarray(2, 4).toHex()).toBe("40c0");
    expect(options.slice(3).map(([, bytes]) => [bytes[2], bytes.subarray(8, 16).toHex()])).toEqual([
      [64, "fd00000200000000"],
      [48, "fd00000900000000"],
    ]);
    world.advance(40_000);
    expect(advertisements(a).length).toBe(2);
    world.clock.advance(1_200_000);
    const later = advertisements(a).length;
    expect(later >= 2 && later <= 6).toBe(true);
  });

  test("with a default route it is as good as any other router; a change is told at once", () => {
    const l3 = world.start(table([A, B], "ra = true"));
    const a = world.host("a", "fd00:1::1");
    world.advance(60_000);
    a.port.take();
    l3.reconfigure(table([A, B], 'ra = true\nroute = [{ to = "::/0", via = "fd00:2::9" }]'));
    world.advance(1);
    expect(tryParseRouterAdvertisement(advertisements(a)[0]!.subarray(14))!.preference).toBe(
      "medium",
    );
  });

  test("answers who asks, and says goodbye when it is switched off", () => {
    const l3 = world.start(table([A, B], "ra = true"));
    const a = world.host("a", "fd00:1::1");
    world.advance(60_000);
    a.port.take();
    // Type, checksum over ff02::2 and the sender.
    const body = Uint8Array.of(133, 0, 0, 0, 0, 0, 0, 0);
    a.sendFrames(solicitationOf(a, body));
    world.advance(600);
    expect(advertisements(a).length).toBe(1);
    l3.reconfigure(table([A, B]));
    const [last] = advertisements(a);
    expect(tryParseRouterAdvertisement(last!.subarray(14))!.lifetimeMs).toBe(0);
    world.clock.advance(1_200_000);
    expect(advertisements(a)).toEqual([]);
  });

  test("an interface that comes is announced as soon as it is plugged in", () => {
    const l3 = world.start(table([A], "ra = true"));
    const b = world.host("b", "fd00:2::2");
    world.advance(10_000);
    const { added } = l3.reconfigure(table([A, B], "ra = true"));
    for (const one of added) world.plug(one);
    l3.begin();
    expect(advertisements(b).length).toBe(1);
  });

  test("its end is told as well", () => {
    const l3 = world.start(table([A, B], "ra = true"));
    const a = world.host("a", "fd00:1::1");
    world.advance(10_000);
    a.port.take();
    l3.close();
    expect(tryParseRouterAdvertisement(advertisements(a)[0]!.subarray(14))!.lifetimeMs).toBe(0);
  });
});

/** Kind and bytes of the options of an advertisement. */
function optionsOf(packet: Uint8Array): [number, Uint8Array][] {
  const found: [number, Uint8Array][] = [];
  for (let at = 56; at < packet.length; at += packet[at + 1]! * 8) {
    found.push([packet[at]!, packet.subarray(at, at + packet[at + 1]! * 8)]);
  }
  return found;
}

function solicitationOf(host: Host, body: Uint8Array): Uint8Array {
  const frame = host.packet("ff02::2", { ttl: 255, protocol: 58, body });
  frame.set([0x33, 0x33, 0, 0, 0, 2]);
  const view = new DataView(frame.buffer);
  let sum = 58 + body.length;
  for (let at = 22; at < 54; at += 2) sum += view.getUint16(at);
  for (let at = 54; at < frame.length; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(56, ~sum & 0xffff);
  return frame;
}
