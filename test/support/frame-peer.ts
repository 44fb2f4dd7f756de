// Run in a namespace by exchange(): opens a session for each user of one hub, lets them send frames in rounds, and
// prints what each got. `frame-peer.ts PLAN`, a file with a FramePlan; one JSON line, a FrameReport.
import { existsSync, readFileSync } from "node:fs";
import { systemClock } from "../../src/base/clock.ts";
import { systemRandom } from "../../src/base/random.ts";
import { DEFAULT_WISHES } from "../../src/config/client-config.ts";
import { dial } from "../../src/session/dial.ts";
import type { DialedSession } from "../../src/session/dial-target.ts";
import { Heartbeat } from "../../src/session/heartbeat.ts";
import { framesOf, runOf } from "./array-port.ts";
import type { FramePlan, FrameReport } from "./frame-exchange.ts";
import { until } from "./process.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
/** What comes this much later than everything that was expected is not looked at any more. */
const SETTLE_MS = 250;
const ROUND_MS = 8_000;

const plan = JSON.parse(readFileSync(process.argv[2]!, "utf8")) as FramePlan;
const heartbeat = new Heartbeat(systemClock);
const sessions = new Map<string, DialedSession>();
let got: Record<string, string[]> = {};
let arrived = 0;

for (const user of plan.users) {
  const dialed = await dial(
    {
      host: plan.host,
      port: plan.port,
      hub: plan.hub,
      user,
      credential: {
        kind: plan.plain?.includes(user) ? "plain-password" : "password",
        password: new TextEncoder().encode(plan.password),
      },
      mode: plan.clients?.includes(user) ? "client" : "bridge",
      family: "any",
      clientName: "Frame peer",
      proxy: undefined,
      wishes: { ...DEFAULT_WISHES, qos: false, udp: false },
      installation: systemRandom.bytes(16),
      verify: () => true,
    },
    {
      clock: systemClock,
      random: systemRandom,
      log: silent,
      heartbeat,
      signal: new AbortController().signal,
    },
  );
  sessions.set(user, dialed);
  dialed.session.plug({
    deliver(run) {
      for (const frame of framesOf(run)) {
        const hex = frame.toHex();
        // Servers send frames of their own: polls, probes.
        if (!plan.stations.includes(hex.slice(12, 24))) continue;
        (got[user] ??= []).push(hex);
        arrived += 1;
      }
    },
    flush() {},
    ready: true,
    onReady: undefined,
  });
  dialed.begin();
}

const [first, ...others] = plan.users;
const { hello } = plan;
if (hello !== undefined) {
  await until(
    "all ports to be there",
    () => {
      const { session } = sessions.get(first!)!;
      session.deliver(runOf([Uint8Array.fromHex(hello)]));
      session.flush();
      return others.every((user) => got[user]?.includes(hello));
    },
    { everyMs: 100, deadlineMs: ROUND_MS },
  );
  await Bun.sleep(SETTLE_MS);
}

const report: FrameReport = { rounds: [] };
for (const { from, frames, expected } of plan.rounds) {
  got = {};
  arrived = 0;
  const { session } = sessions.get(from)!;
  // One after the other, as a station would: a run may be judged as one.
  for (const hex of frames) {
    session.deliver(runOf([Uint8Array.fromHex(hex)]));
    session.flush();
  }
  await until("what was expected", () => arrived >= expected, {
    everyMs: 5,
    deadlineMs: ROUND_MS,
  }).catch(() => undefined);
  await Bun.sleep(SETTLE_MS);
  report.rounds.push(got);
}
console.log(JSON.stringify(report));
const { stayUntil } = plan;
if (stayUntil !== undefined)
  await until("the end of the look", () => existsSync(stayUntil), { deadlineMs: 30_000 });
for (const { session } of sessions.values()) session.close({ code: "done" });
process.exit(0);
