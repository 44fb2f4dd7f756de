import type { Clock } from "../../src/base/clock.ts";
import { DEFAULT_POLICY, type Policy } from "../../src/config/policy.ts";
import { Hub } from "../../src/hub/hub.ts";
import type { HubPort } from "../../src/hub/hub-port.ts";
import type { PortKind } from "../../src/hub/port-identity.ts";
import type { Log, LogFields } from "../../src/observe/log.ts";
import { ArrayPort } from "../support/array-port.ts";
import { seededRandom } from "../support/seeded-random.ts";

export const CLIENT_MODE: Partial<Policy> = {
  no_bridge: true,
  no_routing: true,
  no_routing_v6: true,
};

export interface LogLine {
  readonly level: keyof Log;
  readonly event: string;
  readonly fields: LogFields | undefined;
}

export interface Plugged extends ArrayPort {
  readonly at: HubPort;
}

/** A hub on a clock that stands still until it is moved, with a log that is kept. */
export class World {
  now = 1_000_000;
  readonly lines: LogLine[] = [];
  readonly hub: Hub;

  constructor(
    options: Pick<ConstructorParameters<typeof Hub>[0], "isLocalMac" | "queuedBytes"> = {},
  ) {
    const put = (level: keyof Log) => (event: string, _text: string, fields?: LogFields) =>
      void this.lines.push({ level, event, fields });
    this.hub = new Hub({
      name: "TEST",
      clock: standingClock(() => this.now),
      log: { debug: put("debug"), info: put("info"), warn: put("warn"), error: put("error") },
      random: seededRandom(1),
      isLocalMac: () => false,
      ...options,
    });
  }

  /** Without the broadcast limiter, unless the policy says otherwise: tests send more than a LAN does. */
  attach(kind: PortKind = "bridge", policy: Partial<Policy> = {}, name?: string): Plugged {
    const port = new ArrayPort(name ?? `${kind}-${this.hub.ports.length}`);
    const at = this.hub.attach(port, {
      kind,
      user: "test",
      policy: { ...DEFAULT_POLICY, no_broadcast_limiter: true, ...policy },
    });
    return Object.assign(port, { at });
  }

  macCount(port: Plugged): number {
    return this.hub.macTable().filter((entry) => entry.port === port.at).length;
  }

  events(event: string): LogLine[] {
    return this.lines.filter((line) => line.event === event);
  }

  drops(port: Plugged) {
    return port.at.counters.record().drops;
  }
}

/** Timers on it do not run: what goes on by itself is tested on a ManualClock. */
function standingClock(now: () => number): Clock {
  const never = () => ({ cancel() {} });
  return { now, wall: now, after: never, every: never };
}
