import { afterEach, describe, expect, test } from "bun:test";
import { SystemError } from "../../src/base/errors.ts";
import { formatMac, MAC_ZERO, type MacAddress } from "../../src/base/mac.ts";
import type { BridgeConfig } from "../../src/config/bridge-shape.ts";
import { emptyRun, type FrameSink } from "../../src/hub/port.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { ensureWasm } from "../wasm/compiled.ts";
import { runOf } from "../wasm/random-frames.ts";
import { dhcpFrame } from "./dhcp-frame.ts";
import { FakePoller, RecordingSink, settle } from "./fake-device.ts";
import { FakeMachine, STATION } from "./fake-machine.ts";

await ensureWasm();
const { LocalBridge } = await import("../../src/bridge/local-bridge.ts");

const ENETDOWN = -100;
const NIC: BridgeConfig = {
  kind: "nic",
  device: "eth1",
  enable: true,
  monitor: false,
  limitBroadcast: false,
  promiscuous: true,
};

const bridges: { close(): void }[] = [];
afterEach(() => {
  for (const bridge of bridges.splice(0)) bridge.close();
});

function world(options: { config?: BridgeConfig; refuses?: boolean; isThere?: boolean } = {}) {
  const { config = NIC, refuses = true, isThere = true } = options;
  const clock = new ManualClock();
  const machine = new FakeMachine();
  if (isThere) machine.plugIn(config.device);
  const poller = new FakePoller();
  const told: string[] = [];
  const plugged: string[] = [];
  const sink = new RecordingSink();
  const ports: FrameSink[] = [];
  const bridge = new LocalBridge(config, refuses, {
    clock,
    poller,
    machine,
    mac: () => MAC_ZERO,
    plug(port) {
      const session = `SID-LOCALBRIDGE-${ports.length + 1}`;
      plugged.push(session);
      ports.push(port);
      port.plug(sink);
      return { session, unplug: () => plugged.push(`${session} out`) };
    },
    events: {
      operating: () => told.push("operating"),
      failed: (_, problem) => told.push(problem),
    },
  });
  bridges.push(bridge);
  return { clock, machine, poller, told, plugged, ports, sink, bridge };
}

const GONE = "Cannot open eth1: netlink failed with ENODEV (no such device)";
const frame = (length: number) => new Uint8Array(length).fill(2);
const read = (bytes: Uint8Array) => Uint8Array.from([...new Uint8Array(10), ...bytes]);

describe("LocalBridge", () => {
  test("opens an interface that is there and plugs it in", async () => {
    const { machine, bridge, told, sink } = world();
    expect(bridge).toMatchObject({ problem: undefined, session: "SID-LOCALBRIDGE-1" });
    machine.opened[0]!.device.incoming.push(read(frame(60)));
    await settle();
    expect(sink.frames).toEqual([frame(60)]);
    expect(told).toEqual(["operating"]);
  });

  test("waits for an interface that is not there yet, a second at a time, and tells it once", () => {
    const { clock, machine, bridge, told } = world({ isThere: false });
    expect(bridge).toMatchObject({ problem: GONE, session: undefined });
    clock.advance(10_500);
    expect(machine.attempts).toBe(11);
    machine.plugIn("eth1");
    clock.advance(500);
    expect(bridge.problem).toBeUndefined();
    expect(told).toEqual([GONE, "operating"]);
    expect(clock.pending).toBe(0);
  });

  test("look() finds it sooner", () => {
    const { clock, machine, bridge } = world({ isThere: false });
    machine.plugIn("eth1");
    bridge.look();
    expect(bridge.problem).toBeUndefined();
    expect(clock.pending).toBe(0);
  });

  test("FI-06 what cannot be read any more is closed, and opened again when it can", async () => {
    const { clock, machine, poller, bridge, told, plugged } = world();
    const [first] = machine.opened;
    first!.device.incoming.push(read(frame(60)), ENETDOWN);
    await settle();
    if (first!.device.closes === 0) {
      poller.watches[0]!.fire();
      await settle();
    }
    expect(first!.device.closes).toBe(1);
    expect(bridge.problem).toBe("Cannot read interface fake0: ENETDOWN (network is down)");
    expect(bridge.session).toBeUndefined();
    clock.advance(1000);
    expect(bridge.session).toBe("SID-LOCALBRIDGE-2");
    expect(plugged).toEqual(["SID-LOCALBRIDGE-1", "SID-LOCALBRIDGE-1 out", "SID-LOCALBRIDGE-2"]);
    expect(told.length).toBe(3);
    // What the first port has done still counts.
    expect(bridge.stats).toMatchObject({ ingressFrames: 1, ingressBytes: 60 });
  });

  test("FI-06 another interface of the name, as after a renaming, is opened anew", () => {
    const { clock, machine, bridge } = world();
    machine.pullOut("eth1");
    machine.plugIn("eth1");
    bridge.look();
    expect(bridge.problem).toBe("Interface eth1 is gone, or is another one by now");
    expect(machine.opened[0]!.device.closes).toBe(1);
    clock.advance(1000);
    expect(bridge).toMatchObject({ problem: undefined, session: "SID-LOCALBRIDGE-2" });
  });

  test("FI-06 look() tells that the interface is down, and that it is up again", () => {
    const { machine, bridge, told } = world();
    machine.setUp("eth1", false);
    bridge.look();
    bridge.look();
    expect(bridge.problem).toBe("Interface eth1 is down: ip link set eth1 up");
    expect(bridge.session).toBe("SID-LOCALBRIDGE-1");
    machine.setUp("eth1", true);
    bridge.look();
    expect(bridge.problem).toBeUndefined();
    expect(told).toEqual(["operating", "Interface eth1 is down: ip link set eth1 up", "operating"]);
  });

  test("FI-05 a refusal of the system is told and tried again; another fault is not hidden", () => {
    const { clock, machine, bridge } = world({ isThere: false });
    machine.plugIn("eth1");
    machine.failures.push(new SystemError("socket", 1, "open eth1"));
    clock.advance(1000);
    expect(bridge.problem).toBe(
      "Cannot open eth1: socket failed with EPERM (operation not permitted)",
    );
    clock.advance(1000);
    expect(bridge.problem).toBeUndefined();
    bridge.close();
    const other = world({ isThere: false });
    other.machine.failures.push(new TypeError("a fault of ours"));
    expect(() => other.clock.advance(1000)).toThrow("a fault of ours");
  });

  test("DHCP messages of the interface's own station do not pass, unless they may", () => {
    const { machine, bridge, ports } = world();
    const [open] = machine.opened;
    expect(open!.refused).toBe(STATION);
    const messages = [formatMac(STATION), "02:00:5e:00:53:02"].map((client) =>
      dhcpFrame({ from: "02:00:5e:00:53:03", to: "ff:ff:ff:ff:ff:ff", client, isReply: true }),
    );
    const send = () => {
      const bytes = runOf(messages);
      ports[0]!.deliver({ ...emptyRun(bytes), end: bytes.length, count: messages.length });
      ports[0]!.flush();
      return open!.device.written.splice(0).length;
    };
    expect(send()).toBe(1);
    expect(bridge.stats.drops.own_dhcp).toBe(1);
    bridge.refuseOwnDhcp(false);
    expect(open!.refused).toBeUndefined();
    expect(send()).toBe(2);
  });

  test("an interface that is given another MAC has that one's DHCP messages kept back", () => {
    const { machine, bridge } = world();
    const other = (STATION + 1) as MacAddress;
    machine.setMac("eth1", other);
    bridge.look();
    expect(machine.opened[0]!.refused).toBe(other);
    bridge.refuseOwnDhcp(false);
    bridge.refuseOwnDhcp(true);
    expect(machine.opened[0]!.refused).toBe(other);
  });

  test("FI-05 an interface goes on while the system cannot be asked about it", () => {
    const { machine, bridge } = world();
    machine.linkFailure = new SystemError("socket", 24, "look eth1 up");
    bridge.look();
    expect(bridge).toMatchObject({ problem: undefined, session: "SID-LOCALBRIDGE-1" });
  });

  test("close() ends it and its timer, also twice, and nothing is opened afterwards", () => {
    const { clock, machine, bridge, plugged } = world();
    bridge.close();
    bridge.close();
    expect(machine.opened[0]!.device.closes).toBe(1);
    expect(plugged).toEqual(["SID-LOCALBRIDGE-1", "SID-LOCALBRIDGE-1 out"]);
    bridge.look();
    expect(machine.attempts).toBe(1);
    const waiting = world({ isThere: false });
    waiting.bridge.close();
    expect([clock.pending, waiting.clock.pending]).toEqual([0, 0]);
  });
});
