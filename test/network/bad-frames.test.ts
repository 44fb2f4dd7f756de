import { describe, expect, test } from "bun:test";
import type { DropReason } from "../../src/hub/drop-reason.ts";
import { runOf } from "../support/array-port.ts";
import { BROADCAST, frame, mac } from "../hub/frames.ts";
import { World } from "../hub/world.ts";

const [A, B] = [mac(1), mac(2)];
const good = (n: number) => frame({ to: BROADCAST, from: A, payload: [n] });

describe("Hub, bad frames", () => {
  const cases: [string, Uint8Array, DropReason][] = [
    ["FR-08 an empty frame", new Uint8Array(0), "frame_length"],
    ["FR-08 a frame of 13 bytes", frame({ to: B, from: mac(9) }).subarray(0, 13), "frame_length"],
    ["FR-08 a frame of 1,601 bytes", frame({ to: B, from: mac(9), size: 1601 }), "frame_length"],
    ["FR-09 a multicast source", frame({ to: B, from: 0x01005e000001 }), "src_mac"],
    ["FR-09 a broadcast source", frame({ to: B, from: BROADCAST }), "src_mac"],
    ["FR-09 a zero source", frame({ to: B, from: 0 }), "src_mac"],
    ["a source that is the destination", frame({ to: B, from: B }), "src_mac"],
    ["FR-13 a cut tag", frame({ to: B, from: mac(9), tags: [7], size: 16 }), "frame_header"],
    [
      "FR-14 a length past the end",
      frame({ to: B, from: mac(9), type: 1500, size: 60 }),
      "frame_header",
    ],
    ["FR-14 LLC cut", frame({ to: B, from: mac(9), type: 1, size: 15 }), "frame_header"],
    ["FR-15 a pause frame", frame({ to: 0x0180c2000001, from: mac(9), size: 60 }), "pause_frame"],
  ];
  test.each(cases)(
    "%s is dropped, counted once, not learnt; its neighbours pass",
    (_name, bad, reason) => {
      const world = new World();
      const [a, b] = [world.attach(), world.attach()];
      a.send(good(1), good(2), bad, good(3));
      expect(b.take()).toEqual([good(1), good(2), good(3)]);
      expect(world.drops(a)).toEqual({ [reason]: 1 });
      expect(world.hub.macTable().map((entry) => entry.mac)).toEqual([A]);
      a.send(bad, bad, bad);
      expect(b.take()).toEqual([]);
      expect(world.drops(a)).toEqual({ [reason]: 4 });
      expect(world.lines).toEqual([]);
    },
  );

  const fine: [string, Uint8Array][] = [
    ["FR-08 of 14 bytes", frame({ to: BROADCAST, from: A })],
    ["FR-08 of 1,600 bytes", frame({ to: BROADCAST, from: A, size: 1600 })],
    ["FR-13 with VID 0", frame({ to: BROADCAST, from: A, tags: [0] })],
    ["FR-13 with VID 4095", frame({ to: BROADCAST, from: A, tags: [4095] })],
    ["FR-13 with eight tags", frame({ to: BROADCAST, from: A, tags: [1, 2, 3, 4, 5, 6, 7, 8] })],
    ["with another reserved address", frame({ to: 0x0180c2000003, from: A })],
  ];
  test.each(fine)("a frame %s passes", (_name, bytes) => {
    const world = new World();
    const [a, b] = [world.attach(), world.attach()];
    a.send(bytes);
    expect(b.take()).toEqual([bytes]);
  });

  test("a run whose last size lies is read no further than its end", () => {
    const world = new World();
    const [a, b] = [world.attach(), world.attach()];
    for (const size of [100, 1600, 0xffff_ffff]) {
      const run = runOf([good(1), good(2)]);
      run.view.setUint32(run.start + 4 + good(1).length, size);
      a.into!.deliver(run);
      expect(b.take()).toEqual([good(1)]);
    }
    expect(world.drops(a)).toEqual({ frame_length: 3 });
  });
});
