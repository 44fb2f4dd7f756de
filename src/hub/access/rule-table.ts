import type { Range } from "./rule-ranges.ts";

/** The ranges of all rules of a list, side by side. A rule is known by its position. */
export class RuleTable {
  readonly #first: Int32Array;
  readonly #dims: Uint8Array;
  readonly #lows: Float64Array;
  readonly #highs: Float64Array;

  constructor(rules: readonly (readonly Range[])[]) {
    const total = rules.reduce((sum, ranges) => sum + ranges.length, 0);
    this.#first = new Int32Array(rules.length + 1);
    this.#dims = new Uint8Array(total);
    this.#lows = new Float64Array(total);
    this.#highs = new Float64Array(total);
    let at = 0;
    for (const [rule, ranges] of rules.entries()) {
      this.#first[rule] = at;
      for (const { dim, low, high } of ranges) {
        this.#dims[at] = dim;
        this.#lows[at] = low;
        this.#highs[at] = high;
        at += 1;
      }
    }
    this.#first[rules.length] = at;
  }

  /** Where the rule's range in a dimension begins; -Infinity where it asks nothing of it. */
  lowOf(rule: number, dim: number): number {
    const at = this.#find(rule, dim);
    return at < 0 ? -Infinity : this.#lows[at]!;
  }

  /** Its last number; Infinity where it asks nothing of the dimension. */
  highOf(rule: number, dim: number): number {
    const at = this.#find(rule, dim);
    return at < 0 ? Infinity : this.#highs[at]!;
  }

  /** True if each range of the rule holds its value. */
  holds(rule: number, values: Float64Array): boolean {
    const end = this.#first[rule + 1]!;
    for (let at = this.#first[rule]!; at < end; at += 1) {
      const value = values[this.#dims[at]!]!;
      if (value < this.#lows[at]! || value > this.#highs[at]!) return false;
    }
    return true;
  }

  #find(rule: number, dim: number): number {
    const end = this.#first[rule + 1]!;
    for (let at = this.#first[rule]!; at < end; at += 1) if (this.#dims[at] === dim) return at;
    return -1;
  }
}
