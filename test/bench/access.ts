// What an access list costs: `npm run bench -- access [WORD]` prints nanoseconds a frame through a hub, and how many of
// them are the list's. One connection: all frames of one flow. Interleaved: 1,000 flows in turn. Random: no two frames
// have the same addresses and ports, so nothing that was found out before is of use. In all of them the last rule is
// the one that matches. WORD picks lists by name.
import { systemClock } from "../../src/base/clock.ts";
import { tryParseNet } from "../../src/base/ip.ts";
import type { AccessRule } from "../../src/config/access-rule.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { Hub } from "../../src/hub/hub.ts";
import { DEFAULT_HUB_SETTINGS } from "../../src/hub/hub-settings.ts";
import { emptyRun, type FrameRun, type FrameSink, type Port } from "../../src/hub/port.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { bytesOf, FRAME, FRAME6, type Made } from "../hub/access/reference.ts";

const RUN_FRAMES = 250;
const RUNS = 40;
const FLOWS = 1000;
const SECONDS = 0.8;
const DATA = new Uint8Array(1400);

/** Takes frames and does nothing with them: what is left is the switch. */
class CountingPort implements Port {
  readonly name: string;
  readonly ready = true;
  onReady: (() => void) | undefined = undefined;
  into: FrameSink | undefined;
  received = 0;

  constructor(name: string) {
    this.name = name;
  }

  plug(into: FrameSink): void {
    this.into = into;
  }

  deliver(run: FrameRun): void {
    this.received += run.count;
  }

  flush(): void {}
  close(): void {}
}

function rule(parts: Partial<AccessRule>): AccessRule {
  return {
    action: "drop",
    note: "",
    enable: true,
    priority: 100,
    family: 4,
    from: undefined,
    to: undefined,
    fromUser: undefined,
    toUser: undefined,
    fromMac: undefined,
    toMac: undefined,
    proto: undefined,
    fromPort: undefined,
    toPort: undefined,
    tcpState: undefined,
    delayMs: 0,
    jitterPercent: 0,
    lossPercent: 0,
    redirect: undefined,
    ...parts,
  };
}

const net = (text: string) => tryParseNet(text)!;
const octets = (n: number) => `${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`;
const last = (family: 4 | 6) => rule({ action: "pass", family });

interface List {
  readonly name: string;
  readonly family?: 4 | 6;
  /** Rule number `n` of those that do not match. */
  readonly make: (n: number) => AccessRule;
}

/** What companies write: hosts and networks, ports of services, users, now and then a state. */
function mixed(n: number): AccessRule {
  const to = net(`172.${octets(n * 7 + 0x100000)}${n % 3 === 0 ? "/24" : ""}`);
  switch (n % 6) {
    case 0:
      return rule({ to });
    case 1:
      return rule({ to, proto: 6, toPort: { first: 20 + n, last: 25 + n } });
    case 2:
      return rule({ from: net(`192.168.${(n >> 8) & 255}.${n & 255}`), to });
    case 3:
      return rule({ to, proto: 6, tcpState: "unestablished" });
    case 4:
      return rule({ fromUser: { kind: "name", name: `user${n % 100}` }, to });
    default:
      return rule({
        from: net(`172.${octets(n * 5)}`),
        proto: 17,
        toPort: { first: 53, last: 53 },
      });
  }
}

const LISTS: readonly List[] = [
  { name: "mixed", make: mixed },
  { name: "hosts", make: (n) => rule({ to: net(`172.${octets(n)}`) }) },
  {
    name: "IPv6 networks",
    family: 6,
    make: (n) => rule({ family: 6, to: net(`2001:db9:${(n >> 4).toString(16)}:${n & 15}::/64`) }),
  },
  {
    // Ranges that all hold each other part nothing: each rule is looked at.
    name: "nested",
    make: (n) =>
      rule({
        proto: 6,
        fromPort: { first: 1 + (n & 255), last: 32_000 - (n & 255) },
        toPort: { first: 1 + (n >> 8), last: 32_000 - (n >> 8) },
      }),
  },
];

function runOf(frames: readonly Uint8Array[]): FrameRun {
  const run = emptyRun(new Uint8Array(frames.reduce((sum, { length }) => sum + 4 + length, 0)));
  for (const frame of frames) {
    run.view.setUint32(run.end, frame.length);
    run.bytes.set(frame, run.end + 4);
    run.end += 4 + frame.length;
    run.count += 1;
  }
  return run;
}

function runsOf(made: (n: number) => Made): readonly FrameRun[] {
  return Array.from({ length: RUNS }, (_, r) =>
    runOf(Array.from({ length: RUN_FRAMES }, (_, i) => bytesOf(made(r * RUN_FRAMES + i), DATA))),
  );
}

/** Gives every frame ports that it did not have before. */
function stir(run: FrameRun, random: { below(bound: number): number }, portsAt: number): void {
  for (let at = run.start; at < run.end; at += 4 + run.view.getUint32(at))
    run.view.setUint32(
      at + 4 + portsAt,
      (33_000 + random.below(32_000)) * 65_536 + 33_000 + random.below(32_000),
    );
}

function measure(list: List, count: number, flows: "one" | "some" | "random"): number {
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const rules = Array.from({ length: Math.max(0, count - 1) }, (_, n) => list.make(n));
  const access = count === 0 ? [] : [...rules, last(list.family ?? 4)];
  const hub = new Hub({
    name: "BENCH",
    clock: systemClock,
    log,
    settings: { ...DEFAULT_HUB_SETTINGS, access },
  });
  const [from, to] = ["from", "to"].map((name) => {
    const port = new CountingPort(name);
    hub.attach(port, { kind: "bridge", user: name, policy: DEFAULT_POLICY });
    return port;
  });
  const base = list.family === 6 ? FRAME6 : FRAME;
  const flow = (n: number): Made => ({ ...base, fromPort: 33_000 + n, toPort: 40_000 });
  to!.into!.deliver(
    runOf([
      bytesOf({ ...base, fromMac: base.toMac, toMac: base.fromMac, from: base.to, to: base.from }),
    ]),
  );
  const runs = runsOf((n) => flow(flows === "one" ? 0 : n % FLOWS));
  const random = seededRandom(count);
  const portsAt = list.family === 6 ? 54 : 34;
  // Of each run the best time of many: what others do on the machine only adds.
  const best = runs.map(() => Infinity);
  const begin = systemClock.now();
  while (systemClock.now() - begin < SECONDS * 1000) {
    for (const [at, run] of runs.entries()) {
      if (flows === "random") stir(run, random, portsAt);
      const before = systemClock.now();
      from!.into!.deliver(run);
      from!.into!.flush();
      best[at] = Math.min(best[at]!, systemClock.now() - before);
    }
  }
  const { drops } = hub.totals();
  if (Object.keys(drops).length > 0) throw new Error(`Frames were lost: ${JSON.stringify(drops)}`);
  hub.close();
  return (best.reduce((sum, ms) => sum + ms, 0) * 1e6) / (RUNS * RUN_FRAMES);
}

/** Less than nothing is noise of the machine. */
function added(ns: number): string {
  return ns < 0.5 ? "none" : `+${ns.toFixed(0)}`;
}

const word = process.argv[2] ?? "";
const COUNTS = [100, 1000, 32_768];
const KINDS = ["one", "some", "random"] as const;
console.log(
  "Nanoseconds a frame takes through the hub, and how many of them are the access list's",
);
console.log(
  "".padEnd(26) +
    ["one flow", "1,000 flows", "new flows"].map((kind) => kind.padStart(17)).join(""),
);
for (const list of LISTS.filter(({ name }) => name.includes(word))) {
  const none = KINDS.map((flows) => measure(list, 0, flows));
  const show = (name: string, values: readonly number[]) =>
    console.log(
      name.padEnd(26) +
        values.map((ns, i) => `${ns.toFixed(0)} (${added(ns - none[i]!)})`.padStart(17)).join(""),
    );
  show(`${list.name}: no rules`, none);
  for (const count of COUNTS)
    show(
      `${list.name}: ${count}`,
      KINDS.map((flows) => measure(list, count, flows)),
    );
}
