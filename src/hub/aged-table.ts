// One slot is a few 32-bit words side by side, so that a look-up touches one cache line.
const HASH = 0;
const OWNER = 1;
const NEWER = 2;
const OLDER = 3;
const NOTE = 4;
const ID = 5;
const KEY = 6;

const MIN_CAPACITY = 8;
const NONE = -1;

/**
 * A hash table that forgets: keys of a few 32-bit words to an owner and what else is asked for, in order of their
 * last refresh.
 *
 * Open addressing with linear probing over typed arrays, at most half full. Removal moves what follows back
 * into the gap, so probing never degrades. The chain by age makes ageing exact without a timer: the oldest
 * entry is at its end. Starts at eight slots and grows and shrinks with its contents.
 *
 * Slots are numbers that stay valid until the next insert, remove or expire.
 */
export class AgedTable {
  /** The key that find() and insert() are about; the caller fills it. */
  readonly key: Int32Array;
  size = 0;
  private readonly ageMs: number;
  private readonly stride: number;
  /** Where the words that the user keeps with an entry begin. */
  private readonly values: number;
  private lastId = 0;
  private readonly seed: number;
  private words: Int32Array;
  /** Created and updated of each slot, in milliseconds. */
  private times: Float64Array;
  private mask = MIN_CAPACITY - 1;
  private hash = 0;
  private newest = NONE;
  private oldest = NONE;
  private counts = new Int32Array(MIN_CAPACITY);

  /** `seed` is a random 32-bit number: without it a sender could choose keys that collide. */
  constructor(options: { keyWords: number; valueWords?: number; ageMs: number; seed: number }) {
    this.key = new Int32Array(options.keyWords);
    this.ageMs = options.ageMs;
    this.seed = options.seed | 0;
    this.values = KEY + options.keyWords;
    this.stride = this.values + (options.valueWords ?? 0);
    this.words = new Int32Array(MIN_CAPACITY * this.stride);
    this.times = new Float64Array(MIN_CAPACITY * 2);
  }

  /** The slot of `key`, or -1. */
  find(): number {
    const { key, words, stride, mask } = this;
    const length = key.length;
    let hash = this.seed;
    for (let i = 0; i < length; i += 1) {
      hash = Math.imul(hash ^ key[i]!, 0x85ebca6b);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash, 0xc2b2ae35);
    // The top bit tells a used slot from an empty one.
    hash = (hash ^ (hash >>> 13)) | 0x80000000;
    this.hash = hash;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const at = slot * stride;
      const there = words[at + HASH]!;
      if (there === 0) return NONE;
      if (there !== hash) continue;
      let i = 0;
      while (i < length && words[at + KEY + i] === key[i]) i += 1;
      if (i === length) return slot;
    }
  }

  /** Adds `key`, which the last find() did not find. */
  insert(owner: number, now: number): number {
    if ((this.size + 1) * 2 > this.mask + 1) this.resize((this.mask + 1) * 2);
    const slot = this.freeSlot(this.hash);
    const at = slot * this.stride;
    this.words[at + HASH] = this.hash;
    this.lastId = (this.lastId + 1) >>> 0 || 1;
    this.words[at + ID] = this.lastId;
    this.words[at + NOTE] = 0;
    this.words.set(this.key, at + KEY);
    this.words.fill(0, at + this.values, at + this.stride);
    this.times[slot * 2] = now;
    this.times[slot * 2 + 1] = now;
    this.size += 1;
    this.own(slot, owner);
    this.linkNewest(slot);
    return slot;
  }

  /** The entry was seen again. */
  touch(slot: number, now: number): void {
    this.times[slot * 2 + 1] = now;
    if (slot === this.newest) return;
    this.unlink(slot);
    this.linkNewest(slot);
  }

  /** The entry goes to another owner, as if new unless the time of its creation is given. */
  reassign(slot: number, owner: number, now: number, created = now): void {
    this.counts[this.owner(slot)]! -= 1;
    this.own(slot, owner);
    this.times[slot * 2] = created;
    this.touch(slot, now);
  }

  remove(slot: number): void {
    const { words, stride, mask } = this;
    this.counts[this.owner(slot)]! -= 1;
    this.size -= 1;
    this.unlink(slot);
    let gap = slot;
    for (
      let next = (slot + 1) & mask;
      words[next * stride + HASH] !== 0;
      next = (next + 1) & mask
    ) {
      const home = words[next * stride + HASH]! & mask;
      if (((next - home) & mask) < ((next - gap) & mask)) continue;
      this.relocate(next, gap);
      gap = next;
    }
    words[gap * stride + HASH] = 0;
  }

  /** When the entry was seen that goes first; Infinity where there is none. */
  get stalest(): number {
    return this.oldest === NONE ? Infinity : this.updated(this.oldest);
  }

  removeOldest(): void {
    if (this.oldest !== NONE) this.remove(this.oldest);
  }

  /** Forgets what was last seen longer than the age ago. A single comparison when there is nothing to do. */
  expire(now: number): void {
    if (this.oldest === NONE || now - this.updated(this.oldest) <= this.ageMs) return;
    do this.remove(this.oldest);
    while (this.oldest !== NONE && now - this.updated(this.oldest) > this.ageMs);
    this.shrink();
  }

  removeOwner(owner: number): void {
    if (this.countOf(owner) === 0) return;
    for (let slot = 0; this.countOf(owner) > 0;) {
      // Removal may pull another entry into this very slot: look at it again.
      if (this.isUsed(slot) && this.owner(slot) === owner) this.remove(slot);
      else slot = (slot + 1) & this.mask;
    }
    this.shrink();
  }

  /** Entries of this owner. */
  countOf(owner: number): number {
    return owner < this.counts.length ? this.counts[owner]! : 0;
  }

  owner(slot: number): number {
    return this.words[slot * this.stride + OWNER]!;
  }

  /** Not 0, and the entry's own for as long as it is there, whoever owns it. */
  id(slot: number): number {
    return this.words[slot * this.stride + ID]! >>> 0;
  }

  /** A word that the user of the table keeps with the entry; 0 at first. */
  note(slot: number): number {
    return this.words[slot * this.stride + NOTE]!;
  }

  setNote(slot: number, note: number): void {
    this.words[slot * this.stride + NOTE] = note;
  }

  /** As note(), of the words that were asked for besides. */
  value(slot: number, word: number): number {
    return this.words[slot * this.stride + this.values + word]!;
  }

  setValue(slot: number, word: number, value: number): void {
    this.words[slot * this.stride + this.values + word] = value;
  }

  keyWord(slot: number, word: number): number {
    return this.words[slot * this.stride + KEY + word]!;
  }

  created(slot: number): number {
    return this.times[slot * 2]!;
  }

  updated(slot: number): number {
    return this.times[slot * 2 + 1]!;
  }

  /** Slots from the entry seen last to the one seen longest ago. */
  *slots(): IterableIterator<number> {
    for (let slot = this.newest; slot !== NONE; slot = this.words[slot * this.stride + OLDER]!)
      yield slot;
  }

  /** Slots that there are, used or not: entries lie evenly strewn over them. */
  get capacity(): number {
    return this.mask + 1;
  }

  isUsed(slot: number): boolean {
    return this.words[slot * this.stride + HASH] !== 0;
  }

  private own(slot: number, owner: number): void {
    if (owner >= this.counts.length) {
      const wider = new Int32Array(Math.max(owner + 1, this.counts.length * 2));
      wider.set(this.counts);
      this.counts = wider;
    }
    this.words[slot * this.stride + OWNER] = owner;
    this.counts[owner]! += 1;
  }

  private freeSlot(hash: number): number {
    let slot = hash & this.mask;
    while (this.isUsed(slot)) slot = (slot + 1) & this.mask;
    return slot;
  }

  private unlink(slot: number): void {
    const { words, stride } = this;
    const newer = words[slot * stride + NEWER]!;
    const older = words[slot * stride + OLDER]!;
    if (newer === NONE) this.newest = older;
    else words[newer * stride + OLDER] = older;
    if (older === NONE) this.oldest = newer;
    else words[older * stride + NEWER] = newer;
  }

  private linkNewest(slot: number): void {
    const { words, stride } = this;
    words[slot * stride + NEWER] = NONE;
    words[slot * stride + OLDER] = this.newest;
    if (this.newest === NONE) this.oldest = slot;
    else words[this.newest * stride + NEWER] = slot;
    this.newest = slot;
  }

  private relocate(from: number, to: number): void {
    const { words, times, stride } = this;
    for (let i = 0; i < stride; i += 1) words[to * stride + i] = words[from * stride + i]!;
    times[to * 2] = times[from * 2]!;
    times[to * 2 + 1] = times[from * 2 + 1]!;
    const newer = words[to * stride + NEWER]!;
    const older = words[to * stride + OLDER]!;
    if (newer === NONE) this.newest = to;
    else words[newer * stride + OLDER] = to;
    if (older === NONE) this.oldest = to;
    else words[older * stride + NEWER] = to;
  }

  private shrink(): void {
    let capacity = this.mask + 1;
    if (capacity === MIN_CAPACITY || this.size * 8 > capacity) return;
    while (capacity > MIN_CAPACITY && this.size * 4 <= capacity) capacity /= 2;
    this.resize(capacity);
  }

  private resize(capacity: number): void {
    const { words, times, stride } = this;
    let slot = this.oldest;
    this.words = new Int32Array(capacity * stride);
    this.times = new Float64Array(capacity * 2);
    this.mask = capacity - 1;
    this.newest = NONE;
    this.oldest = NONE;
    while (slot !== NONE) {
      const to = this.freeSlot(words[slot * stride + HASH]!);
      for (let i = 0; i < stride; i += 1) this.words[to * stride + i] = words[slot * stride + i]!;
      this.times[to * 2] = times[slot * 2]!;
      this.times[to * 2 + 1] = times[slot * 2 + 1]!;
      this.linkNewest(to);
      slot = words[slot * stride + NEWER]!;
    }
  }
}
