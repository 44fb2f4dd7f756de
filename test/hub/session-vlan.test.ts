import { describe, expect, test } from "bun:test";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import type { HubOptionName } from "../../src/config/hub-options.ts";
import { DEFAULT_HUB_SETTINGS } from "../../src/hub/hub-settings.ts";
import { emptyRun, type FrameRun } from "../../src/hub/port.ts";
import { framesOf } from "../support/array-port.ts";
import { toHex } from "../support/hex.ts";
import { arp, BROADCAST, frame, ipv4, ipv6, lan, linkLocal, mac } from "./frames.ts";
import { type Plugged, World } from "./world.ts";

const hex = (frames: readonly Uint8Array[]) => frames.map(toHex);
const all = { to: BROADCAST, from: mac(1) };
const body = Uint8Array.from({ length: 100 }, (_, n) => n);

/** The frame with a tag of this type put in behind its addresses. */
function tagged(bytes: Uint8Array, id: number, type = 0x8100): Uint8Array {
  const tag = [type >> 8, type & 0xff, id >> 8, id & 0xff];
  return Uint8Array.from([...bytes.subarray(0, 12), ...tag, ...bytes.subarray(12)]);
}

const frames = [
  frame({ ...all, size: 14 }),
  ipv4({ ...all, ip: lan(1), body }),
  arp({ ...all, ip: lan(1) }),
  frame({ ...all, tags: [300], size: 60 }),
  frame({ ...all, payload: body, size: 1500 }),
];

function world(options: Partial<Record<HubOptionName, number>> = {}) {
  const made = new World();
  made.hub.reconfigure({
    ...DEFAULT_HUB_SETTINGS,
    options: { ...DEFAULT_HUB_SETTINGS.options, ...options },
  });
  const member = made.attach("client", { vlan_id: 200 });
  return { world: made, member, trunk: made.attach("bridge") };
}

describe("sessionVlan()", () => {
  test("what the session sends gets the tag, also where there is one already", () => {
    const { member, trunk } = world();
    member.send(...frames);
    expect(hex(trunk.take())).toEqual(hex(frames.map((bytes) => tagged(bytes, 200))));
  });

  test("the session gets frames of its VLAN alone, and without the tag", () => {
    const { world: at, member, trunk } = world();
    trunk.send(
      ...frames.flatMap((bytes) => [
        tagged(bytes, 200),
        tagged(bytes, 201),
        bytes,
        tagged(bytes, 200),
        // The priority bits do not count.
        tagged(bytes, 0xe000 | 200),
      ]),
    );
    const expected = frames.flatMap((bytes) => [bytes, bytes, bytes]);
    expect(hex(member.take())).toEqual(hex(expected));
    expect(at.drops(member)).toEqual({ vlan_id: 2 * frames.length });
  });

  test("two sessions of one VLAN reach each other, one of another VLAN does not", () => {
    const { world: at, member } = world();
    const peer = at.attach("client", { vlan_id: 200 });
    const stranger = at.attach("client", { vlan_id: 300 });
    member.send(...frames);
    expect(hex(peer.take())).toEqual(hex(frames));
    expect(stranger.take()).toEqual([]);
    peer.send(frame({ to: mac(1), from: mac(2), payload: body }));
    expect(member.take()).toHaveLength(1);
  });

  test("the MAC is learnt in the VLAN", () => {
    const { world: at, member } = world();
    member.send(frames[1]!);
    expect(at.hub.macTable().map(({ vlanId }) => vlanId)).toEqual([200]);
  });

  test("a monitoring port with a VLAN sees that one", () => {
    const { world: at, trunk } = world();
    const monitor = at.attach("monitor", { vlan_id: 200 });
    trunk.send(tagged(frames[1]!, 200), tagged(frames[1]!, 201));
    expect(hex(monitor.take())).toEqual(hex([frames[1]!]));
  });

  test("a full session gets its urgent frames, without the tag", () => {
    const { world: at, member, trunk } = world();
    const urgent: string[] = [];
    member.ready = false;
    Object.assign(member, {
      deliverUrgent: (run: FrameRun) => urgent.push(...hex(framesOf(run))) > 0,
    });
    const asks = arp({ ...all, ip: lan(1) });
    const bulk = frame({ ...all, payload: body, size: 1500 });
    trunk.send(tagged(asks, 200), tagged(bulk, 200));
    expect(urgent).toEqual(hex([asks]));
    expect(at.drops(member)).toEqual({ queue_full: 1 });
  });

  test("VlanTypeId is the type of tags put on and taken off, and the switch knows it", () => {
    const { world: at, member, trunk } = world({ VlanTypeId: 0x88a8 });
    member.send(...frames);
    expect(hex(trunk.take())).toEqual(hex(frames.map((bytes) => tagged(bytes, 200, 0x88a8))));
    expect(at.hub.macTable().map(({ vlanId }) => vlanId)).toEqual([200]);
    const answer = { to: BROADCAST, from: mac(2), size: 60 };
    trunk.send(tagged(frame(answer), 200, 0x88a8), tagged(frame(answer), 200));
    expect(hex(member.take())).toEqual(hex([frame(answer)]));
  });

  test("policy filters by type look behind the session's own tag, in both directions", () => {
    const { member, trunk } = world();
    const policy = { ...DEFAULT_POLICY, no_broadcast_limiter: true, vlan_id: 200 };
    const v4 = ipv4({ ...all, ip: lan(1) });
    const v6 = ipv6({ ...all, ip: linkLocal(1) });
    const check = (wanted: Uint8Array[]) => {
      member.send(v4, v6);
      trunk.send(tagged(v4, 200), tagged(v6, 200));
      expect(hex(trunk.take())).toEqual(hex(wanted.map((bytes) => tagged(bytes, 200))));
      expect(hex(member.take())).toEqual(hex(wanted));
    };
    member.at.reconfigure({ ...policy, filter_ipv4: true });
    check([v6]);
    member.at.reconfigure({ ...policy, filter_ipv6: true });
    check([v4]);
    member.at.reconfigure({ ...policy, filter_non_ip: true });
    check([v4, v6]);
  });

  test("a running port gets another VLAN at once, or none", () => {
    const { member, trunk } = world();
    for (const vlan_id of [300, 0, 200]) {
      member.at.reconfigure({ ...DEFAULT_POLICY, vlan_id });
      member.send(frames[1]!);
      const wanted = vlan_id === 0 ? frames[1]! : tagged(frames[1]!, vlan_id);
      expect(hex(trunk.take())).toEqual(hex([wanted]));
    }
  });

  test("a frame that lies about its length is dropped and counted, those before it arrive", () => {
    const { world: at, member, trunk } = world();
    const good = frames[1]!;
    for (const size of [0, 13, 1601, 0x7fffffff, 0xfffffffe, 0xffffffff]) {
      const run = emptyRun(new Uint8Array(4 + 4 + good.length + 4 + 20));
      run.view.setUint32(4, good.length);
      run.bytes.set(good, 8);
      run.view.setUint32(8 + good.length, size);
      run.start = 4;
      run.end = size < 20 ? 8 + good.length + 4 + size : run.bytes.length;
      run.count = 2;
      const before = at.drops(member).frame_length ?? 0;
      member.into?.deliver(run);
      expect(hex(trunk.take())).toEqual(hex([tagged(good, 200)]));
      expect(at.drops(member).frame_length).toBe(before + 1);
    }
  });

  test("a port in the process that answers within deliver() does not disturb a run under way", () => {
    const { member, trunk } = world();
    const answers: Plugged["onDeliver"] = () => {
      trunk.onDeliver = undefined;
      trunk.send(...frames.map((bytes) => tagged(bytes, 200)));
    };
    trunk.onDeliver = answers;
    member.send(...frames, ...frames);
    expect(hex(trunk.take())).toEqual(
      hex([...frames, ...frames].map((bytes) => tagged(bytes, 200))),
    );
    expect(hex(member.take())).toEqual(hex(frames));
  });
});

describe("NoManageVlanId", () => {
  test("makes one entry of a MAC in several VLANs", () => {
    const { world: at, trunk } = world({ NoManageVlanId: 1 });
    const other = at.attach("bridge");
    trunk.send(frame({ ...all, tags: [5], size: 60 }), frame({ ...all, tags: [6], size: 60 }));
    expect(at.hub.macTable().map(({ vlanId }) => vlanId)).toEqual([0]);
    other.take();
    at.attach("bridge").send(frame({ to: mac(1), from: mac(2), tags: [9], size: 60 }));
    expect(other.take()).toEqual([]);
  });

  test("still drops frames whose tag is cut", () => {
    const { world: at, trunk } = world({ NoManageVlanId: 1 });
    trunk.send(frame({ ...all, tags: [5], size: 60 }).subarray(0, 16));
    expect(at.drops(trunk)).toEqual({ frame_header: 1 });
  });
});
