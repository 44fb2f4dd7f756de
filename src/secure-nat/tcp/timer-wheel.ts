// A hierarchical timing wheel (Varghese and Lauck 1987, scheme 7): setting and moving a timer costs the same for ten and
// for ten thousand connections. One timer of the clock is armed, for the first slot that holds something, and none when
// nothing is set: what is idle uses no time.
import type { Clock, Timer } from "../../base/clock.ts";

const TICK_MS = 1;
const SLOTS = 64;
const SLOT_BITS = 6;
/** Places are the lower 32 bits of a time, of which the last level has two. */
const LEVELS = 6;
const RANGES = Array.from({ length: LEVELS }, (_, level) => SLOTS ** level);
const LAST_SLOTS = 4;
/** The level by the leading zero bits of what two times differ in: the highest slot number in which they do. */
const LEVEL_OF = Uint8Array.from({ length: 33 }, (_, zeros) =>
  Math.floor(Math.max(31 - zeros, 0) / SLOT_BITS),
);
/** Twenty-four days. What is due later is looked at then. */
const MAX_AHEAD = 2 ** 31 - 1;
/** The clock of the runtime cannot wait longer. */
const MAX_WAIT_MS = 2 ** 31 - 1;

/** A timer that its owner keeps for life and sets as often as it likes. */
export class WheelTimer {
  /** What is run when it is due. */
  readonly run: () => void;
  /** Clock time in ticks; NaN while it is not set. */
  due = NaN;
  slot: WheelTimer[] | undefined;
  /** Where in the slot it stands. */
  index = 0;

  constructor(run: () => void) {
    this.run = run;
  }

  get isSet(): boolean {
    return this.slot !== undefined;
  }
}

export class TimerWheel {
  readonly #clock: Clock;
  readonly #afterTurn: () => void;
  /** Slots of all levels, the finest first. */
  readonly #slots: (WheelTimer[] | undefined)[] = Array.from({ length: LEVELS * SLOTS });
  /** Up to here everything has run, in ticks. */
  #elapsed: number;
  #count = 0;
  #armed: Timer | undefined;
  #armedFor = Infinity;
  #isTurning = false;

  /** @param afterTurn called once after the timers of a moment have run */
  constructor(clock: Clock, afterTurn: () => void = () => undefined) {
    this.#clock = clock;
    this.#afterTurn = afterTurn;
    this.#elapsed = Math.floor(clock.now() / TICK_MS);
  }

  /** Timers that are set. */
  get count(): number {
    return this.#count;
  }

  /** Lets the timer run at `atMs` of the clock, or up to a tick later, and not at the time it was set to before. */
  set(timer: WheelTimer, atMs: number): void {
    this.cancel(timer);
    // With nothing set the wheel may stand anywhere.
    if (this.#count === 0 && !this.#isTurning) this.#elapsed = this.#nowTick();
    timer.due = Math.max(Math.ceil(atMs / TICK_MS), this.#elapsed + 1);
    const slotAt = this.#insert(timer);
    this.#count += 1;
    // Nothing else lies before the slot that the clock waits for.
    if (!this.#isTurning && slotAt < this.#armedFor) this.#armFor(slotAt);
  }

  cancel(timer: WheelTimer): void {
    const slot = timer.slot;
    if (slot === undefined) return;
    const last = slot.pop()!;
    if (last !== timer) {
      slot[timer.index] = last;
      last.index = timer.index;
    }
    timer.slot = undefined;
    this.#count -= 1;
    if (this.#count === 0) this.#disarm();
  }

  /** Forgets every timer. */
  close(): void {
    for (const slot of this.#slots) {
      for (const timer of slot ?? []) timer.slot = undefined;
      if (slot !== undefined) slot.length = 0;
    }
    this.#count = 0;
    this.#disarm();
  }

  #nowTick(): number {
    return Math.floor(this.#clock.now() / TICK_MS);
  }

  /** The level is the first on which the timer's slot lies in the turn that is under way. Gives when the slot begins. */
  #insert(timer: WheelTimer): number {
    const elapsed = this.#elapsed;
    const ahead = Math.min(timer.due - elapsed, MAX_AHEAD);
    const place = elapsed + ahead;
    const level = LEVEL_OF[Math.clz32(place ^ elapsed)]!;
    const shift = level * SLOT_BITS;
    const slot = (this.#slots[level * SLOTS + ((place >>> shift) & (SLOTS - 1))] ??= []);
    timer.slot = slot;
    timer.index = slot.length;
    slot.push(timer);
    const range = RANGES[level]!;
    return level === 0 ? place : Math.floor(place / range) * range;
  }

  /** Index and time of the first slot that holds something. On a finer level it comes before all of coarser ones. */
  #next(): { readonly slot: WheelTimer[]; readonly at: number } | undefined {
    for (let level = 0; level < LEVELS; level += 1) {
      const range = RANGES[level]!;
      const current = Math.floor(this.#elapsed / range);
      const slots = level === LEVELS - 1 ? LAST_SLOTS : SLOTS;
      for (let ahead = 0; ahead < slots; ahead += 1) {
        const slot = this.#slots[level * SLOTS + ((current + ahead) % slots)];
        if (slot !== undefined && slot.length > 0) {
          return { slot, at: Math.max((current + ahead) * range, this.#elapsed) };
        }
      }
    }
    return undefined;
  }

  #armFor(at: number): void {
    this.#disarm();
    this.#armedFor = at;
    const wait = Math.min(Math.max(at * TICK_MS - this.#clock.now(), 0), MAX_WAIT_MS);
    this.#armed = this.#clock.after(wait, this.#turn);
  }

  #disarm(): void {
    this.#armed?.cancel();
    this.#armed = undefined;
    this.#armedFor = Infinity;
  }

  readonly #turn = (): void => {
    this.#armed = undefined;
    const now = this.#nowTick();
    this.#isTurning = true;
    try {
      for (let next = this.#next(); next !== undefined && next.at <= now; next = this.#next()) {
        this.#elapsed = next.at;
        this.#run(next.slot);
      }
    } finally {
      this.#isTurning = false;
      this.#elapsed = Math.max(this.#elapsed, now);
      this.#armedFor = Infinity;
      const next = this.#next();
      if (next !== undefined) this.#armFor(next.at);
    }
    this.#afterTurn();
  };

  /** Runs what is due of a slot, and moves the rest to finer levels. One that runs may cancel others of the slot. */
  #run(slot: WheelTimer[]): void {
    for (let left = slot.length; left > 0 && slot.length > 0; left -= 1) {
      const timer = slot.pop()!;
      timer.slot = undefined;
      if (timer.due <= this.#elapsed) {
        this.#count -= 1;
        timer.run();
      } else {
        this.#insert(timer);
      }
    }
  }
}
