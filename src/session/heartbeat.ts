import { trimPacketMemory } from "../platform/packet-memory.ts";
import type { Clock, Timer } from "../base/clock.ts";

/** Granularity of keep-alives and time-outs, all of which are seconds, in milliseconds. */
export const BEAT_MS = 1_000;
/** Beats between two looks at packet memory that a burst left behind. */
const TRIM_BEATS = 10;

/** Something that looks after its own deadlines when told the time. */
export interface Beating {
  beat(now: number): void;
}

/** One timer for the deadlines of all sessions; with no session there is no timer. */
export class Heartbeat {
  readonly #members = new Set<Beating>();
  readonly #clock: Clock;
  #timer: Timer | undefined;
  #beats = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(member: Beating): void {
    this.#members.add(member);
    this.#timer ??= this.#clock.every(BEAT_MS, () => {
      const now = this.#clock.now();
      for (const one of this.#members) one.beat(now);
      if (++this.#beats % TRIM_BEATS === 0) trimPacketMemory();
    });
  }

  remove(member: Beating): void {
    this.#members.delete(member);
    if (this.#members.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    // Twice: the first time only what was not needed of late goes.
    trimPacketMemory();
    trimPacketMemory();
  }
}
