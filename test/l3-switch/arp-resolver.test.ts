import { afterEach, describe, expect, test } from "bun:test";
import { tryParseAddress } from "../../src/base/ip.ts";
import { formatMac, MAC_BROADCAST } from "../../src/base/mac.ts";
import { mac } from "../hub/frames.ts";
import { arpFrame, type Host, L3World, seen, switchConfig } from "./world.ts";

const BOTH =
  'interface = { a = ["10.1.0.254/24", "fd00:1::fe/64"], b = ["10.2.0.254/24", "fd00:2::fe/64"] }';
const bytesOf = (ip: string) => tryParseAddress(ip)!.bytes;
const OWN = bytesOf("10.1.0.254");

let world = new L3World();
afterEach(() => {
  world.close();
  expect(world.clock.pending).toBe(0);
  world = new L3World();
});

/** ARP replies and requests that a host got. */
function arpOf(host: Host) {
  return host.port
    .take()
    .filter((one) => one[12] === 0x08 && one[13] === 0x06)
    .map((one) => ({
      operation: one[21],
      from: seen(one).from,
      ip: one.subarray(28, 32).join("."),
      target: one.subarray(38, 42).join("."),
    }));
}

function open() {
  const l3 = world.start(switchConfig(BOTH));
  const a = world.host("a", "10.1.0.1");
  const b = world.host("b", "10.2.0.2");
  return { l3, a, b, own: l3.interfaces[0]! };
}

const ask = (host: Host, target: Uint8Array, ip = host.ip) =>
  arpFrame({ operation: 1, from: host.mac, ip, to: MAC_BROADCAST, target });

describe("ARP of an L3 interface", () => {
  test("announces its addresses at the start, once again, and every two minutes", () => {
    const a = world.host("a", "10.1.0.1");
    world.start(switchConfig(BOTH));
    const announced = () =>
      arpOf(a).filter(({ ip, target }) => ip === "10.1.0.254" && target === ip).length;
    expect(announced()).toBe(1);
    world.advance(2_000);
    expect(announced()).toBe(1);
    world.advance(240_000);
    expect(announced()).toBe(2);
  });

  test("IP-03: answers for its own address, to a probe as well, and for nobody else's", () => {
    const { a, own } = open();
    a.port.take();
    a.sendFrames(ask(a, OWN));
    a.sendFrames(ask(a, OWN, "0.0.0.0"));
    expect(arpOf(a)).toMatchObject(
      Array(2).fill({ operation: 2, from: formatMac(own.mac), ip: "10.1.0.254" }),
    );
    for (let last = 2; last < 254; last += 1) a.sendFrames(ask(a, Uint8Array.of(10, 1, 0, last)));
    a.sendFrames(ask(a, bytesOf("10.2.0.254")), ask(a, bytesOf("10.2.0.2")));
    expect(arpOf(a)).toEqual([]);
    // Nobody is known by a question to others; the asker is, by that to the switch.
    expect(
      own
        .neighbors(4)
        .list()
        .map(({ mac: found }) => found),
    ).toEqual([a.mac]);
  });

  test("whoever asks is known, so that nothing is asked back before the first packet goes", () => {
    const { a, b } = open();
    b.answers = false;
    b.sendFrames(
      arpFrame({
        operation: 1,
        from: b.mac,
        ip: b.ip,
        to: MAC_BROADCAST,
        target: bytesOf("10.2.0.254"),
      }),
    );
    a.send(b.ip);
    expect(b.take().length).toBe(1);
  });

  test.each([
    ["hardware type 0", (bytes: Uint8Array) => bytes.set([0, 0], 14)],
    ["address length 255", (bytes: Uint8Array) => bytes.set([255], 18)],
    ["protocol length 16", (bytes: Uint8Array) => bytes.set([16], 19)],
    ["operation 9", (bytes: Uint8Array) => bytes.set([9], 21)],
  ])("IP-01: drops ARP with %s", (_, change) => {
    const { a, own } = open();
    a.port.take();
    const bytes = ask(a, OWN);
    change(bytes);
    a.sendFrames(bytes);
    expect(arpOf(a)).toEqual([]);
    expect(own.drops.header).toBe(1);
  });

  test("IP-01: drops ARP that is cut at any byte", () => {
    const { a } = open();
    a.port.take();
    const whole = ask(a, OWN);
    for (let end = 14; end < 42; end += 1) a.sendFrames(whole.slice(0, end));
    expect(arpOf(a)).toEqual([]);
    a.sendFrames(whole.slice(0, 42));
    expect(arpOf(a).length).toBe(1);
  });

  test("IP-02: a reply nobody asked for is not believed; whoever has the address is asked", () => {
    const { a, b, l3 } = open();
    a.send(b.ip);
    b.take();
    const thief = world.host("b", "10.2.0.66");
    const lie = arpFrame({
      operation: 2,
      from: thief.mac,
      ip: b.ip,
      to: l3.interfaces[1]!.mac,
      target: bytesOf("10.2.0.254"),
    });
    thief.sendFrames(lie);
    expect(l3.interfaces[1]!.drops.arp_spoof).toBe(1);
    a.send(b.ip);
    expect([b.take().length, thief.take().length]).toEqual([1, 0]);
    // Also of somebody who was never heard of, and by an announcement.
    thief.sendFrames(
      arpFrame({
        operation: 2,
        from: thief.mac,
        ip: "10.2.0.70",
        to: l3.interfaces[1]!.mac,
        target: bytesOf("10.2.0.254"),
      }),
    );
    thief.sendFrames(ask(thief, bytesOf(b.ip), b.ip));
    expect(
      l3.interfaces[1]!.neighbors(4)
        .list()
        .map(({ mac: found }) => found),
    ).toEqual([b.mac]);
  });

  test("a host that has moved to another MAC is found within a second of saying so", () => {
    const { a, b } = open();
    a.send(b.ip);
    b.take();
    b.answers = false;
    const heir = world.host("b", b.ip);
    heir.sendFrames(ask(heir, bytesOf(b.ip), b.ip));
    world.advance(1_000);
    a.send(b.ip);
    expect(heir.take().length).toBe(1);
  });

  test("a sender that its frame contradicts, from elsewhere or with a group MAC is nobody", () => {
    const { a, own } = open();
    a.port.take();
    const odd = (of: Partial<Parameters<typeof arpFrame>[0]>) =>
      a.sendFrames(
        arpFrame({ operation: 1, from: a.mac, ip: a.ip, to: MAC_BROADCAST, target: OWN, ...of }),
      );
    odd({ sender: mac(99) });
    odd({ ip: "10.9.9.9" });
    expect(arpOf(a)).toEqual([]);
    expect(own.neighbors(4).size).toBe(0);
    expect([own.drops.arp_spoof, own.drops.martian]).toEqual([1, 1]);
  });

  test("defends its address, once in ten seconds", () => {
    const { a, own } = open();
    world.advance(2_500);
    a.port.take();
    for (let at = 0; at < 5; at += 1) a.sendFrames(ask(a, OWN, "10.1.0.254"));
    expect(arpOf(a)).toMatchObject([
      { operation: 1, ip: "10.1.0.254", target: "10.1.0.254", from: formatMac(own.mac) },
    ]);
    expect(own.drops.arp_spoof).toBe(5);
    world.advance(10_000);
    a.sendFrames(ask(a, OWN, "10.1.0.254"));
    expect(arpOf(a).length).toBe(1);
  });
});
