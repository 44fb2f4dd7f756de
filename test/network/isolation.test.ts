import { describe, expect, test } from "bun:test";
import { MAX_FORWARD_DEPTH } from "../../src/base/limits.ts";
import { BROADCAST, frame, mac } from "../hub/frames.ts";
import { World } from "../hub/world.ts";
import { runOf } from "../support/array-port.ts";

const [A, B, C] = [mac(1), mac(2), mac(3)];

function threePorts() {
  const world = new World();
  const [a, b, c] = [world.attach(), world.attach(), world.attach()];
  for (const [port, from] of [
    [a, A],
    [b, B],
    [c, C],
  ] as const)
    port.send(frame({ to: BROADCAST, from }));
  for (const port of [a, b, c]) port.take();
  return { world, a, b, c };
}

describe("Hub ports", () => {
  test("FR-18 a port that is full loses whole runs, counted there; the others lose nothing", () => {
    const { world, a, b, c } = threePorts();
    b.ready = false;
    const sent = Array.from({ length: 90 }, (_, i) =>
      frame({ to: [B, C, BROADCAST][i % 3]!, from: A }),
    );
    a.send(...sent);
    expect(b.take()).toEqual([]);
    expect(c.take().length).toBe(60);
    expect(world.drops(b)).toEqual({ queue_full: 60 });
    expect([world.drops(a), world.drops(c)]).toEqual([{}, {}]);
    b.ready = true;
    a.send(frame({ to: B, from: A }));
    expect(b.take().length).toBe(1);
  });

  test("FR-18 the run after which a port is full is still its own, the next is dropped", () => {
    const { world, a, b } = threePorts();
    b.onDeliver = () => void (b.ready = false);
    a.send(frame({ to: B, from: A }), frame({ to: C, from: A }), frame({ to: B, from: A }));
    expect(b.take().length).toBe(1);
    expect(world.drops(b)).toEqual({ queue_full: 1 });
  });

  test("FR-19 a port that leaves takes its addresses along, and frames for it are flooded", () => {
    const { world, a, b, c } = threePorts();
    b.at.detach();
    b.at.detach();
    expect(world.hub.ports).toEqual([a.at, c.at]);
    expect(world.hub.macTable().map((entry) => entry.mac)).toEqual([C, A]);
    a.send(frame({ to: B, from: A }));
    expect([b.take().length, c.take().length]).toEqual([0, 1]);
  });

  test("FR-19 a port that leaves between delivery and flush is not flushed", () => {
    const { a, b, c } = threePorts();
    const before = [b.flushes, c.flushes];
    c.onDeliver = () => b.at.detach();
    a.send(frame({ to: B, from: A }), frame({ to: C, from: A }));
    expect([b.flushes, c.flushes]).toEqual([before[0]!, before[1]! + 1]);
  });

  test("FR-19 a port that leaves while frames for it are on their way loses them, counted", () => {
    const { world, a, b, c } = threePorts();
    // The frame for C is looked up before the run for B is handed over.
    b.onDeliver = () => c.at.detach();
    a.send(frame({ to: B, from: A }), frame({ to: C, from: A }), frame({ to: B, from: A }));
    expect([b.take().length, c.take().length]).toEqual([2, 0]);
    expect(world.drops(a)).toEqual({ port_closed: 1 });
  });

  test("FR-19 the rest of the run is decided afresh once a port has left", () => {
    const { world, a, b, c } = threePorts();
    c.onDeliver = () => b.at.detach();
    a.send(...[C, B, B, B].map((to) => frame({ to, from: A })));
    // One was looked up before; the others are flooded, as nobody is known to be B any more.
    expect([b.take().length, c.take().length]).toEqual([0, 3]);
    expect(world.drops(a)).toEqual({ port_closed: 1 });
  });

  test("FR-19 frames on their way do not reach a newcomer in the place of the port that left", () => {
    const { world, a, b, c } = threePorts();
    let newcomer = c;
    b.onDeliver = () => {
      c.at.detach();
      if (newcomer === c) newcomer = world.attach();
    };
    a.send(frame({ to: B, from: A }), frame({ to: C, from: A }));
    expect(newcomer).not.toBe(c);
    expect(newcomer.take()).toEqual([]);
  });

  test("FR-20 a port that closes itself inside its own deliver() does not stop the others", () => {
    const { world, a, b, c } = threePorts();
    const d = world.attach();
    b.onDeliver = () => b.at.close({ code: "test" });
    const hello = frame({ to: BROADCAST, from: A });
    a.send(hello, hello);
    expect([b.take().length, c.take().length, d.take().length]).toEqual([2, 2, 2]);
    a.send(hello);
    expect([b.take().length, c.take().length]).toEqual([0, 1]);
    expect(b.closed).toEqual({ code: "test" });
  });

  test("FR-20 the sender may leave while its own run is forwarded", () => {
    const { world, a, b, c } = threePorts();
    b.onDeliver = () => a.at.detach();
    const to = [B, C, B, C, BROADCAST];
    a.send(...to.map((dst) => frame({ to: dst, from: A })));
    expect([b.take().length, c.take().length]).toEqual([1, 0]);
    expect(world.hub.macTable().map((entry) => entry.mac)).toEqual([C, B]);
    expect(world.hub.totals().drops).toEqual({ port_closed: 4 });
    a.send(frame({ to: B, from: A }));
    expect(world.hub.totals().drops).toEqual({ port_closed: 5 });
    // Nor does the next one in its place inherit anything.
    const newcomer = world.attach();
    expect(newcomer.at.index).toBe(a.at.index);
    expect(world.macCount(newcomer)).toBe(0);
  });

  test("a port may answer within deliver(): both directions arrive, each port is flushed once", () => {
    const { a, b, c } = threePorts();
    const flushes = [a.flushes, b.flushes];
    b.onDeliver = () => {
      b.send(frame({ to: A, from: B }), frame({ to: C, from: B }));
      expect([a.flushes, b.flushes]).toEqual(flushes);
    };
    a.send(frame({ to: BROADCAST, from: A }));
    expect(a.take()).toEqual([frame({ to: A, from: B })]);
    // The broadcast was on its way to C before B answered, and is what it was.
    expect(c.take()).toEqual([frame({ to: C, from: B }), frame({ to: BROADCAST, from: A })]);
    expect([a.flushes, b.flushes]).toEqual([flushes[0]! + 1, flushes[1]! + 1]);
  });

  test("a port that sends while it is flushed has its frames flushed, too", () => {
    const { a, b } = threePorts();
    let answered = false;
    b.onFlush = () => {
      if (!answered) b.send(frame({ to: A, from: B }));
      answered = true;
    };
    const before = a.flushes;
    a.send(frame({ to: B, from: A }));
    expect(a.take().length).toBe(1);
    expect(a.flushes).toBe(before + 1);
  });

  test("a port that was flushed and then given more is flushed again by the same event", () => {
    const { a, b, c } = threePorts();
    c.onFlush = () => {
      c.onFlush = undefined;
      c.send(frame({ to: B, from: C }));
    };
    const before = b.flushes;
    a.send(frame({ to: B, from: A }), frame({ to: C, from: A }));
    expect(b.take().length).toBe(2);
    expect(b.flushes).toBe(before + 2);
  });

  test("frames that ports in the process hand round in circles end, counted", () => {
    const { world, a, b, c } = threePorts();
    b.onDeliver = () => c.into!.deliver({ ...loop });
    c.onDeliver = () => b.into!.deliver({ ...loop });
    const bytes = frame({ to: BROADCAST, from: mac(9) });
    const loop = runOf([bytes]);
    a.send(frame({ to: B, from: A }));
    const { drops } = world.hub.totals();
    expect((drops.loop ?? 0) + (drops.mac_flap ?? 0)).toBeGreaterThan(0);
    expect(a.take().length).toBeLessThan(2 ** MAX_FORWARD_DEPTH);
    b.onDeliver = c.onDeliver = undefined;
    b.take();
    world.now += 1000;
    a.send(frame({ to: B, from: A }));
    expect(b.take().length).toBe(1);
  });

  test("close() ends every port, and nothing can be attached afterwards", () => {
    const { world, a, b, c } = threePorts();
    world.hub.close({ code: "hub_offline" });
    world.hub.close({ code: "again" });
    expect([a, b, c].map((port) => port.closed)).toEqual(Array(3).fill({ code: "hub_offline" }));
    expect(world.hub.ports).toEqual([]);
    expect(() => world.attach()).toThrow("Cannot attach");
    a.send(frame({ to: BROADCAST, from: A }));
    expect(b.take()).toEqual([]);
  });

  test("an exception out of a port does not keep the hub from going on", () => {
    const { world, a, b, c } = threePorts();
    b.onDeliver = () => {
      throw new Error("Broken port");
    };
    b.onFlush = () => b.onDeliver?.(runOf([]));
    expect(() => a.send(frame({ to: B, from: A }))).toThrow("Broken port");
    expect(() => a.into!.flush()).toThrow("Broken port");
    a.send(frame({ to: C, from: A }));
    expect(c.take().length).toBe(1);
    expect(c.flushes).toBeGreaterThan(0);
    expect(world.drops(a)).toEqual({});
  });
});
