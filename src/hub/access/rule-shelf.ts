import { DIM } from "./flow-key.ts";
import type { Range } from "./rule-ranges.ts";
import type { RuleTable } from "./rule-table.ts";
import { RuleTree } from "./rule-tree.ts";

/** A rule with the terms (user-terms.ts) that sender and receiver must meet. */
export interface ShelvedRule {
  readonly rule: number;
  readonly from: number;
  readonly to: number;
}

/** So few rules are one tree, whatever they speak of. */
const FEW_RULES = 24;

/** A range that holds half of all values or more does not part rules from each other. */
const HALF: Readonly<Partial<Record<number, number>>> = {
  [DIM.SOURCE_PORT]: 2 ** 15,
  [DIM.DESTINATION_PORT]: 2 ** 15,
};

/** The trees of all rules of one stage, by whom the rules name. */
export class RuleShelf {
  readonly size: number;
  /** By term of the receiver, then of the sender. */
  readonly #trees = new Map<number, Map<number, readonly RuleTree[]>>();

  constructor(
    rules: readonly ShelvedRule[],
    ranges: readonly (readonly Range[])[],
    table: RuleTable,
  ) {
    this.size = rules.length;
    for (const [to, some] of Map.groupBy(rules, (rule) => rule.to)) {
      const bySender = new Map<number, readonly RuleTree[]>();
      for (const [from, these] of Map.groupBy(some, (rule) => rule.from)) {
        const positions = these.map(({ rule }) => rule);
        bySender.set(from, plant(positions, ranges, table));
      }
      this.#trees.set(to, bySender);
    }
  }

  /** True if there are rules for receivers that meet these terms. */
  hasFor(receiver: readonly number[]): boolean {
    return receiver.some((term) => this.#trees.has(term));
  }

  /** The rules for frames of a sender and a receiver that meet these terms. */
  treesFor(sender: readonly number[], receiver: readonly number[]): readonly RuleTree[] {
    return receiver.flatMap((to) => {
      const bySender = this.#trees.get(to);
      return bySender === undefined ? [] : sender.flatMap((from) => bySender.get(from) ?? []);
    });
  }
}

/**
 * Rules that speak of the same things make one tree: a rule that does not ask for what its tree is split by would stand
 * in every branch of it.
 */
function plant(
  rules: readonly number[],
  ranges: readonly (readonly Range[])[],
  table: RuleTable,
): readonly RuleTree[] {
  if (rules.length <= FEW_RULES) return [new RuleTree(rules, ranges, table)];
  const alike = Map.groupBy(rules, (rule) => subjectOf(ranges[rule]!));
  return [...alike.values()].map((some) => new RuleTree(some, ranges, table));
}

function subjectOf(ranges: readonly Range[]): number {
  let subject = 0;
  for (const { dim, low, high } of ranges) {
    const family = dim === DIM.FAMILY ? low << 16 : 0;
    const isWide = high - low >= (HALF[dim] ?? Infinity);
    // Protocol and state have few values: they part rules, but make no subject of their own.
    const isSubject = dim !== DIM.PROTOCOL && dim !== DIM.TCP_STATE && dim !== DIM.FAMILY;
    subject |= family | (isSubject && !isWide ? 1 << dim : 0);
  }
  return subject;
}
