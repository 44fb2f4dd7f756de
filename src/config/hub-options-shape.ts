import { numericFlag } from "./admin-limits.ts";
import {
  DEFAULT_HUB_OPTIONS,
  HUB_OPTIONS,
  type HubOptionName,
  type HubOptions,
  UNAVAILABLE_HUB_OPTIONS,
} from "./hub-options.ts";
import { integer } from "./scalar-shapes.ts";
import { type Key, refine, type Shape, table } from "./shape.ts";

const available = HUB_OPTIONS.filter(({ name }) => !UNAVAILABLE_HUB_OPTIONS.has(name));

/** Numbers as the tools of the reference show them; true and false do for 1 and 0. */
export const hubOptions: Shape<HubOptions> = refine(
  table(
    Object.fromEntries(
      available.map(({ name, initial, max }): [HubOptionName, Key<number>] => [
        name,
        { shape: max === 1 ? numericFlag : integer(0, max), initial, absent: "initial" },
      ]),
    ),
    UNAVAILABLE_HUB_OPTIONS,
  ),
  (named) => Object.freeze({ ...DEFAULT_HUB_OPTIONS, ...named }),
);
