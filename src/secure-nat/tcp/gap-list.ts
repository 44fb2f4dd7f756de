// Which bytes ahead of a gap have come: ranges in order that do not touch. Their number is bounded, and with it what a
// sender of one byte in two can make the machine keep in mind.

/** As many holes as a window of 4 MiB has at a loss of 5 %; what comes on top is dropped, and sent again. */
const MAX_RANGES = 128;

export interface StreamRange {
  start: number;
  end: number;
  /** Higher: something was added later. */
  touched: number;
}

export class GapList {
  readonly ranges: StreamRange[] = [];
  #touches = 0;

  get first(): StreamRange | undefined {
    return this.ranges[0];
  }

  /** End of the last range; 0 without one. */
  get end(): number {
    return this.ranges.at(-1)?.end ?? 0;
  }

  /**
   * Adds what of `start` to `end` is missing, part by part, calling `store` for each, which gives how many bytes of it
   * it has kept. Gives false if nothing was new. Bytes that are here already are left as they are.
   */
  add(start: number, end: number, store: (from: number, to: number) => number): boolean {
    let isNew = false;
    let at = start;
    while (at < end) {
      const index = this.#indexAt(at);
      const range = this.ranges[index];
      if (range !== undefined && range.start <= at) {
        range.touched = ++this.#touches;
        at = range.end;
        continue;
      }
      if (this.ranges.length >= MAX_RANGES && !this.#touchesAt(index, at)) return isNew;
      const until = Math.min(end, range?.start ?? end);
      const kept = store(at, until);
      if (kept > 0) {
        isNew = true;
        this.#insert(index, at, at + kept);
      }
      if (kept < until - at) return isNew;
      at = until;
    }
    return isNew;
  }

  /** All of `start` to `end` is here. */
  holds(start: number, end: number): boolean {
    const range = this.ranges[this.#indexAt(start)];
    return range !== undefined && range.start <= start && range.end >= end;
  }

  /** Takes out the first range, which the stream has reached. */
  shift(): void {
    this.ranges.shift();
  }

  /** Fills `into` with the edges of ranges, those that were added to last first (RFC 2018 4); gives how many. */
  latest(most: number, into: StreamRange[]): number {
    let count = 0;
    let below = Infinity;
    while (count < most) {
      let best: StreamRange | undefined;
      for (const range of this.ranges) {
        if (range.touched < below && range.touched > (best?.touched ?? -1)) best = range;
      }
      if (best === undefined) return count;
      into[count] = best;
      count += 1;
      below = best.touched;
    }
    return count;
  }

  clear(): void {
    this.ranges.length = 0;
  }

  /** Index of the first range that ends behind `position`. */
  #indexAt(position: number): number {
    let low = 0;
    let high = this.ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.ranges[middle]!.end > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #touchesAt(index: number, start: number): boolean {
    return this.ranges[index - 1]?.end === start;
  }

  #insert(index: number, start: number, end: number): void {
    const touched = ++this.#touches;
    const before = this.ranges[index - 1];
    const after = this.ranges[index];
    if (before?.end === start) {
      before.end = end;
      before.touched = touched;
      if (after?.start === end) {
        before.end = after.end;
        this.ranges.splice(index, 1);
      }
    } else if (after?.start === end) {
      after.start = start;
      after.touched = touched;
    } else this.ranges.splice(index, 0, { start, end, touched });
  }
}
