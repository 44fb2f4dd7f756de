import type { RuleTree } from "./rule-tree.ts";

/** The rules that ports of one kind can meet, in trees of which the one with the earliest rule comes first. */
export class Matcher {
  /** Above 0, and no other's. */
  readonly id: number;
  readonly #trees: readonly RuleTree[];
  readonly #none: number;

  /** @param none what match() answers where no rule is met: a number above all of rules */
  constructor(id: number, trees: readonly RuleTree[], none: number) {
    this.id = id;
    this.#trees = trees.toSorted((a, b) => a.first - b.first);
    this.#none = none;
  }

  get isEmpty(): boolean {
    return this.#trees.length === 0;
  }

  /** The first rule that these values meet. */
  match(values: Float64Array): number {
    const trees = this.#trees;
    let best = this.#none;
    for (let i = 0; i < trees.length && trees[i]!.first < best; i += 1)
      best = trees[i]!.match(values, best);
    return best;
  }
}
