import type { Clock, Timer } from "../../src/base/clock.ts";

interface Entry {
  at: number;
  readonly order: number;
  readonly everyMs: number | undefined;
  readonly run: () => void;
}

/** A clock that stands still until it is moved; timers run in the order of their time. */
export class ManualClock implements Clock {
  readonly #entries = new Set<Entry>();
  readonly #epoch: number;
  #now = 0;
  #order = 0;

  constructor(epoch = Date.UTC(2026, 10, 22)) {
    this.#epoch = epoch;
  }

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#epoch + this.#now;
  }

  after(ms: number, run: () => void): Timer {
    return this.#add(ms, undefined, run);
  }

  every(ms: number, run: () => void): Timer {
    return this.#add(ms, ms, run);
  }

  /** Timers that nobody cancelled and that have not run. */
  get pending(): number {
    return this.#entries.size;
  }

  /** Milliseconds until the next timer; undefined without one. */
  get untilNext(): number | undefined {
    const next = this.#next();
    return next === undefined ? undefined : next.at - this.#now;
  }

  advance(ms: number): void {
    const until = this.#now + ms;
    for (let next = this.#next(); next !== undefined && next.at <= until; next = this.#next()) {
      this.#now = Math.max(this.#now, next.at);
      if (next.everyMs === undefined) this.#entries.delete(next);
      else next.at += next.everyMs;
      next.run();
    }
    this.#now = until;
  }

  #add(ms: number, everyMs: number | undefined, run: () => void): Timer {
    // What the runtime's timers cannot wait for would run at once there.
    if (!(ms >= 0 && ms < 2 ** 31)) throw new RangeError(`Cannot wait ${ms} ms`);
    if (everyMs === 0) throw new RangeError("Cannot repeat every 0 ms");
    const entry: Entry = { at: this.#now + ms, order: this.#order++, everyMs, run };
    this.#entries.add(entry);
    return { cancel: () => void this.#entries.delete(entry) };
  }

  #next(): Entry | undefined {
    let next: Entry | undefined;
    for (const entry of this.#entries) {
      if (
        next === undefined ||
        entry.at < next.at ||
        (entry.at === next.at && entry.order < next.order)
      ) {
        next = entry;
      }
    }
    return next;
  }
}
