import { afterEach, describe, expect, test } from "bun:test";
import { MAC_ZERO } from "../../src/base/mac.ts";
import { DEFAULT_HUB_OPTIONS } from "../../src/config/hub-options.ts";
import { DEFAULT_HUB, type HubConfig } from "../../src/config/server-config.ts";
import { Hub } from "../../src/hub/hub.ts";
import { InnerSessions } from "../../src/server/inner-session.ts";
import { Ledger } from "../../src/server/ledger.ts";
import { FakePoller } from "../bridge/fake-device.ts";
import { FakeMachine, STATION } from "../bridge/fake-machine.ts";
import { readServer } from "../config/fixture.ts";
import { memoryBooks } from "../support/counter-books.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { recordingLog } from "../support/test-server.ts";
import { ensureWasm } from "../wasm/compiled.ts";

await ensureWasm();
const { HubBridges } = await import("../../src/server/hub-bridges.ts");

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function world() {
  const clock = new ManualClock();
  const log = recordingLog();
  const machine = new FakeMachine();
  const hub = new Hub({ name: "A", clock, log });
  const ledger = new Ledger("A", { books: memoryBooks(), clock, log });
  const inner = new InnerSessions(hub, ledger);
  let number = 0;
  const bridges = new HubBridges(
    {
      plugInner: (cable, plug) => inner.plug(cable, plug, ++number, clock.wall()),
      unplugInner: (session) => inner.unplug(session),
    },
    { clock, log, machine, poller: new FakePoller(), tapMac: () => MAC_ZERO },
  );
  closers.push(() => {
    bridges.close();
    hub.close();
    ledger.close();
  });
  for (const name of ["eth1", "eth2"]) machine.plugIn(name);
  return { clock, log, machine, inner, bridges };
}

const config = (tables: string, change: Partial<HubConfig> = {}): HubConfig => ({
  ...DEFAULT_HUB,
  name: "A",
  bridges: readServer(`[hub.A]\n${tables}`).config.hubs[0]!.bridges,
  ...change,
});
const ETH1 = '[[hub.A.bridge]]\ndevice = "eth1"\n';
const ETH2 = '[[hub.A.bridge]]\ndevice = "eth2"\n';

describe("HubBridges", () => {
  test("opens what the configuration names and tells how it stands", () => {
    const { bridges, log, inner } = world();
    bridges.reconfigure(config(`${ETH1}[[hub.A.bridge]]\ndevice = "eth9"\n`));
    expect(bridges.list).toMatchObject([
      { device: "eth1", kind: "nic", status: "operating", session: "SID-LOCALBRIDGE-1" },
      { device: "eth9", status: "error", problem: expect.stringContaining("ENODEV") },
    ]);
    expect(inner.list).toMatchObject([
      { name: "SID-LOCALBRIDGE-1", user: "Local Bridge", host: "Ethernet Bridge" },
    ]);
    expect(log.lines.map(({ event }) => event)).toEqual(["bridge_operating", "bridge_error"]);
  });

  test("a reload leaves alone what is as it was, re-creates what changed, closes what went", () => {
    const { bridges, machine } = world();
    bridges.reconfigure(config(ETH1 + ETH2));
    bridges.reconfigure(config(`${ETH2}limit_broadcast = true\n${ETH1}`));
    expect(bridges.list.map(({ device, session }) => [device, session])).toEqual([
      ["eth2", "SID-LOCALBRIDGE-3"],
      ["eth1", "SID-LOCALBRIDGE-1"],
    ]);
    bridges.reconfigure(config(ETH1));
    expect(machine.opened.map(({ device }) => device.closes)).toEqual([0, 1, 1]);
  });

  test("all are offline while the hub is, and one that is not enabled", () => {
    const { bridges, inner, machine } = world();
    bridges.reconfigure(config(`${ETH1}${ETH2}enable = false\n`));
    expect(bridges.list.map(({ status }) => status)).toEqual(["operating", "offline"]);
    bridges.reconfigure(config(ETH1 + ETH2, { online: false }));
    expect(bridges.list.map(({ status }) => status)).toEqual(["offline", "offline"]);
    expect(inner.list).toEqual([]);
    expect(machine.opened[0]!.device.closes).toBe(1);
    bridges.reconfigure(config(ETH1 + ETH2));
    expect(bridges.list.map(({ status }) => status)).toEqual(["operating", "operating"]);
  });

  test("ports have no limit of floods unless it is asked for; a monitor sends nothing", () => {
    const { bridges, inner } = world();
    bridges.reconfigure(config(`${ETH1}limit_broadcast = true\n${ETH2}monitor = true\n`));
    expect(inner.list.map(({ port }) => [port.kind, port.policy.no_broadcast_limiter])).toEqual([
      ["local-bridge", false],
      ["monitor", true],
    ]);
    expect(bridges.list[1]).toMatchObject({ monitor: true, promiscuous: false });
  });

  test("DisableUdpFilterForLocalBridgeNic lets DHCP of the interface's own station pass", () => {
    const { bridges, machine } = world();
    bridges.reconfigure(config(ETH1));
    expect(machine.opened[0]!.refused).toBe(STATION);
    const options = { ...DEFAULT_HUB_OPTIONS, DisableUdpFilterForLocalBridgeNic: 1 };
    bridges.reconfigure(config(ETH1, { options }));
    expect(machine.opened.length).toBe(1);
    expect(machine.opened[0]!.refused).toBeUndefined();
  });

  test("close() ends all, also twice", () => {
    const { bridges, clock, machine, inner } = world();
    const timers = clock.pending;
    bridges.reconfigure(config('[[hub.A.bridge]]\ndevice = "eth9"\n'));
    expect(clock.pending).toBe(timers + 1);
    bridges.reconfigure(config(`${ETH1}[[hub.A.bridge]]\ndevice = "eth9"\n`));
    bridges.close();
    bridges.close();
    const attempts = machine.attempts;
    clock.advance(5000);
    expect([machine.attempts, inner.list.length]).toEqual([attempts, 0]);
    expect(machine.opened[0]!.device.closes).toBe(1);
  });
});
