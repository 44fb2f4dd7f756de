import type { Net } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";
import type { PortRange } from "./server-config.ts";

/** Whom a rule means: a user or group by name, or those whom a file names, or all but those (hub.md 7.1). */
export type UserMatch =
  | { readonly kind: "name"; readonly name: string }
  /** Absolute path of a file with one name a line. */
  | { readonly kind: "include" | "exclude"; readonly path: string };

/** MACs whose first `prefix` bits are those of `mac`. */
export interface MacMatch {
  readonly mac: MacAddress;
  /** 0 to 48. */
  readonly prefix: number;
}

/** One rule of a hub's access list: all that is given must hold (hub.md 7). */
export interface AccessRule {
  readonly action: "pass" | "drop";
  readonly note: string;
  /** A rule that is not enabled is kept for people and skipped. */
  readonly enable: boolean;
  /** Lower numbers are tried first. */
  readonly priority: number;
  /** Frames of this family alone; without one frames of every kind, and nothing of layers 3 and 4 is asked. */
  readonly family: 4 | 6 | undefined;
  readonly from: Net | undefined;
  readonly to: Net | undefined;
  readonly fromUser: UserMatch | undefined;
  readonly toUser: UserMatch | undefined;
  readonly fromMac: MacMatch | undefined;
  readonly toMac: MacMatch | undefined;
  /** IP protocol number, of IPv6 the one behind the extension headers. */
  readonly proto: number | undefined;
  /** Of TCP and UDP, both ends included. */
  readonly fromPort: PortRange | undefined;
  readonly toPort: PortRange | undefined;
  readonly tcpState: "established" | "unestablished" | undefined;
  readonly delayMs: number;
  /** Per cent of the delay by which it may differ. */
  readonly jitterPercent: number;
  readonly lossPercent: number;
  /** Where TCP segments with data are answered to go; may end in `|SECRET`, so it is shown to nobody. */
  readonly redirect: string | undefined;
}

/**
 * The order in which rules are tried: by priority, of equal ones those that pass first, then as they were written
 * (hub.md 7.1).
 */
export function sortAccessRules(rules: readonly AccessRule[]): readonly AccessRule[] {
  return rules.toSorted(
    (a, b) => a.priority - b.priority || Number(a.action === "drop") - Number(b.action === "drop"),
  );
}
