import type { Clock } from "../base/clock.ts";
import type { Log, LogFields } from "../observe/log.ts";
import type { FlowLog } from "./flow.ts";

const INTERVAL_MS = 60_000;

/** Warnings that guests can bring about as often as they like: one a while of each kind, with how many were left out. */
export class WarningGate implements FlowLog {
  readonly #hub: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #intervalMs: number;
  readonly #kinds = new Map<string, { at: number; leftOut: number }>();

  constructor(
    hub: string,
    deps: { readonly clock: Clock; readonly log: Log },
    intervalMs = INTERVAL_MS,
  ) {
    this.#hub = hub;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#intervalMs = intervalMs;
  }

  warn(event: string, text: string, fields: LogFields = {}): void {
    const now = this.#clock.now();
    const known = this.#kinds.get(event);
    if (known !== undefined && now - known.at < this.#intervalMs) {
      known.leftOut += 1;
      return;
    }
    const suppressed = known?.leftOut || undefined;
    this.#kinds.set(event, { at: now, leftOut: 0 });
    this.#log.warn(event, text, { hub: this.#hub, ...fields, suppressed });
  }
}
