import { TICK_WINDOW_MS } from "./liveness.ts";

/** IVs that are remembered at most (robustness.md UD-02); 4,096 are half a minute of light use, or 30 ms of heavy. */
const MAX_ENTRIES = 4096;
const FIRST_ENTRIES = 64;
const EMPTY = -1;

/**
 * The IVs of the last datagrams, by eight of their bytes. It grows with use: an entry older than the window of ticks
 * is replaced, since a datagram with that tick is refused for its age.
 */
export class ReplayWindow {
  #entries = 0;
  #next = 0;
  #high = new Uint32Array(0);
  #low = new Uint32Array(0);
  #tick = new Float64Array(0);
  /** By hash: the first entry with it. Entries with the same hash are chained. */
  #heads = new Int16Array(0);
  #links = new Int16Array(0);

  /** True, and remembered, for an IV that is not among those remembered; `tick` is its datagram's. */
  admit(high: number, low: number, tick: number, newest: number): boolean {
    if (this.#contains(high, low)) return false;
    if (this.#entries < this.#high.length) {
      this.#put(this.#entries++, high, low, tick);
      return true;
    }
    const isGrowing = this.#entries === 0 || newest - this.#tick[this.#next]! < TICK_WINDOW_MS;
    if (isGrowing && this.#entries < MAX_ENTRIES) {
      this.#grow();
      this.#put(this.#entries++, high, low, tick);
      return true;
    }
    this.#remove(this.#next);
    this.#put(this.#next, high, low, tick);
    this.#next = (this.#next + 1) & (this.#entries - 1);
    return true;
  }

  #contains(high: number, low: number): boolean {
    if (this.#entries === 0) return false;
    for (let at = this.#heads[this.#hash(high, low)]!; at !== EMPTY; at = this.#links[at]!) {
      if (this.#low[at] === low && this.#high[at] === high) return true;
    }
    return false;
  }

  #hash(high: number, low: number): number {
    return (high ^ low) & (this.#heads.length - 1);
  }

  #put(at: number, high: number, low: number, tick: number): void {
    this.#high[at] = high;
    this.#low[at] = low;
    this.#tick[at] = tick;
    const hash = this.#hash(high, low);
    this.#links[at] = this.#heads[hash]!;
    this.#heads[hash] = at;
  }

  #remove(at: number): void {
    const hash = this.#hash(this.#high[at]!, this.#low[at]!);
    const next = this.#links[at]!;
    if (this.#heads[hash] === at) {
      this.#heads[hash] = next;
      return;
    }
    let before = this.#heads[hash]!;
    while (this.#links[before] !== at) before = this.#links[before]!;
    this.#links[before] = next;
  }

  /** Doubles the room, with the oldest entry first again. */
  #grow(): void {
    const [high, low, tick] = [this.#high, this.#low, this.#tick];
    const [count, first] = [this.#entries, this.#next];
    const room = Math.max(FIRST_ENTRIES, count * 2);
    this.#high = new Uint32Array(room);
    this.#low = new Uint32Array(room);
    this.#tick = new Float64Array(room);
    this.#links = new Int16Array(room);
    this.#heads = new Int16Array(room).fill(EMPTY);
    for (let n = 0; n < count; n += 1) {
      const from = (first + n) & (count - 1);
      this.#put(n, high[from]!, low[from]!, tick[from]!);
    }
    this.#next = 0;
  }
}
