import type { Clock } from "../../base/clock.ts";
import type { Log, LogFields } from "../../observe/log.ts";

const INTERVAL_MS = 600_000;

/** Warnings that a guest can bring about as often as he likes: the first of each kind, then one in ten minutes. */
export class RareWarnings {
  readonly #deps: { readonly clock: Clock; readonly log: Log; readonly hub: string };
  readonly #kinds = new Map<string, { toldAt: number; held: number }>();

  constructor(deps: { readonly clock: Clock; readonly log: Log; readonly hub: string }) {
    this.#deps = deps;
  }

  warn(event: string, text: string, fields: LogFields = {}): void {
    const { clock, hub, log } = this.#deps;
    const now = clock.now();
    const kind = this.#kinds.get(event);
    if (kind !== undefined && now - kind.toldAt < INTERVAL_MS) {
      kind.held += 1;
      return;
    }
    const more = kind === undefined || kind.held === 0 ? {} : { untold: kind.held };
    this.#kinds.set(event, { toldAt: now, held: 0 });
    log.warn(event, text, { hub, ...fields, ...more });
  }
}
