// In-process figures of the switch: `bun test/bench/hub.ts [WORD]` prints frames a second and nanoseconds a
// frame for LD-01, LD-02 (robustness.md 6) and variations; WORD picks scenarios by name. Ports copy what they
// get, as a session's batch does, unless the name says otherwise. That nothing is allocated is tested in
// test/network/allocation.test.ts.
import { systemClock } from "../../src/base/clock.ts";
import { type MacAddress, writeMac } from "../../src/base/mac.ts";
import { DEFAULT_POLICY, type Policy } from "../../src/config/policy.ts";
import { Hub } from "../../src/hub/hub.ts";
import { emptyRun, type FrameRun, type FrameSink, type Port } from "../../src/hub/port.ts";

const PORTS = 64;
const RUN_FRAMES = 300;
const SECONDS = 0.5;
const BATCH_BYTES = 65_536;
const CLIENT_MODE = { no_bridge: true, no_routing: true, no_routing_v6: true };

/** Copies runs into a batch that starts afresh at each flush. */
class CopyingPort implements Port {
  readonly name: string;
  readonly ready = true;
  onReady: (() => void) | undefined = undefined;
  into: FrameSink | undefined;
  received = 0;
  private readonly batch = new Uint8Array(BATCH_BYTES);
  private fill = 0;

  constructor(name: string) {
    this.name = name;
  }

  plug(into: FrameSink): void {
    this.into = into;
  }

  deliver(run: FrameRun): void {
    const length = run.end - run.start;
    if (this.fill + length > BATCH_BYTES) this.fill = 0;
    this.batch.set(run.bytes.subarray(run.start, run.end), this.fill);
    this.fill += length;
    this.received += run.count;
  }

  flush(): void {
    this.fill = 0;
  }

  close(): void {}
}

/** Like CopyingPort without the copy: what is left is the switch itself. */
class CountingPort extends CopyingPort {
  override deliver(run: FrameRun): void {
    this.received += run.count;
  }
}

interface Scenario {
  readonly name: string;
  readonly size: number;
  readonly policy?: Partial<Policy>;
  readonly copies?: boolean;
  /** MACs that a local bridge brings along, to fill the database. */
  readonly others?: number;
  /** Index of the destination of frame `i` of the run of port `from`; -1 is broadcast. */
  readonly to: (from: number, i: number) => number;
  readonly framesPerRun?: number;
}

const next = (from: number) => (from + 1) % PORTS;
const SCENARIOS: readonly Scenario[] = [
  { name: "LD-01 unicast, client mode", size: 1500, policy: CLIENT_MODE, copies: true, to: next },
  {
    name: "LD-02 the same, FDB full",
    size: 1500,
    policy: CLIENT_MODE,
    copies: true,
    others: 65_536,
    to: next,
  },
  { name: "bridge mode", size: 1500, copies: true, to: next },
  { name: "client mode, no copy", size: 1500, policy: CLIENT_MODE, to: next },
  { name: "bridge mode, no copy", size: 1500, to: next },
  {
    name: "client mode, another port each frame",
    size: 1500,
    policy: CLIENT_MODE,
    copies: true,
    to: (from, i) => (from + 1 + (i % (PORTS - 1))) % PORTS,
  },
  { name: "client mode, 64 B", size: 64, policy: CLIENT_MODE, copies: true, to: next },
  {
    name: "client mode, runs of one",
    size: 1500,
    policy: CLIENT_MODE,
    copies: true,
    to: next,
    framesPerRun: 1,
  },
  { name: "runs of one, no copy", size: 1500, policy: CLIENT_MODE, to: next, framesPerRun: 1 },
  {
    name: "another port each frame, no copy",
    size: 1500,
    policy: CLIENT_MODE,
    to: (from, i) => (from + 1 + (i % (PORTS - 1))) % PORTS,
  },
  {
    name: "broadcast to 63 ports",
    size: 1500,
    policy: { ...CLIENT_MODE, no_broadcast_limiter: true },
    copies: true,
    to: () => -1,
  },
];

function macOf(port: number): MacAddress {
  return (0x0200_0000_0000 + port) as MacAddress;
}

function writeFrame(run: FrameRun, to: number, from: MacAddress, ip: number, size: number): void {
  const at = run.end + 4;
  run.view.setUint32(run.end, size);
  writeMac(run.bytes, at, to < 0 ? (0xffff_ffff_ffff as MacAddress) : macOf(to));
  writeMac(run.bytes, at + 6, from);
  run.view.setUint16(at + 12, 0x0800);
  run.view.setUint8(at + 14, 0x45);
  run.view.setUint16(at + 16, size - 14);
  run.view.setUint8(at + 23, 6);
  run.view.setUint32(at + 26, ip);
  run.view.setUint16(at + 24, checksum(run.view, at + 14, at + 34, 0));
  // A segment that acknowledges, with the checksum that a real one has.
  run.view.setUint16(at + 46, 0x5010);
  const pseudo = (ip >>> 16) + (ip & 0xffff) + 6 + (size - 34);
  run.view.setUint16(at + 50, checksum(run.view, at + 34, at + size, pseudo));
  run.end = at + size;
  run.count += 1;
}

/** RFC 1071, of the bytes from..end with the field itself still zero. */
function checksum(view: DataView, from: number, end: number, initial: number): number {
  let sum = initial;
  for (let at = from; at + 1 < end; at += 2) sum += view.getUint16(at);
  if ((end - from) % 2 === 1) sum += view.getUint8(end - 1) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function runFor(scenario: Scenario, from: number): FrameRun {
  const frames = scenario.framesPerRun ?? RUN_FRAMES;
  const run = emptyRun(new Uint8Array(frames * (scenario.size + 4)));
  for (let i = 0; i < frames; i += 1)
    writeFrame(run, scenario.to(from, i), macOf(from), 0xc0a80000 + from, scenario.size);
  return run;
}

function fill(hub: Hub, count: number): void {
  const bridge = new CountingPort("bridge");
  hub.attach(bridge, { kind: "local-bridge", user: "bench", policy: DEFAULT_POLICY });
  const run = emptyRun(new Uint8Array(68));
  for (let i = 0; i < count; i += 1) {
    run.start = run.end = run.count = 0;
    writeFrame(run, 0, (0x0600_0000_0000 + i) as MacAddress, 0, 64);
    bridge.into!.deliver(run);
  }
}

function measure(scenario: Scenario): void {
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const hub = new Hub({ name: "BENCH", clock: systemClock, log });
  const policy = { ...DEFAULT_POLICY, ...scenario.policy };
  const ports = Array.from({ length: PORTS }, (_, i) => {
    const port = scenario.copies ? new CopyingPort(`port-${i}`) : new CountingPort(`port-${i}`);
    hub.attach(port, { kind: "client", user: "bench", policy });
    return port;
  });
  const hello = emptyRun(new Uint8Array(68));
  for (let i = 0; i < PORTS; i += 1) {
    hello.start = hello.end = hello.count = 0;
    writeFrame(hello, -1, macOf(i), 0xc0a80000 + i, 64);
    ports[i]!.into!.deliver(hello);
  }
  fill(hub, (scenario.others ?? PORTS) - PORTS);
  // Eight senders' chunks: more than the L2 cache holds, as when they come from sockets.
  const runs = Array.from({ length: 8 }, (_, i) => runFor(scenario, i));
  const round = () => {
    for (let i = 0; i < runs.length; i += 1) {
      const { into } = ports[i]!;
      into!.deliver(runs[i]!);
      into!.flush();
    }
  };
  const framesPerRound = runs.reduce((sum, run) => sum + run.count, 0);
  const warm = systemClock.now();
  while (systemClock.now() - warm < 300) round();
  Bun.gc(true);
  const start = systemClock.now();
  let rounds = 0;
  while (systemClock.now() - start < SECONDS * 1000) {
    round();
    rounds += 1;
  }
  const seconds = (systemClock.now() - start) / 1000;
  const frames = rounds * framesPerRound;
  const rate = frames / seconds;
  const { drops } = hub.totals();
  console.log(
    `${scenario.name.padEnd(38)} ${(rate / 1e6).toFixed(2).padStart(7)} M frames/s ` +
      `${(1e9 / rate).toFixed(1).padStart(7)} ns  ` +
      (Object.keys(drops).length > 0 ? JSON.stringify(drops) : ""),
  );
  hub.close();
}

const word = process.argv[2] ?? "";
for (const scenario of SCENARIOS) if (scenario.name.includes(word)) measure(scenario);
