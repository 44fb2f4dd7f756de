// Program of allocation.test.ts: forwards many frames between two marks on standard error, where the runtime
// tells of its collections as well.
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { Hub } from "../../src/hub/hub.ts";
import type { FrameRun, FrameSink, Port } from "../../src/hub/port.ts";
import { frame, ipv4, ipv6, lan, mac, BROADCAST } from "../hub/frames.ts";
import { runOf } from "../support/array-port.ts";

const RUNS = 400_000;
const WARM_UP_RUNS = 40_000;
/** Given "leaky", the ports make one small object per run: what the test must be able to see. */
const isLeaky = process.argv[2] === "leaky";

class CountingPort implements Port {
  readonly name = "port";
  readonly ready = true;
  onReady: (() => void) | undefined = undefined;
  into: FrameSink | undefined;
  frames = 0;
  last: object | undefined;

  plug(into: FrameSink): void {
    this.into = into;
  }

  deliver(run: FrameRun): void {
    this.frames += run.count;
    if (isLeaky) this.last = { count: this.frames };
  }

  flush(): void {}

  close(): void {}
}

let now = 0;
const timer = { cancel() {} };
const never = () => timer;
const clock = { now: () => now, wall: () => now, after: never, every: never };
const log = { debug() {}, info() {}, warn() {}, error() {} };
const hub = new Hub({ name: "H", clock, log });
const policy = { ...DEFAULT_POLICY, no_bridge: true, no_routing: true, no_routing_v6: true };
const ports = Array.from({ length: 4 }, () => {
  const port = new CountingPort();
  hub.attach(port, { kind: "client", user: "u", policy });
  return port;
});
const runs = ports.map((_, i) => {
  const from = mac(i + 1);
  const to = mac(((i + 1) % 4) + 1);
  const mixed = [to, to, BROADCAST, mac(77), from, to].flatMap((dst, n) => [
    ipv4({ to: dst, from, ip: lan(10 * i + (n % 4)) }),
    ipv6({ to: dst, from, ip: [0xfe80, 0, 0, 0, 0, 0, i, n], tags: [n] }),
    // Refused: one MAC, one address too many, no frame at all.
    frame({ to, from: mac(100 + n) }),
    ipv4({ to: dst, from, ip: lan(100 + n) }),
    frame({ to, from }).subarray(0, 12),
  ]);
  return runOf(mixed);
});

function round(count: number): void {
  for (let i = 0; i < count; i += 1) {
    now += 0.5;
    const { into } = ports[i % 4]!;
    into!.deliver(runs[i % 4]!);
    into!.flush();
  }
}

round(WARM_UP_RUNS);
Bun.gc(true);
process.stderr.write("MARK\n");
round(RUNS);
process.stderr.write("MARK\n");
process.stdout.write(String(ports.reduce((sum, port) => sum + port.frames, 0)));
