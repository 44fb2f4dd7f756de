import { describe, expect, test } from "bun:test";
import { FDB_AGE_MS } from "../../src/base/limits.ts";
import { BROADCAST, frame, mac } from "../hub/frames.ts";
import { CLIENT_MODE, World } from "../hub/world.ts";

const [A, B] = [mac(1), mac(2)];

/** Three ports of which the first two have made themselves known. */
function acquainted() {
  const world = new World();
  const [a, b, c] = [world.attach(), world.attach(), world.attach()];
  a.send(frame({ to: BROADCAST, from: A }));
  b.send(frame({ to: BROADCAST, from: B }));
  for (const port of [a, b, c]) port.take();
  return { world, a, b, c };
}

describe("Hub learning", () => {
  test("floods to an unknown destination and forwards to a known one", () => {
    const world = new World();
    const [a, b, c] = [world.attach(), world.attach(), world.attach()];
    a.send(frame({ to: B, from: A }));
    expect([a.take().length, b.take().length, c.take().length]).toEqual([0, 1, 1]);
    b.send(frame({ to: A, from: B }));
    expect([a.take().length, b.take().length, c.take().length]).toEqual([1, 0, 0]);
    a.send(frame({ to: B, from: A }));
    expect([a.take().length, b.take().length, c.take().length]).toEqual([0, 1, 0]);
  });

  test("delivers frames byte for byte", () => {
    const { a, b } = acquainted();
    const sent = Array.from({ length: 50 }, (_, i) =>
      frame({ to: B, from: A, size: 14 + i * 32, payload: [i, 255 - i] }),
    );
    a.send(...sent);
    expect(b.take()).toEqual(sent);
  });

  test("forwards until 600 s after the last frame of a MAC, and floods from then on", () => {
    const { world, a, b, c } = acquainted();
    const heard = world.now;
    world.now = heard + FDB_AGE_MS;
    a.send(frame({ to: B, from: A }));
    expect([b.take().length, c.take().length]).toEqual([1, 0]);
    world.now = heard + FDB_AGE_MS + 1;
    expect(world.hub.macTable().map((entry) => entry.mac)).toEqual([A]);
    a.send(frame({ to: B, from: A }));
    expect([b.take().length, c.take().length]).toEqual([1, 1]);
  });

  test("follows a MAC to another port, tells so, and counts it there", () => {
    const { world, a, b, c } = acquainted();
    c.send(frame({ to: A, from: B }));
    expect(a.take().length).toBe(1);
    a.send(frame({ to: B, from: A }));
    expect([b.take().length, c.take().length]).toEqual([0, 1]);
    expect([world.macCount(b), world.macCount(c)]).toEqual([0, 1]);
    expect(world.events("mac_moved").map((line) => line.fields)).toEqual([
      {
        hub: "TEST",
        mac: "02:00:00:00:00:02",
        vlan: undefined,
        from: b.name,
        to: c.name,
        suppressed: undefined,
      },
    ]);
  });

  test("learns and forwards by VLAN: one MAC untagged, in 200 and in 300 is three entries", () => {
    const world = new World();
    const ports = [world.attach(), world.attach(), world.attach()];
    const vlans = [[], [200], [300]];
    const asker = world.attach();
    ports.forEach((port, i) => port.send(frame({ to: BROADCAST, from: A, tags: vlans[i]! })));
    expect(
      world.hub
        .macTable()
        .map((entry) => [entry.vlanId, entry.port.name])
        .sort(),
    ).toEqual([
      [0, ports[0]!.name],
      [200, ports[1]!.name],
      [300, ports[2]!.name],
    ]);
    for (const port of [...ports, asker]) port.take();
    asker.send(...vlans.map((tags) => frame({ to: A, from: B, tags })));
    expect(ports.map((port) => port.take())).toEqual(
      vlans.map((tags) => [frame({ to: A, from: B, tags })]),
    );
    expect(world.hub.removeMac(A, 200)).toBe(true);
    asker.send(frame({ to: A, from: B, tags: [200] }));
    expect(ports.map((port) => port.take().length)).toEqual([1, 1, 1]);
  });

  test("drops a frame for a MAC behind the port that it came from", () => {
    const { world, a, b, c } = acquainted();
    a.send(frame({ to: BROADCAST, from: mac(9) }));
    for (const port of [b, c]) port.take();
    a.send(frame({ to: mac(9), from: A }));
    expect([a.take().length, b.take().length, c.take().length]).toEqual([0, 0, 0]);
    expect(world.drops(a)).toEqual({ same_port: 1 });
  });

  test("FR-10 keeps MACs of virtual hosts, and fresh ones of bridges, from network sessions", () => {
    const world = new World();
    const thief = world.attach("bridge");
    const owners = (["secure-nat", "l3", "local-bridge", "cascade"] as const).map((kind, i) => {
      const port = world.attach(kind);
      port.send(frame({ to: BROADCAST, from: mac(100 + i) }));
      return port;
    });
    const steal = () =>
      owners.forEach((_, i) => thief.send(frame({ to: BROADCAST, from: mac(100 + i) })));
    const holders = () => world.hub.macTable().map((e) => [e.mac - mac(100), e.port.name]);
    steal();
    expect(world.drops(thief)).toEqual({ mac_spoof: 4 });
    expect(holders().sort()).toEqual(owners.map((port, i) => [i, port.name]));
    world.now += 13_000;
    steal();
    expect(world.drops(thief)).toEqual({ mac_spoof: 6 });
    expect(holders().filter(([, name]) => name === thief.name).length).toBe(2);
    expect(world.events("mac_spoof").length).toBe(6);
  });

  test("a local bridge does not take a fresh MAC from a session", () => {
    const world = new World();
    const session = world.attach("client");
    const bridge = world.attach("local-bridge");
    session.send(frame({ to: BROADCAST, from: A }));
    bridge.send(frame({ to: BROADCAST, from: A }));
    expect(world.drops(bridge)).toEqual({ mac_spoof: 1 });
    world.now += 13_000;
    bridge.send(frame({ to: BROADCAST, from: A }));
    expect(world.hub.macTable()[0]!.port).toBe(bridge.at);
  });

  test("FR-11 100,000 MACs from one port leave the entries of others in place", () => {
    const { world, a, c } = acquainted();
    const client = world.attach("client", CLIENT_MODE);
    for (let i = 0; i < 100; i += 1) {
      const flood = Array.from({ length: 1000 }, (_, n) =>
        frame({ to: A, from: mac(1000 + i * 1000 + n) }),
      );
      c.send(...flood);
      client.send(...flood.map((bytes) => bytes.with(6, 0x06)));
    }
    expect(world.macCount(c)).toBe(4096);
    // Of a session without a number in its policy the frames go on.
    expect(world.drops(c)).toEqual({});
    expect(c.at.counters.record().unlearnt).toBe(100_000 - 4096);
    expect(world.macCount(client)).toBe(3);
    expect(world.drops(client)).toEqual({ mac_limit: 100_000 - 3 });
    expect(a.take().length).toBe(100_003);
    expect(world.hub.macTable().filter((entry) => entry.mac === A || entry.mac === B).length).toBe(
      2,
    );
    expect(world.events("mac_limit").length).toBe(10);
  });

  test("FR-12 1,000 flips a second: the newest wins at a bounded rate, both ports live", () => {
    const { world, a, b, c } = acquainted();
    world.now = 2_000_000;
    for (let i = 0; i < 1000; i += 1) {
      world.now += 1;
      (i % 2 === 0 ? a : b).send(frame({ to: BROADCAST, from: mac(5) }));
    }
    const flaps = (world.drops(a).mac_flap ?? 0) + (world.drops(b).mac_flap ?? 0);
    expect(flaps).toBeGreaterThan(400);
    // Every frame was either forwarded or counted.
    expect(c.take().length).toBe(1000 - flaps);
    expect(world.events("mac_moved").length).toBe(10);
    expect(world.events("mac_flap").length).toBe(10);
    world.now += 1000;
    b.send(frame({ to: A, from: B }));
    a.send(frame({ to: B, from: A }));
    expect(world.hub.macTable().find((entry) => entry.mac === B)!.port).toBe(b.at);
    expect(b.take().at(-1)).toEqual(frame({ to: B, from: A }));
  });
});
