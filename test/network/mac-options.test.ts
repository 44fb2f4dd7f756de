// The extended options and the switch back to the reference that concern the MAC table (hub.md 2.7, 3, 17).
import { describe, expect, test } from "bun:test";
import { FDB_AGE_MS } from "../../src/base/limits.ts";
import { type MacAddress, writeMac } from "../../src/base/mac.ts";
import { configure } from "../hub/configure.ts";
import { BROADCAST, frame, mac } from "../hub/frames.ts";
import { CLIENT_MODE, World } from "../hub/world.ts";

const [A, B] = [mac(1), mac(2)];
const STP = 0x0180_c200_0000;
const DLINK = 0x0080_c800_0000;

const hello = (from: number) => frame({ to: BROADCAST, from });

/** A configuration BPDU (IEEE 802.1D 9.3.1) of this bridge in a frame from that address. */
function bpdu(parts: { from: number; bridge: number; age?: number }): Uint8Array {
  const payload = new Uint8Array(46);
  payload.set([0x42, 0x42, 0x03]);
  writeMac(payload, 3 + 19, parts.bridge as MacAddress);
  payload[3 + 28] = parts.age ?? 0;
  return frame({ to: STP, from: parts.from, type: 38, payload });
}

function macs(world: World): number[] {
  return world.hub
    .macTable()
    .map((entry) => entry.mac)
    .sort((a, b) => a - b);
}

describe("Hub options of the MAC table", () => {
  test("NoMacAddressLog tells of no MAC that is learnt, 0 of each", () => {
    const world = new World();
    const port = world.attach("bridge");
    port.send(hello(A));
    expect(world.events("mac_registered")).toEqual([]);
    configure(world, { NoMacAddressLog: 0 });
    port.send(hello(A), frame({ to: BROADCAST, from: B, tags: [7] }));
    expect(world.events("mac_registered").map((line) => line.fields)).toMatchObject([
      { hub: "TEST", mac: "02:00:00:00:00:02", vlan: 7, port: port.name },
    ]);
  });

  test("DoNotSaveHeavySecurityLogs keeps limits and registrations out of the log, not moves", () => {
    const world = new World();
    const client = world.attach("client", CLIENT_MODE);
    const other = world.attach("bridge");
    configure(world, { DoNotSaveHeavySecurityLogs: 1, NoMacAddressLog: 0 });
    for (let n = 1; n <= 4; n += 1) client.send(hello(mac(n)));
    other.send(hello(A));
    expect(world.drops(client)).toEqual({ mac_limit: 1 });
    expect(world.lines.map((line) => line.event)).toEqual(["mac_moved"]);
  });

  test("the bridge that a BPDU tells of is learnt instead of its sender", () => {
    const world = new World();
    const [port, other] = [world.attach("bridge"), world.attach("bridge")];
    const sent = bpdu({ from: A, bridge: B });
    port.send(sent);
    expect(macs(world)).toEqual([B]);
    expect(other.take()).toEqual([sent]);
    other.send(frame({ to: B, from: mac(9) }));
    expect(port.take().length).toBe(1);
  });

  test("NoLookBPDUBridgeId learns the sender of a BPDU", () => {
    const world = new World();
    configure(world, { NoLookBPDUBridgeId: 1 });
    world.attach("bridge").send(bpdu({ from: A, bridge: B }));
    expect(macs(world)).toEqual([A]);
  });

  test("a BPDU without a usable bridge, one that is cut, and other LLC frames are learnt by their sender", () => {
    const frames = [
      bpdu({ from: A, bridge: 0 }),
      bpdu({ from: A, bridge: STP }),
      frame({ to: STP, from: A, type: 7, payload: [0x42, 0x42, 3, 0, 0, 0, 0x80], size: 60 }),
      frame({ to: STP, from: A, type: 38, payload: [0xfe, 0xfe, 3], size: 60 }),
    ];
    for (const bytes of frames) {
      const world = new World();
      const port = world.attach("bridge");
      port.send(bytes);
      expect(macs(world)).toEqual([A]);
      expect(world.drops(port)).toEqual({});
    }
  });

  test("BPDUs count against the limit of MACs by the bridges that they tell of", () => {
    const world = new World();
    const client = world.attach("client", CLIENT_MODE);
    for (let n = 1; n <= 4; n += 1) client.send(bpdu({ from: A, bridge: mac(n) }));
    expect(world.drops(client)).toEqual({ mac_limit: 1 });
  });

  test("DisableCheckMacOnLocalBridge lets a local bridge take a fresh MAC", () => {
    const world = new World();
    const session = world.attach("client");
    const bridge = world.attach("local-bridge");
    session.send(hello(A));
    bridge.send(hello(A));
    expect(world.drops(bridge)).toEqual({ mac_spoof: 1 });
    configure(world, { DisableCheckMacOnLocalBridge: 1 });
    bridge.send(hello(A));
    expect(world.hub.macTable()[0]!.port).toBe(bridge.at);
  });

  test("CheckMac stops a fresh MAC of another port and lets one pass that is 13 s old", () => {
    const world = new World();
    const owner = world.attach("bridge");
    const checked = world.attach("bridge", { check_mac: true });
    owner.send(hello(A));
    checked.send(hello(A), hello(B));
    expect(owner.take()).toEqual([hello(B)]);
    world.now += 13_000;
    checked.send(hello(A));
    expect(owner.take()).toEqual([hello(A)]);
    expect(world.drops(checked)).toEqual({ mac_spoof: 1 });
  });

  test("FixForDLinkBPDU drops such a BPDU only where it comes back within 750 ms", () => {
    const world = new World();
    const [left, right] = [world.attach("bridge"), world.attach("local-bridge")];
    const [mine, theirs] = [1, 2].map((age) => bpdu({ from: DLINK, bridge: DLINK, age }));
    left.send(mine!);
    right.send(theirs!);
    expect(world.drops(right)).toEqual({ mac_spoof: 1 });
    configure(world, { FixForDLinkBPDU: 1 });
    left.send(mine!);
    right.take();
    right.send(theirs!, mine!);
    expect(left.take()).toEqual([theirs!]);
    expect(world.drops(right)).toEqual({ mac_spoof: 2 });
    left.send(mine!);
    world.now += 750;
    right.send(mine!);
    expect(left.take()).toEqual([mine!]);
    // Other addresses are checked as ever.
    left.send(hello(A));
    right.send(hello(A));
    expect(world.drops(right)).toEqual({ mac_spoof: 3 });
  });

  test("FixForDLinkBPDU holds for a BPDU that names no bridge, and over a change of settings", () => {
    const world = new World();
    configure(world, { FixForDLinkBPDU: 1 });
    const [left, right] = [world.attach("bridge"), world.attach("local-bridge")];
    const [mine, theirs] = [1, 2].map((age) => bpdu({ from: DLINK, bridge: 0, age }));
    left.send(mine!);
    configure(world, { FixForDLinkBPDU: 1, NoMacAddressLog: 1 });
    right.send(theirs!, mine!);
    expect(left.take()).toEqual([theirs!]);
    expect(world.drops(right)).toEqual({ mac_spoof: 1 });
  });

  test("mac-rules: group sources are learnt, broadcast is not", () => {
    const world = new World();
    const port = world.attach("bridge");
    const group = frame({ to: BROADCAST, from: 0x0100_5e00_0001 });
    port.send(group);
    expect(world.drops(port)).toEqual({ src_mac: 1 });
    configure(world, {}, ["mac-rules"]);
    port.send(group, frame({ to: A, from: BROADCAST }));
    expect(macs(world)).toEqual([0x0100_5e00_0001]);
    expect(world.drops(port)).toEqual({ src_mac: 2 });
  });

  test("mac-rules: an entry forwards until another MAC is learnt after its time", () => {
    const world = new World();
    configure(world, {}, ["mac-rules"]);
    const [a, b, c] = [world.attach("bridge"), world.attach("bridge"), world.attach("bridge")];
    a.send(hello(A));
    b.send(hello(B));
    world.now += FDB_AGE_MS + 5000;
    b.send(frame({ to: A, from: B }));
    expect([a.take().length, c.take().length]).toEqual([2, 2]);
    expect(macs(world)).toEqual([A, B]);
    b.send(hello(mac(3)));
    expect(macs(world)).toEqual([B, mac(3)]);
  });
});
