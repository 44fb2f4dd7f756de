// Who asks hosts whether they are still there, so that the IP table keeps those that are silent (hub.md 2.4).
import type { Clock, Timer } from "../base/clock.ts";
import { IP_AGE_MS } from "../base/limits.ts";
import type { IpCursor, IpTable } from "./ip-table.ts";

/* Specification constants: hub.md 2.4. */
const ROUND_MS = 5_000;
const PAUSE_MS = 100;
/** Shares of a round: fifty wake a process ten times a second at most, however many hosts there are. */
const MAX_PARTS = 50;

/** Goes round the IP table while there is something in it: an empty one costs no timer. */
export class Poller {
  readonly #clock: Clock;
  readonly #table: Pick<IpTable, "size" | "forEachLive">;
  readonly #poll: (entry: IpCursor, now: number) => void;
  readonly #partOver: () => void;
  #isOn = false;
  #timer: Timer | undefined;
  #part = 0;
  #parts = 1;

  /** @param partOver called when the hosts of one share have been asked */
  constructor(
    deps: { readonly clock: Clock; readonly table: Pick<IpTable, "size" | "forEachLive"> },
    poll: (entry: IpCursor, now: number) => void,
    partOver: () => void,
  ) {
    this.#clock = deps.clock;
    this.#table = deps.table;
    this.#poll = poll;
    this.#partOver = partOver;
  }

  switch(isOn: boolean): void {
    this.#isOn = isOn;
    if (!isOn) this.#sleep();
    else if (this.#table.size > 0) this.wake();
  }

  /** Something has come into the table. */
  wake(): void {
    if (!this.#isOn || this.#timer !== undefined) return;
    // Whoever came first was heard just now.
    this.#begin(ROUND_MS);
  }

  close(): void {
    this.switch(false);
  }

  #begin(inMs: number): void {
    this.#part = 0;
    this.#parts = Math.min(Math.max(this.#table.size, 1), MAX_PARTS);
    this.#timer = this.#clock.after(inMs, () => this.#next());
  }

  #next(): void {
    const now = this.#clock.now();
    const visit = (entry: IpCursor) => {
      if (now - entry.updated <= IP_AGE_MS) this.#poll(entry, now);
    };
    this.#table.forEachLive(now, visit, this.#part, this.#parts);
    this.#partOver();
    // What it has sent may have had the poller switched off.
    if (!this.#isOn) return;
    this.#part += 1;
    const stepMs = ROUND_MS / this.#parts;
    if (this.#part < this.#parts) this.#timer = this.#clock.after(stepMs, () => this.#next());
    else if (this.#table.size > 0) this.#begin(stepMs + PAUSE_MS);
    else this.#sleep();
  }

  #sleep(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
