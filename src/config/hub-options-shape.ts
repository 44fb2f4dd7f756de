import {
  DEFAULT_HUB_OPTIONS,
  HUB_OPTIONS,
  type HubOptionName,
  type HubOptions,
  UNAVAILABLE_HUB_OPTIONS,
} from "./hub-options.ts";
import { bool, integer } from "./scalar-shapes.ts";
import { type Key, oneOf, refine, type Shape, table } from "./shape.ts";

/** A flag of the reference is a number as well. */
const flag: Shape<number> = oneOf("true, false, 1 or 0", {
  boolean: refine(bool, (isSet) => (isSet ? 1 : 0)),
  integer: integer(0, 1),
});

const available = HUB_OPTIONS.filter(({ name }) => !UNAVAILABLE_HUB_OPTIONS.has(name));

/** Numbers as the tools of the reference show them; true and false do for 1 and 0. */
export const hubOptions: Shape<HubOptions> = refine(
  table(
    Object.fromEntries(
      available.map(({ name, initial, max }): [HubOptionName, Key<number>] => [
        name,
        { shape: max === 1 ? flag : integer(0, max), initial, absent: "initial" },
      ]),
    ),
    UNAVAILABLE_HUB_OPTIONS,
  ),
  (named) => Object.freeze({ ...DEFAULT_HUB_OPTIONS, ...named }),
);
