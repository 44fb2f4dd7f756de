import { describe, expect, test } from "bun:test";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { arp, BROADCAST, bootp, frame, ipv4, ipv6, lan, mac, udp } from "../hub/frames.ts";
import { CLIENT_MODE, type Plugged, World } from "../hub/world.ts";

const A = mac(1);

function clientAndListener(policy = CLIENT_MODE) {
  const world = new World();
  return { world, client: world.attach("client", policy), listener: world.attach() };
}

/** Whether each of the frames gets through, sent one by one. */
function passes(client: Plugged, listener: Plugged, frames: Uint8Array[]): boolean[] {
  return frames.map((bytes) => {
    client.send(bytes);
    return listener.take().length === 1;
  });
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const from4 = (n: number, parts: { tags?: number[] } = {}) =>
  ipv4({ to: BROADCAST, from: A, ip: lan(n), ...parts });
const arpOf = (n: number) => arp({ to: BROADCAST, from: A, ip: lan(n) });
const from6 = (n: number) =>
  ipv6({ to: BROADCAST, from: A, ip: [0x2001, 0xdb8, 0, 0, 0, 0, 0, n] });

describe("client mode", () => {
  test("refuses the fourth MAC: no bridging", () => {
    const { world, client, listener } = clientAndListener();
    const frames = range(5).map((n) => frame({ to: BROADCAST, from: mac(n + 1) }));
    expect(passes(client, listener, frames)).toEqual([true, true, true, false, false]);
    // Those behind the bridge are not found either.
    listener.send(frame({ to: mac(2), from: mac(50) }));
    expect(client.take().length).toBe(1);
    expect(world.drops(client)).toEqual({ mac_limit: 2 });
    expect(world.events("mac_limit")[0]).toMatchObject({
      level: "info",
      fields: { hub: "TEST", port: client.name, mac: "02:00:00:00:00:04" },
    });
  });

  test("counts a MAC in each VLAN that it is used in", () => {
    const { client, listener } = clientAndListener();
    const frames = range(4).map((n) => frame({ to: BROADCAST, from: A, tags: [n + 1] }));
    expect(passes(client, listener, frames)).toEqual([true, true, true, false]);
  });

  test("does not let a client take over MACs beyond its limit", () => {
    const { world, client, listener } = clientAndListener();
    const others = range(5).map((n) => mac(100 + n));
    listener.send(...others.map((from) => frame({ to: BROADCAST, from })));
    const frames = others.map((from) => frame({ to: BROADCAST, from }));
    expect(passes(client, listener, frames)).toEqual([true, true, true, false, false]);
    expect(world.macCount(listener)).toBe(2);
  });

  test("a station's place is free again 600 s after its last frame", () => {
    const { world, client, listener } = clientAndListener();
    const hello = (n: number) => frame({ to: BROADCAST, from: mac(n) });
    expect(passes(client, listener, [1, 2, 3].map(hello))).toEqual([true, true, true]);
    world.now += 600_000;
    expect(passes(client, listener, [hello(4)])).toEqual([false]);
    world.now += 1;
    expect(passes(client, listener, [hello(4)])).toEqual([true]);
  });

  test("refuses the fifth IPv4 address, known ones go on", () => {
    const { world, client, listener } = clientAndListener();
    const frames = [1, 2, 3, 4, 5, 6, 1, 4].map((n) => from4(n));
    expect(passes(client, listener, frames)).toEqual([
      true,
      true,
      true,
      true,
      false,
      false,
      true,
      true,
    ]);
    expect(world.drops(client)).toEqual({ ip_limit: 2 });
    expect(world.hub.ipCount(client.at, 4)).toBe(4);
    expect(world.events("ip_limit").length).toBe(2);
  });

  test("counts public addresses as well as private ones", () => {
    const { client, listener } = clientAndListener();
    const frames = range(5).map((n) => ipv4({ to: BROADCAST, from: A, ip: 0xc6336400 + n }));
    expect(passes(client, listener, frames)).toEqual([true, true, true, true, false]);
  });

  test("counts the senders of ARP, and hides hosts above the limit", () => {
    const { client, listener } = clientAndListener();
    const frames = [arpOf(1), arpOf(2), from4(1), arpOf(3), from4(4), arpOf(5), from4(5), arpOf(2)];
    const expected = [true, true, true, true, true, false, false, true];
    expect(passes(client, listener, frames)).toEqual(expected);
  });

  test("counts addresses behind a VLAN tag", () => {
    const { client, listener } = clientAndListener();
    const frames = range(5).map((n) => from4(n, { tags: [7] }));
    expect(passes(client, listener, frames)).toEqual([true, true, true, true, false]);
  });

  test("refuses the sixteenth IPv6 address", () => {
    const { world, client, listener } = clientAndListener();
    expect(passes(client, listener, range(17).map(from6))).toEqual(range(17).map((n) => n < 15));
    expect(world.drops(client)).toEqual({ ip_limit: 2 });
    expect(passes(client, listener, [from6(0), from4(1)])).toEqual([true, true]);
  });

  test("tells IPv6 addresses apart by each of their words", () => {
    const { world, client, listener } = clientAndListener();
    const at = (i: number) => {
      const ip = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0];
      ip[i] = ip[i]! + 1;
      return ipv6({ to: BROADCAST, from: A, ip });
    };
    passes(client, listener, range(8).map(at));
    expect(world.hub.ipCount(client.at, 6)).toBe(8);
  });

  test("an IPv6 address in steady use stays counted, an idle one is forgotten after 60 s", () => {
    const { world, client, listener } = clientAndListener();
    passes(client, listener, range(15).map(from6));
    for (let i = 0; i < 130; i += 1) {
      world.now += 500;
      client.send(from6(3));
    }
    listener.take();
    expect(world.hub.ipCount(client.at, 6)).toBe(1);
    expect(
      passes(
        client,
        listener,
        range(20).map((n) => from6(n + 50)),
      ).filter(Boolean).length,
    ).toBe(14);
  });

  test("does not count what is nobody's address, nor DHCP and router discovery", () => {
    const { world, client, listener } = clientAndListener();
    const v6 = (ip: number[], parts: { next?: number; body?: Uint8Array } = {}) =>
      ipv6({ to: BROADCAST, from: A, ip, ...parts });
    const global = (n: number) => [0x2001, 0xdb8, 0, 0, 0, 0, 1, n];
    const frames = [
      ipv4({ to: BROADCAST, from: A, ip: 0 }),
      ipv4({ to: BROADCAST, from: A, ip: 0xffff_ffff }),
      arp({ to: BROADCAST, from: A, ip: 0 }),
      ...range(6).map((n) =>
        ipv4({ to: BROADCAST, from: A, ip: lan(n + 20), protocol: 17, body: udp(68, 67, bootp()) }),
      ),
      v6([0, 0, 0, 0, 0, 0, 0, 0]),
      v6([0, 0, 0, 0, 0, 0, 0, 1]),
      v6([0xff02, 0, 0, 0, 0, 0, 0, 1]),
      ...range(20).map((n) => v6(global(n), { next: 58, body: Uint8Array.of(133, 0, 0, 0) })),
      ...range(20).map((n) => v6(global(n), { next: 17, body: udp(546, 547, new Uint8Array(4)) })),
    ];
    expect(passes(client, listener, frames).every(Boolean)).toBe(true);
    expect([world.hub.ipCount(client.at, 4), world.hub.ipCount(client.at, 6)]).toEqual([0, 0]);
  });

  test("does not count the polls of a hub behind it", () => {
    const { world, client, listener } = clientAndListener();
    const station = 0x00ae_1122_3344;
    const polls = [
      ...range(6).map((n) => arp({ to: BROADCAST, from: station, ip: 0xac1f0101 + n })),
      ...range(6).map((n) =>
        ipv6({ to: BROADCAST, from: station, ip: [0xfe80, 0, 0, 0, 0x02ae, 0x11ff, 0xfe22, n] }),
      ),
    ];
    expect(passes(client, listener, polls).every(Boolean)).toBe(true);
    expect(world.hub.ipCount(client.at, 4)).toBe(0);
    // The range alone does not make a poll.
    const others = range(5).map((n) => arp({ to: BROADCAST, from: A, ip: 0xac1f0101 + n }));
    expect(passes(client, listener, others)).toEqual([true, true, true, true, false]);
  });

  test("an address in steady use stays counted, an idle one is forgotten after 60 s", () => {
    const { world, client, listener } = clientAndListener();
    passes(
      client,
      listener,
      [1, 2, 3, 4].map((n) => from4(n)),
    );
    // Address 4 is seen ten times a second: refreshed in the table once a second is enough.
    for (let i = 0; i < 700; i += 1) {
      world.now += 100;
      client.send(from4(4));
    }
    listener.take();
    expect(world.hub.ipCount(client.at, 4)).toBe(1);
    expect(
      passes(
        client,
        listener,
        [5, 6, 7, 8].map((n) => from4(n)),
      ),
    ).toEqual([true, true, true, false]);
  });

  test("a frame that is too short for its addresses is not counted and harms nothing", () => {
    const { world, client, listener } = clientAndListener();
    const frames = [from4(1), from6(1), arpOf(1)].flatMap((bytes) =>
      range(bytes.length - 14)
        .map((n) => bytes.slice(0, 14 + n))
        .filter((cut) => cut.length < 34),
    );
    expect(passes(client, listener, frames).every(Boolean)).toBe(true);
    expect([world.hub.ipCount(client.at, 4), world.hub.ipCount(client.at, 6)]).toEqual([0, 0]);
  });

  test("a new session starts to count afresh", () => {
    const { world, client, listener } = clientAndListener();
    passes(
      client,
      listener,
      range(4).map((n) => from4(n)),
    );
    client.at.detach();
    const again = world.attach("client", CLIENT_MODE);
    expect(again.at.index).toBe(client.at.index);
    expect(passes(again, listener, [from4(9)])).toEqual([true]);
    expect(world.hub.ipCount(again.at, 4)).toBe(1);
  });

  test("reconfigure() applies another policy to a running port at once", () => {
    const { client, listener } = clientAndListener();
    const frames = range(6).map((n) => from4(n));
    expect(passes(client, listener, frames).filter(Boolean).length).toBe(4);
    client.at.reconfigure(DEFAULT_POLICY);
    expect(passes(client, listener, frames).every(Boolean)).toBe(true);
    client.at.reconfigure({ ...DEFAULT_POLICY, max_ip: 5 });
    expect(passes(client, listener, frames).filter(Boolean).length).toBe(5);
  });
});
