// Many rules of which no number parts some from the others, such as ranges that hold each other. For each stretch of
// a dimension a row of bits tells which rules can hold a value there; rows of several dimensions are intersected.
import type { Range } from "./rule-ranges.ts";
import type { RuleTable } from "./rule-table.ts";

/** Numbers at which one stretch ends and another begins; where rules have more of them, these are a sample. */
const MAX_CUTS = 512;
/** Dimensions that are looked at: with rows of 4 KiB for the longest list, 8 MiB in all. */
const MAX_DIMENSIONS = 4;

interface Dimension {
  readonly dim: number;
  readonly cuts: Float64Array;
  /** One row of words for each stretch. */
  readonly rows: Int32Array;
}

export class RuleBitmap {
  readonly #rules: Int32Array;
  readonly #table: RuleTable;
  readonly #words: number;
  readonly #dimensions: readonly Dimension[];
  /** Where the row begins that the present value lies in, for each dimension. */
  readonly #at: Int32Array;

  /** @param rules positions in `ranges` and `table`, ascending */
  constructor(rules: readonly number[], ranges: readonly (readonly Range[])[], table: RuleTable) {
    this.#rules = Int32Array.from(rules);
    this.#table = table;
    this.#words = Math.ceil(rules.length / 32);
    this.#dimensions = cutsOf(rules, ranges)
      .slice(0, MAX_DIMENSIONS)
      .map(({ dim, cuts }) => ({ dim, cuts, rows: rowsOf(rules, table, dim, cuts) }));
    this.#at = new Int32Array(this.#dimensions.length);
  }

  /** The first rule before `limit` that holds, or `limit`. */
  match(values: Float64Array, limit: number): number {
    const dimensions = this.#dimensions;
    const at = this.#at;
    for (let i = 0; i < dimensions.length; i += 1) {
      const { dim, cuts } = dimensions[i]!;
      at[i] = stretchOf(cuts, values[dim]!) * this.#words;
    }
    for (let word = 0; word < this.#words; word += 1) {
      let bits = -1;
      for (let i = 0; i < dimensions.length && bits !== 0; i += 1)
        bits &= dimensions[i]!.rows[at[i]! + word]!;
      for (; bits !== 0; bits &= bits - 1) {
        const place = word * 32 + 31 - Math.clz32(bits & -bits);
        if (place >= this.#rules.length) return limit;
        const rule = this.#rules[place]!;
        if (rule >= limit) return limit;
        if (this.#table.holds(rule, values)) return rule;
      }
    }
    return limit;
  }
}

/** Dimensions in which the rules differ, with the numbers at which they do; those that differ most come first. */
function cutsOf(
  rules: readonly number[],
  ranges: readonly (readonly Range[])[],
): { readonly dim: number; readonly cuts: Float64Array }[] {
  const found = new Map<number, Set<number>>();
  for (const rule of rules) {
    for (const { dim, low, high } of ranges[rule]!) {
      const cuts = found.get(dim) ?? new Set();
      found.set(dim, cuts.add(low).add(high + 1));
    }
  }
  return [...found]
    .toSorted(([, a], [, b]) => b.size - a.size)
    .map(([dim, cuts]) => ({ dim, cuts: sampleOf(Float64Array.from(cuts).toSorted()) }));
}

function sampleOf(cuts: Float64Array): Float64Array {
  if (cuts.length <= MAX_CUTS) return cuts;
  return Float64Array.from(
    { length: MAX_CUTS },
    (_, at) => cuts[Math.floor((at * cuts.length) / MAX_CUTS)]!,
  );
}

function rowsOf(
  rules: readonly number[],
  table: RuleTable,
  dim: number,
  cuts: Float64Array,
): Int32Array {
  const words = Math.ceil(rules.length / 32);
  const rows = new Int32Array((cuts.length + 1) * words);
  for (const [place, rule] of rules.entries()) {
    const first = stretchOf(cuts, table.lowOf(rule, dim));
    const last = stretchOf(cuts, table.highOf(rule, dim));
    const bit = 1 << (place & 31);
    for (let stretch = first; stretch <= last; stretch += 1)
      rows[stretch * words + (place >>> 5)]! |= bit;
  }
  return rows;
}

/** How many of the cuts are not above the value. */
function stretchOf(cuts: Float64Array, value: number): number {
  let low = 0;
  let high = cuts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (cuts[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
