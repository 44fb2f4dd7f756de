import { expect, test } from "bun:test";
import type { CompatName } from "../../src/config/compat.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { Hub } from "../../src/hub/hub.ts";
import { DEFAULT_HUB_SETTINGS } from "../../src/hub/hub-settings.ts";
import type { PortKind } from "../../src/hub/port-identity.ts";
import type { Log, LogFields } from "../../src/observe/log.ts";
import { ArrayPort } from "../support/array-port.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { BROADCAST, frame, mac } from "./frames.ts";

interface Told {
  readonly event: string;
  readonly fields: LogFields | undefined;
}

/** A hub on a movable clock. */
function makeHub(clock: ManualClock, name: string, compat: readonly CompatName[] = []) {
  const lines: Told[] = [];
  const put = (event: string, _text: string, fields?: LogFields) =>
    void lines.push({ event, fields });
  const log: Log = { debug: put, info: put, warn: put, error: put };
  const settings = { ...DEFAULT_HUB_SETTINGS, compat: new Set(compat) };
  const random = seededRandom(name.length);
  const hub = new Hub({ name, clock, log, random, settings, serverId: "test" });
  const attach = (port: ArrayPort, kind: PortKind) =>
    hub.attach(port, {
      kind,
      user: "test",
      policy: { ...DEFAULT_POLICY, no_broadcast_limiter: true },
    });
  const plug = (kind: PortKind, portName: string) => {
    const port = new ArrayPort(portName);
    return Object.assign(port, { at: attach(port, kind) });
  };
  const events = (event: string) => lines.filter((line) => line.event === event);
  return { hub, attach, plug, events };
}

type TestHub = ReturnType<typeof makeHub>;

/** Joins two hubs; frames wait for run() of the cables, so that a loop does not run away within one call. */
class Cables {
  readonly #waiting: (() => void)[] = [];
  readonly #cut = new Set<string>();

  join(a: TestHub, b: TestHub, name: string, kind: PortKind = "cascade") {
    const ends = [new ArrayPort(`${name}-a`), new ArrayPort(`${name}-b`)] as const;
    const at = [a.attach(ends[0], kind), b.attach(ends[1], kind)] as const;
    ends.forEach((end, i) => {
      end.onDeliver = () => {
        const frames = end.take();
        this.#waiting.push(() => {
          if (!this.#cut.has(name)) ends[1 - i]!.send(...frames);
        });
      };
    });
    return { ends, at };
  }

  cut(name: string): void {
    this.#cut.add(name);
  }

  /** Carries what waits, at most so many runs. */
  run(most: number): number {
    let carried = 0;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      next();
      carried += 1;
      if (carried === most) break;
    }
    return carried;
  }
}

const PROBE_TYPE = 0x88b5;
const isProbe = (bytes: Uint8Array) =>
  bytes.length === 60 && new DataView(bytes.buffer, bytes.byteOffset).getUint16(12) === PROBE_TYPE;
const hello = () => frame({ to: BROADCAST, from: mac(1), type: 0x88b6, size: 60 });

/** Two hubs with two cables between them, and a host at each. */
function twice() {
  const clock = new ManualClock();
  const cables = new Cables();
  const [a, b] = [makeHub(clock, "AA"), makeHub(clock, "BBB")];
  const first = cables.join(a, b, "one");
  const second = cables.join(a, b, "two");
  const hosts = [a.plug("client", "host-a"), b.plug("client", "host-b")] as const;
  const pass = (ms: number) => {
    for (let t = 0; t < ms; t += 50) {
      clock.advance(50);
      cables.run(200);
    }
  };
  const blocked = () =>
    [...first.at, ...second.at].filter(
      (port) => (a.hub.blockOf(port) ?? b.hub.blockOf(port)) !== undefined,
    );
  return { clock, cables, a, b, first, second, hosts, pass, blocked };
}

test("LoopGuard FR-17 finds two hubs joined twice within 5 s and shuts the younger cable; traffic goes on", () => {
  const { a, b, second, hosts, pass, blocked, cables } = twice();
  hosts[0].send(hello());
  // Round and round it goes.
  expect(cables.run(500)).toBeGreaterThan(20);
  pass(5_000);
  expect(blocked().length).toBeGreaterThan(0);
  expect(blocked().every((port) => second.at.includes(port))).toBe(true);
  const shutAt = [a, b].find(({ hub }) => second.at.some((port) => hub.blockOf(port)))!;
  expect(shutAt.events("loop_found")).toHaveLength(1);
  expect(shutAt.events("loop_found")[0]!.fields).toMatchObject({ seconds: 60 });
  // What went round was lost at the port that is shut, and the hosts hear each other once.
  expect(cables.run(500)).toBe(0);
  // The other hub, too, has forgotten whom it saw behind the cables: those hold a MAC for 13 s (hub.md 2.7 e).
  pass(2_500);
  hosts.forEach((host) => host.take());
  hosts[0].send(hello());
  cables.run(100);
  expect(hosts[1].take()).toHaveLength(1);
  const shut = blocked()[0]!;
  expect(shut.counters.record().drops.loop_blocked).toBeGreaterThan(0);
});

test("LoopGuard keeps a port shut while its loop stands, and opens it a minute after the loop was removed", () => {
  const { pass, blocked, cables, a, b } = twice();
  pass(200_000);
  expect(blocked().length).toBeGreaterThan(0);
  cables.cut("one");
  pass(55_000);
  expect(blocked().length).toBeGreaterThan(0);
  pass(8_000);
  expect(blocked()).toEqual([]);
  expect([...a.events("loop_over"), ...b.events("loop_over")].length).toBeGreaterThan(0);
  pass(120_000);
  expect(blocked()).toEqual([]);
});

test("LoopGuard opens a port 5 s after the one at the other end of the loop has left", () => {
  const { pass, blocked, first, hosts, cables } = twice();
  pass(10_000);
  expect(blocked().length).toBeGreaterThan(0);
  first.at.forEach((port) => port.detach());
  pass(8_000);
  expect(blocked()).toEqual([]);
  hosts.forEach((host) => host.take());
  hosts[0].send(hello());
  cables.run(100);
  expect(hosts[1].take()).toHaveLength(1);
});

test("LoopGuard with loop-probe switched off sends no probe, and opens what was shut", () => {
  const { pass, blocked, a, b, cables, clock } = twice();
  pass(10_000);
  expect(blocked().length).toBeGreaterThan(0);
  const settings = { ...DEFAULT_HUB_SETTINGS, compat: new Set<CompatName>(["loop-probe"]) };
  a.hub.reconfigure(settings);
  b.hub.reconfigure(settings);
  expect(blocked()).toEqual([]);
  cables.run(10);
  clock.advance(10_000);
  expect(cables.run(10)).toBe(0);
  expect(clock.pending).toBe(0);
});

test("LoopGuard probes local bridges, cascades, L3 interfaces and bridge sessions every 2 s, nobody else", () => {
  const clock = new ManualClock();
  const { plug } = makeHub(clock, "H");
  const probed = (["local-bridge", "cascade", "l3", "bridge"] as const).map((kind) =>
    plug(kind, kind),
  );
  const others = (["client", "monitor", "secure-nat"] as const).map((kind) => plug(kind, kind));
  clock.advance(20_000);
  for (const port of probed) {
    const probes = port.take().filter(isProbe);
    expect(probes.length).toBeGreaterThanOrEqual(9);
    expect(probes.length).toBeLessThanOrEqual(11);
    expect(new Set(probes.map(String)).size).toBe(probes.length);
  }
  for (const port of others) expect(port.take().filter(isProbe)).toHaveLength(0);
});

test("LoopGuard costs no timer with fewer than two such ports", () => {
  const clock = new ManualClock();
  const { plug } = makeHub(clock, "H");
  plug("client", "a");
  plug("client", "b");
  const bridge = plug("bridge", "c");
  expect(clock.pending).toBe(0);
  plug("cascade", "d");
  expect(clock.pending).toBe(1);
  expect(clock.untilNext).toBeLessThanOrEqual(2_000);
  bridge.at.detach();
  expect(clock.pending).toBe(0);
});

test("LoopGuard spreads the probes of many ports over the round, two seconds for each", () => {
  const clock = new ManualClock();
  const { plug } = makeHub(clock, "H");
  const ports = Array.from({ length: 500 }, (_, n) => plug("bridge", `p${n}`));
  let most = 0;
  for (let t = 0; t < 22_000; t += 100) {
    const before = ports.reduce((sum, port) => sum + port.frames.length, 0);
    clock.advance(100);
    most = Math.max(most, ports.reduce((sum, port) => sum + port.frames.length, 0) - before);
  }
  expect(most).toBeLessThanOrEqual(64);
  for (const port of ports) {
    expect(port.frames.length).toBeGreaterThanOrEqual(9);
    expect(port.frames.length).toBeLessThanOrEqual(11);
  }
});

test("LoopGuard never floods a probe of its own, and floods those of others", () => {
  const clock = new ManualClock();
  const mine = makeHub(clock, "MINE");
  const [a, b, listener] = [
    mine.plug("bridge", "a"),
    mine.plug("bridge", "b"),
    mine.plug("client", "c"),
  ];
  const other = makeHub(clock, "OTHERS");
  const [theirs] = [other.plug("bridge", "x"), other.plug("bridge", "y")];
  clock.advance(2_000);
  const [probe] = a.take();
  b.send(probe!);
  expect(listener.take()).toEqual([]);
  expect(mine.events("loop_found")).toHaveLength(1);
  a.send(theirs.take()[0]!);
  expect(listener.take()).toHaveLength(1);
  expect(mine.events("loop_found")).toHaveLength(1);
});

test("LoopGuard shuts a port whose probe comes back to itself", () => {
  const clock = new ManualClock();
  const { hub, plug, events } = makeHub(clock, "H");
  const [a, b] = [plug("local-bridge", "a"), plug("cascade", "b")];
  clock.advance(2_000);
  a.send(a.take()[0]!);
  expect(hub.blockOf(a.at)).toMatchObject({ other: "a" });
  expect(hub.blockOf(b.at)).toBeUndefined();
  expect(events("loop_found")[0]!.fields).toMatchObject({ port: "a", other: "a" });
});

test("LoopGuard shuts a client rather than the network that it is joined to", () => {
  const clock = new ManualClock();
  const { hub, plug } = makeHub(clock, "H");
  const client = plug("client", "client");
  const [bridge] = [plug("bridge", "bridge"), plug("bridge", "other")];
  clock.advance(2_000);
  client.send(bridge.take()[0]!);
  expect(hub.blockOf(client.at)).toMatchObject({ other: "bridge" });
  expect(hub.blockOf(bridge.at)).toBeUndefined();
});

test("LoopGuard is not deceived by forged, foreign or old probes", () => {
  const clock = new ManualClock();
  const { hub, plug, events } = makeHub(clock, "H");
  const [a, b] = [plug("bridge", "a"), plug("bridge", "b")];
  clock.advance(2_000);
  const [old] = a.take();
  for (let at = 14; at < 42; at += 1) {
    const forged = old!.slice();
    forged[at]! ^= 0x40;
    b.send(forged);
  }
  for (let end = 14; end < 42; end += 1) b.send(old!.slice(0, end));
  clock.advance(8_000);
  b.send(old!);
  expect(events("loop_found")).toHaveLength(0);
  expect(hub.blockOf(b.at)).toBeUndefined();
  expect(b.at.counters.record().drops).toEqual({ mac_spoof: 28 + 28 + 1 });
});

test("LoopGuard finds its probe in a VLAN, too, and whatever the port's policy stops", () => {
  const clock = new ManualClock();
  const { hub, plug } = makeHub(clock, "H");
  const [a, b] = [plug("bridge", "a"), plug("bridge", "b")];
  b.at.reconfigure({ ...DEFAULT_POLICY, filter_non_ip: true, vlan_id: 7 });
  clock.advance(2_000);
  b.send(a.take()[0]!);
  expect(hub.blockOf(b.at)).toBeDefined();
});

test("LoopGuard forgets what is behind a port when a hub there has shut one of its own, once a second", () => {
  const clock = new ManualClock();
  const { hub, plug, events } = makeHub(clock, "H");
  const port = plug("cascade", "link");
  const probe = (changes: number) => {
    const bytes = frame({ to: BROADCAST, from: mac(2), type: PROBE_TYPE, size: 60 });
    bytes.set([0x00, 0xae], 6);
    new DataView(bytes.buffer, bytes.byteOffset).setUint16(42, changes);
    return bytes;
  };
  const learns = (changes: number) => {
    port.send(hello());
    port.send(probe(changes));
    return hub.macTable().some(({ mac: known }) => known === mac(1));
  };
  expect([learns(3), learns(3), learns(4)]).toEqual([true, true, false]);
  expect(learns(5)).toBe(true);
  clock.advance(1_000);
  expect([learns(5), learns(6)]).toEqual([true, false]);
  // Its station goes from port to port with its probes, which is no news.
  const other = plug("cascade", "other");
  other.send(probe(6));
  port.send(probe(6));
  expect(events("mac_moved")).toHaveLength(0);
});

test("LoopGuard forgets what was behind the port that it shuts", () => {
  const clock = new ManualClock();
  const { hub, plug } = makeHub(clock, "H");
  const [a, b] = [plug("bridge", "a"), plug("bridge", "b")];
  b.send(hello());
  expect(hub.macTable()).toHaveLength(1);
  clock.advance(2_000);
  b.send(a.take().find(isProbe)!);
  expect(hub.macTable()).toHaveLength(0);
  b.send(hello());
  expect(hub.macTable()).toHaveLength(0);
  expect(a.take().filter((bytes) => !isProbe(bytes))).toHaveLength(0);
});
