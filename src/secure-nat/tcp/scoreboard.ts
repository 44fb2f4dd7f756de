// What is under way to the inside host, in ranges that were sent together, and what is known of each: acknowledged out of
// order (RFC 2018), lost by the rules of RACK (RFC 8985), sent again. Ranges are split where an acknowledgment or a
// retransmission ends within one. Positions count bytes of the stream from 0 and do not wrap around.

/** Ranges under way. From there on ranges are joined whatever was sent between: what is lost is known less exactly. */
const MAX_RANGES = 1_024;
/** From there on a SACK block counts for the whole ranges in it: a peer that names every other byte splits no more. */
const MAX_SPLIT_RANGES = 2 * MAX_RANGES;
const MAX_RANGE_BYTES = 65_536;
/** Ranges that are not used, for all connections. */
const MAX_SPARE = 4_096;

export class SentRange {
  start = 0;
  end = 0;
  /** The last time. */
  sentAt = 0;
  isAcknowledged = false;
  /** Counts as gone: it must be sent again. */
  isLost = false;
  /** Sent more than once: what arrives may be any of the copies. */
  wasRepeated = false;
  /** The copy that was sent last is thought to be on the way. */
  isRepeatUnderWay = false;
  previous: SentRange | undefined;
  next: SentRange | undefined;
}

const spare: SentRange[] = [];

export class Scoreboard {
  first: SentRange | undefined;
  #last: SentRange | undefined;
  #count = 0;
  /** Acknowledged from the front, and the end of all that was ever sent. */
  acknowledged: number;
  next: number;
  /** Acknowledged out of order. */
  #selected = 0;
  /** Lost and not sent again yet. */
  #lost = 0;
  /** Sent again and not acknowledged: they may overtake what was sent later. */
  #repeated = 0;
  /** End of the highest range acknowledged. */
  #highest = 0;

  /* RACK: of what was delivered, that which was sent last. */
  #rackSentAt = -1;
  #rackEnd = 0;
  #rackRtt = 0;
  /** A range that was sent once was delivered after one behind it. */
  hasReordering = false;

  /** No copy can have been acknowledged faster (RFC 8985 6.2 step 2); set by the sender. */
  leastRoundTrip = 0;

  /* Of the last acknowledgment. */
  /** Bytes it told to have arrived, which were not known to. */
  delivered = 0;
  /** Round trip of what it told to have arrived, if that was sent once; negative otherwise. */
  roundTrip = -1;
  /** Some of it was sent twice: which copy arrived, and when, nobody knows (Karn's rule, RFC 6298 3). */
  #isAmbiguous = false;

  constructor(position: number) {
    this.acknowledged = position;
    this.next = position;
    this.#highest = position;
  }

  /** Bytes that are thought to be on the way (RFC 6675 `pipe`). */
  get flight(): number {
    return this.next - this.acknowledged - this.#selected - this.#lost;
  }

  get lostBytes(): number {
    return this.#lost;
  }

  get selectedBytes(): number {
    return this.#selected;
  }

  /** New bytes were sent. */
  sent(end: number, now: number): void {
    const start = this.next;
    this.next = end;
    const last = this.#last;
    if (
      last !== undefined &&
      !last.isAcknowledged &&
      !last.isLost &&
      !last.wasRepeated &&
      ((last.sentAt === now && end - last.start <= MAX_RANGE_BYTES) || this.#count >= MAX_RANGES)
    ) {
      last.end = end;
      last.sentAt = now;
      return;
    }
    const range = this.#make(start, end, now);
    range.previous = last;
    if (last === undefined) this.first = range;
    else last.next = range;
    this.#last = range;
  }

  /** The range up to `end` was sent again; what is behind `end` stays as it was. */
  repeated(range: SentRange, end: number, now: number): void {
    if (end < range.end) this.#split(range, end);
    const bytes = range.end - range.start;
    if (range.isLost) {
      range.isLost = false;
      this.#lost -= bytes;
    }
    if (!range.isRepeatUnderWay) this.#repeated += bytes;
    range.isRepeatUnderWay = true;
    range.wasRepeated = true;
    range.sentAt = now;
  }

  /** Begins to look at an acknowledgment: `delivered` and `roundTrip` are what comes until the next call. */
  begin(): void {
    this.delivered = 0;
    this.roundTrip = -1;
    this.#isAmbiguous = false;
  }

  /** All before `position` has arrived. */
  acknowledge(position: number, now: number): void {
    for (let range = this.first; range !== undefined && range.start < position;) {
      if (range.end > position) this.#split(range, position);
      const { next } = range;
      if (!range.isAcknowledged) this.#deliver(range, now);
      else this.#selected -= range.end - range.start;
      this.#remove(range);
      range = next;
    }
    this.acknowledged = position;
    this.#highest = Math.max(this.#highest, position);
  }

  /** `start` to `end`, which lies behind what is acknowledged and was sent, has arrived. */
  select(start: number, end: number, now: number): void {
    for (let range = this.first; range !== undefined && range.start < end; range = range.next) {
      if (range.end <= start || range.isAcknowledged) continue;
      const isWhole = range.start >= start && range.end <= end;
      if (!isWhole && this.#count >= MAX_SPLIT_RANGES) continue;
      if (range.start < start) {
        this.#split(range, start);
        continue;
      }
      if (range.end > end) this.#split(range, end);
      this.#deliver(range, now);
      range.isAcknowledged = true;
      this.#selected += range.end - range.start;
    }
  }

  /**
   * Marks as lost what was sent longer ago than its round trip and `reorderMs` before something that has arrived (RFC 8985
   * 6.2 step 5). Gives after how many milliseconds more would be, 0 if nothing waits for that.
   */
  detect(now: number, reorderMs: number): number {
    if (this.#selected === 0 && this.#repeated === 0) return 0;
    let wait = 0;
    for (let range = this.first; range !== undefined; range = range.next) {
      if (range.isAcknowledged || range.isLost || !this.#isBeforeRack(range)) continue;
      const left = range.sentAt + this.#rackRtt + reorderMs - now;
      if (left <= 0) this.lose(range);
      else if (left > wait) wait = left;
    }
    return wait;
  }

  /**
   * Nothing came back in time: all that was not acknowledged counts as lost. A peer whose acknowledgment stops short of
   * what it had told to have has thrown that away, and what else it told so (RFC 2018 8).
   */
  loseAll(): void {
    const hasReneged = this.first?.isAcknowledged === true;
    for (let range = this.first; range !== undefined; range = range.next) {
      if (range.isAcknowledged && hasReneged) {
        range.isAcknowledged = false;
        this.#selected -= range.end - range.start;
      }
      if (!range.isAcknowledged && !range.isLost) this.lose(range);
    }
  }

  lose(range: SentRange): void {
    const bytes = range.end - range.start;
    range.isLost = true;
    this.#lost += bytes;
    if (range.isRepeatUnderWay) this.#repeated -= bytes;
    range.isRepeatUnderWay = false;
  }

  /** The first bytes, up to a segment of them, count as lost: for peers that acknowledge in order only (RFC 6582). */
  loseFirst(bytes: number): void {
    const range = this.first;
    if (range === undefined || range.isLost) return;
    if (range.end - range.start > bytes) this.#split(range, range.start + bytes);
    this.lose(range);
  }

  /** Nothing was lost after all. */
  findAll(): void {
    for (let range = this.first; range !== undefined; range = range.next) range.isLost = false;
    this.#lost = 0;
  }

  firstLost(): SentRange | undefined {
    if (this.#lost === 0) return undefined;
    let range = this.first;
    while (range !== undefined && !range.isLost) range = range.next;
    return range;
  }

  /** Cuts the last range so that it is `bytes` long at most, and gives it. */
  cutLast(bytes: number): SentRange | undefined {
    const last = this.#last;
    if (last !== undefined && last.end - last.start > bytes) this.#split(last, last.end - bytes);
    return this.#last;
  }

  close(): void {
    for (let range = this.first; range !== undefined;) {
      const { next } = range;
      recycle(range);
      range = next;
    }
    this.first = undefined;
    this.#last = undefined;
  }

  #isBeforeRack(range: SentRange): boolean {
    return (
      range.sentAt < this.#rackSentAt ||
      (range.sentAt === this.#rackSentAt && range.end < this.#rackEnd)
    );
  }

  /** A range turns out to have arrived (RFC 8985 6.2 steps 1 to 3). */
  #deliver(range: SentRange, now: number): void {
    const bytes = range.end - range.start;
    this.delivered += bytes;
    const rtt = now - range.sentAt;
    if (range.isLost) {
      range.isLost = false;
      this.#lost -= bytes;
    }
    if (range.isRepeatUnderWay) this.#repeated -= bytes;
    range.isRepeatUnderWay = false;
    this.#isAmbiguous ||= range.wasRepeated;
    if (!range.wasRepeated) {
      this.hasReordering ||= range.end < this.#highest;
      this.roundTrip = this.roundTrip < 0 ? rtt : Math.min(this.roundTrip, rtt);
    }
    if (this.#isAmbiguous) this.roundTrip = -1;
    if (range.wasRepeated && rtt < this.leastRoundTrip) {
      // It is an earlier copy that has arrived: nothing is known of the last one.
      return;
    }
    this.#highest = Math.max(this.#highest, range.end);
    if (
      range.sentAt > this.#rackSentAt ||
      (range.sentAt === this.#rackSentAt && range.end > this.#rackEnd)
    ) {
      this.#rackSentAt = range.sentAt;
      this.#rackEnd = range.end;
      this.#rackRtt = rtt;
    }
  }

  #make(start: number, end: number, now: number): SentRange {
    const range = spare.pop() ?? new SentRange();
    range.start = start;
    range.end = end;
    range.sentAt = now;
    this.#count += 1;
    return range;
  }

  #split(range: SentRange, at: number): void {
    const rest = this.#make(at, range.end, range.sentAt);
    range.end = at;
    rest.isAcknowledged = range.isAcknowledged;
    rest.isLost = range.isLost;
    rest.wasRepeated = range.wasRepeated;
    rest.isRepeatUnderWay = range.isRepeatUnderWay;
    rest.previous = range;
    rest.next = range.next;
    if (range.next === undefined) this.#last = rest;
    else range.next.previous = rest;
    range.next = rest;
  }

  #remove(range: SentRange): void {
    const { previous, next } = range;
    if (previous === undefined) this.first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    this.#count -= 1;
    recycle(range);
  }
}

function recycle(range: SentRange): void {
  range.previous = undefined;
  range.next = undefined;
  range.isAcknowledged = false;
  range.isLost = false;
  range.wasRepeated = false;
  range.isRepeatUnderWay = false;
  if (spare.length < MAX_SPARE) spare.push(range);
}
