import { POLICY_ITEMS, type Policy, type PolicyKey } from "./policy.ts";
import { bool, duration, integer, rate } from "./scalar-shapes.ts";
import { oneOf, refine, type Key, type Shape, table } from "./shape.ts";

type Item = (typeof POLICY_ITEMS)[number];

/** A complete record: what the table does not name has its default (config-proposal.md 7.5). */
export const policy: Shape<Policy> = refine(
  table(Object.fromEntries(POLICY_ITEMS.map((item) => [item.key, keyOf(item)]))),
  (named) => {
    const record = Object.fromEntries(
      POLICY_ITEMS.map((item): [PolicyKey, unknown] => [item.key, named[item.key] ?? item.initial]),
    );
    return Object.freeze(record) as Policy;
  },
);

function keyOf(item: Item): Key<boolean | number> {
  return { shape: shapeOf(item), initial: item.initial, absent: "initial" };
}

function shapeOf(item: Item): Shape<boolean | number> {
  switch (item.kind) {
    case "bool":
      return bool;
    case "seconds":
      return wholeSeconds(`${item.optional ? 0 : item.min}s`, `${item.max}s`);
    case "bits_per_second":
      return oneOf('a rate such as "10Mbit", or 0 for none', {
        string: rate(item.max),
        integer: integer(0, item.max),
      });
    case "count":
      return integer(item.optional ? 0 : item.min, item.max);
  }
}

/** Travels in whole seconds (protocol.md 9), so nothing finer is taken. */
function wholeSeconds(min: string, max: string): Shape<number> {
  return refine(duration(min, max), (ms, node, place) =>
    ms % 1000 === 0 ? ms / 1000 : place.fail(node, "expected a duration in whole seconds"),
  );
}
