import { describe, expect, test } from "bun:test";
import { BROADCAST, frame, mac } from "../hub/frames.ts";
import { World } from "../hub/world.ts";

const [A, B, C] = [mac(1), mac(2), mac(3)];

describe("Hub flooding", () => {
  test("sends broadcast and multicast to every other port, never back", () => {
    const world = new World();
    const kinds = ["client", "bridge", "local-bridge", "cascade", "secure-nat", "l3"] as const;
    const ports = kinds.map((kind) => world.attach(kind));
    const [sender, ...others] = ports;
    for (const to of [BROADCAST, 0x01005e0000fb, 0x333300000001]) {
      sender!.send(frame({ to, from: A }));
      expect(sender!.take()).toEqual([]);
      for (const port of others) expect(port.take()).toEqual([frame({ to, from: A })]);
    }
  });

  test("keeps the order of frames to one port across unicast and broadcast", () => {
    const world = new World();
    const [a, b, c] = [world.attach(), world.attach(), world.attach()];
    b.send(frame({ to: BROADCAST, from: B }));
    c.send(frame({ to: BROADCAST, from: C }));
    for (const port of [a, b, c]) port.take();
    const sent = [B, BROADCAST, B, C, C, mac(77), B, BROADCAST, BROADCAST, C].map((to, i) =>
      frame({ to, from: A, payload: [i] }),
    );
    a.send(...sent);
    const to = (port: number) =>
      sent.filter((bytes) => {
        const last = bytes[5]!;
        return last === 0xff || last === 77 || last === port;
      });
    expect(b.take()).toEqual(to(2));
    expect(c.take()).toEqual(to(3));
  });

  test("hands consecutive frames for one port over as one run, cut at 48 KB", () => {
    const world = new World();
    const [a, b] = [world.attach(), world.attach()];
    b.send(frame({ to: BROADCAST, from: B }));
    const sent = Array.from({ length: 100 }, () => frame({ to: B, from: A, size: 1500 }));
    a.send(...sent);
    expect(b.runs).toEqual([32, 32, 32, 4]);
    expect(b.take()).toEqual(sent);
  });

  test("flushes each port that got something once, after the whole event", () => {
    const world = new World();
    const [a, b, c, d] = [world.attach(), world.attach(), world.attach(), world.attach()];
    for (const [port, from] of [
      [b, B],
      [c, C],
    ] as const)
      port.send(frame({ to: BROADCAST, from }));
    for (const port of [a, b, c, d]) port.flushes = 0;
    a.send(...Array.from({ length: 40 }, (_, i) => frame({ to: i % 2 ? B : C, from: A })));
    expect([a.flushes, b.flushes, c.flushes, d.flushes]).toEqual([0, 1, 1, 0]);
    a.into!.flush();
    expect(b.flushes).toBe(1);
  });

  test("FR-15 forwards spanning tree and LLDP frames, and never pause frames", () => {
    const world = new World();
    const [a, b] = [world.attach(), world.attach()];
    const stp = frame({
      to: 0x0180c2000000,
      from: A,
      type: 38,
      payload: [0x42, 0x42, 3],
      size: 60,
    });
    const lldp = frame({ to: 0x0180c200000e, from: A, type: 0x88cc, size: 60 });
    const pause = frame({ to: 0x0180c2000001, from: A, type: 0x8808, size: 60 });
    a.send(stp, pause, lldp);
    expect(b.take()).toEqual([stp, lldp]);
    expect(world.drops(a)).toEqual({ pause_frame: 1 });
  });

  test("a monitoring port hears everything once and says nothing", () => {
    const world = new World();
    const [a, b, monitor] = [world.attach(), world.attach(), world.attach("monitor")];
    b.send(frame({ to: A, from: B }));
    const sent = [frame({ to: B, from: A }), frame({ to: BROADCAST, from: A })];
    a.send(...sent, frame({ to: A, from: BROADCAST }));
    expect(monitor.take()).toEqual([frame({ to: A, from: B }), ...sent]);
    a.take();
    monitor.send(frame({ to: A, from: C }));
    expect(a.take()).toEqual([]);
    expect(world.drops(monitor)).toEqual({ monitor_port: 1 });
    expect(world.macCount(monitor)).toBe(0);
    monitor.at.detach();
    a.send(...sent);
    expect(monitor.take()).toEqual([]);
  });

  test("FR-24 a monitoring port that takes nothing loses frames, and nobody waits for it", () => {
    const world = new World();
    const [a, b] = [world.attach(), world.attach()];
    const [stalled, awake] = [world.attach("monitor"), world.attach("monitor")];
    b.send(frame({ to: BROADCAST, from: B }));
    for (const port of [a, b, stalled, awake]) port.take();
    stalled.ready = false;
    const sent = Array.from({ length: 500 }, (_, n) =>
      frame({ to: n % 10 === 0 ? BROADCAST : B, from: A, payload: [n >> 8, n & 255], size: 100 }),
    );
    a.send(...sent);
    expect(b.take()).toEqual(sent);
    expect(awake.take()).toEqual(sent);
    expect(stalled.take()).toEqual([]);
    expect(world.drops(stalled)).toEqual({ queue_full: 500 });
    for (const port of [a, b, awake]) expect(world.drops(port)).toEqual({});
    stalled.ready = true;
    a.send(...sent.slice(0, 3));
    expect(stalled.take()).toEqual(sent.slice(0, 3));
  });

  test("counts unicast and group frames and bytes both ways, of ports that left as well", () => {
    const world = new World();
    const [a, b, c] = [world.attach(), world.attach(), world.attach()];
    b.send(frame({ to: BROADCAST, from: B, size: 60 }));
    a.send(frame({ to: B, from: A, size: 100 }), frame({ to: B, from: A, size: 200 }));
    const nothing = { frames: 0, bytes: 0 };
    expect(a.at.counters.record()).toEqual({
      ingress: { unicast: { frames: 2, bytes: 300 }, group: nothing },
      egress: { unicast: nothing, group: { frames: 1, bytes: 60 } },
      drops: {},
      unlearnt: 0,
    });
    c.at.detach();
    a.at.detach();
    expect(world.hub.totals()).toEqual({
      ingress: { unicast: { frames: 2, bytes: 300 }, group: { frames: 1, bytes: 60 } },
      egress: { unicast: { frames: 2, bytes: 300 }, group: { frames: 2, bytes: 120 } },
      drops: {},
      unlearnt: 0,
    });
  });
});
