import { netContains, tryParseAddress, unmapV4 } from "../base/ip.ts";
import type { SourceRule } from "../config/server-config.ts";

/** The first rule that holds the address decides; nobody is dropped without one (hub.md 8). */
export function isSourceAllowed(rules: readonly SourceRule[], addressText: string): boolean {
  if (rules.length === 0) return true;
  const parsed = tryParseAddress(addressText.split("%", 1)[0]!);
  // What no rule could be held against is let in by none.
  if (parsed === undefined) return false;
  const address = unmapV4(parsed);
  return rules.find(({ from }) => netContains(from, address))?.action !== "drop";
}
