// Rules as a tree: each node asks on which side of a number one value of the frame lies, each leaf holds the few rules
// that are left. Rules that lie on both sides of such a number stand on both, within a bound.
import { RuleBitmap } from "./rule-bitmap.ts";
import type { Range } from "./rule-ranges.ts";
import type { RuleTable } from "./rule-table.ts";

/** Rules that are as quickly tried one by one. */
const LEAF_RULES = 6;
/** Entries of leaves beyond one for each rule: this many times the rules. */
const SPARE_FACTOR = 3;
/** Rules of a node whose ranges are looked at for a good number to split at. */
const SAMPLES = 33;
/** More rules than this that cannot be parted are not tried one by one. */
const BITMAP_RULES = 64;
const LEAF = 255;
/** A leaf whose value is the index of a bitmap. */
const BITMAP = 254;

export class RuleTree {
  /** The first rule of all, and how many there are. */
  readonly first: number;
  readonly size: number;
  readonly #table: RuleTable;
  readonly #dims: Uint8Array;
  /** Of a node the number to compare with, of a leaf its first entry. */
  readonly #values: Float64Array;
  /** Where the upper half of a node begins, the lower one being the next node; of a leaf the end of its entries. */
  readonly #others: Int32Array;
  readonly #entries: Int32Array;
  readonly #bitmaps: readonly RuleBitmap[];

  /** @param rules positions in `ranges` and `table`, ascending */
  constructor(rules: readonly number[], ranges: readonly (readonly Range[])[], table: RuleTable) {
    this.first = rules[0]!;
    this.size = rules.length;
    this.#table = table;
    const grown = new Growth(rules, ranges, table);
    this.#dims = Uint8Array.from(grown.dims);
    this.#values = Float64Array.from(grown.values);
    this.#others = Int32Array.from(grown.others);
    this.#entries = Int32Array.from(grown.entries);
    this.#bitmaps = grown.bitmaps;
  }

  /** The first rule before `limit` that holds, or `limit`. */
  match(values: Float64Array, limit: number): number {
    const dims = this.#dims;
    let node = 0;
    let dim = dims[0]!;
    while (dim < BITMAP) {
      node = values[dim]! < this.#values[node]! ? node + 1 : this.#others[node]!;
      dim = dims[node]!;
    }
    if (dim === BITMAP) return this.#bitmaps[this.#values[node]!]!.match(values, limit);
    const entries = this.#entries;
    const end = this.#others[node]!;
    for (let at = this.#values[node]!; at < end; at += 1) {
      const rule = entries[at]!;
      if (rule >= limit) return limit;
      if (this.#table.holds(rule, values)) return rule;
    }
    return limit;
  }
}

/** The fields of a tree while it is made. */
class Growth {
  readonly dims: number[] = [];
  readonly values: number[] = [];
  readonly others: number[] = [];
  readonly entries: number[] = [];
  readonly bitmaps: RuleBitmap[] = [];
  readonly #table: RuleTable;
  readonly #ranges: readonly (readonly Range[])[];
  /** Dimensions that any of the rules speaks of. */
  readonly #used: readonly number[];

  constructor(rules: readonly number[], ranges: readonly (readonly Range[])[], table: RuleTable) {
    this.#ranges = ranges;
    this.#table = table;
    const used = new Set<number>();
    for (const rule of rules) for (const { dim } of ranges[rule]!) used.add(dim);
    this.#used = [...used];
    this.#grow(rules, SPARE_FACTOR * rules.length);
  }

  #grow(rules: readonly number[], spare: number): void {
    const split = rules.length > LEAF_RULES ? this.#bestSplit(rules, spare) : undefined;
    if (split === undefined) return this.#end(rules);
    const { dim, at } = split;
    const node = this.dims.length;
    this.dims.push(dim);
    this.values.push(at);
    this.others.push(0);
    const lower = rules.filter((rule) => this.#table.lowOf(rule, dim) < at);
    const upper = rules.filter((rule) => this.#table.highOf(rule, dim) >= at);
    const rest = spare - (lower.length + upper.length - rules.length);
    const share = lower.length / (lower.length + upper.length);
    this.#grow(lower, Math.floor(rest * share));
    this.others[node] = this.dims.length;
    this.#grow(upper, Math.floor(rest * (1 - share)));
  }

  #end(rules: readonly number[]): void {
    if (rules.length > BITMAP_RULES) {
      this.dims.push(BITMAP);
      this.values.push(this.bitmaps.length);
      this.others.push(0);
      this.bitmaps.push(new RuleBitmap(rules, this.#ranges, this.#table));
      return;
    }
    this.dims.push(LEAF);
    this.values.push(this.entries.length);
    for (const rule of rules) this.entries.push(rule);
    this.others.push(this.entries.length);
  }

  /** The split with the smallest larger half, of those that cost no more entries than there are to spare. */
  #bestSplit(rules: readonly number[], spare: number): { dim: number; at: number } | undefined {
    let best: { dim: number; at: number } | undefined;
    // What takes less than an eighth away is not worth a node; so there is a bound to the depth, too.
    let bestSize = rules.length - Math.max(1, rules.length >> 3) + 1;
    for (const dim of this.#used) {
      const at = this.#middle(rules, dim);
      if (at === undefined) continue;
      let lower = 0;
      let upper = 0;
      for (const rule of rules) {
        if (this.#table.lowOf(rule, dim) < at) lower += 1;
        if (this.#table.highOf(rule, dim) >= at) upper += 1;
      }
      const larger = Math.max(lower, upper);
      if (larger >= bestSize || lower + upper - rules.length > spare) continue;
      best = { dim, at };
      bestSize = larger;
    }
    return best;
  }

  /** The median of where ranges of this dimension begin; undefined if all begin at the same place. */
  #middle(rules: readonly number[], dim: number): number | undefined {
    const step = Math.max(1, rules.length / SAMPLES);
    const lows: number[] = [];
    for (let at = 0; at < rules.length; at += step)
      lows.push(this.#table.lowOf(rules[Math.floor(at)]!, dim));
    lows.sort((a, b) => a - b);
    const least = lows[0]!;
    const middle = lows[lows.length >> 1]!;
    // Where half of them begin together, the others are parted from those.
    return middle > least ? middle : lows.find((low) => low > least);
  }
}
