import {
  CLIENT_MODE_IPV4,
  CLIENT_MODE_IPV6,
  CLIENT_MODE_MACS,
  MAX_FDB_ENTRIES_PER_PORT,
  MIN_IPV6_LIMIT,
} from "../base/limits.ts";
import type { HubOptions } from "../config/hub-options.ts";
import type { Policy } from "../config/policy.ts";
import type { MacHold } from "./fdb.ts";
import type { PortKind } from "./port-identity.ts";

/** Who is behind a port, and what that port may do. */
export interface PortAccess {
  readonly kind: PortKind;
  /** User as lists show it. */
  readonly user: string;
  /** As lists show it, where that is not the name of the cable's own end. */
  readonly name?: string;
  readonly group?: string | undefined;
  /** The other end of the tunnel, of network sessions and cascades. */
  readonly remoteAddress?: string | undefined;
  /** The effective policy: login has already put client mode's restrictions into it (hub.md 5.1, 12). */
  readonly policy: Policy;
}

interface KindRules {
  readonly isNetworkSession: boolean;
  readonly checksMac: boolean;
  readonly macHold: MacHold;
}

const NETWORK: KindRules = { isNetworkSession: true, checksMac: false, macHold: "none" };
const HOST: KindRules = { isNetworkSession: false, checksMac: false, macHold: "always" };

/** What the kind of a port means to the learning of MACs (hub.md 2.7 with e, robustness.md FR-10). */
export const KIND_RULES: Readonly<Record<PortKind, KindRules>> = {
  client: NETWORK,
  bridge: NETWORK,
  monitor: NETWORK,
  "local-bridge": { isNetworkSession: false, checksMac: true, macHold: "fresh" },
  cascade: { isNetworkSession: false, checksMac: false, macHold: "fresh" },
  "secure-nat": HOST,
  l3: HOST,
};

/** A port may not take a fresh MAC from another one: policy CheckMac, which local bridges always have (hub.md 2.7). */
export function checksMac(
  { kind, policy }: Pick<PortAccess, "kind" | "policy">,
  { DisableCheckMacOnLocalBridge: isExempt }: HubOptions,
): boolean {
  return policy.check_mac || (KIND_RULES[kind].checksMac && !isExempt);
}

export interface MacLimit {
  readonly macLimit: number;
  readonly macLimitDrops: boolean;
}

/** MACs that a port may have (hub.md 2.7); network sessions without a number have an ample one. */
export function macLimitOf({ kind, policy }: PortAccess): MacLimit {
  const asked = Math.min(
    policy.no_bridge ? CLIENT_MODE_MACS : Infinity,
    policy.max_mac || Infinity,
  );
  if (asked !== Infinity)
    return { macLimit: Math.max(asked, CLIENT_MODE_MACS), macLimitDrops: true };
  return {
    macLimit: KIND_RULES[kind].isNetworkSession ? MAX_FDB_ENTRIES_PER_PORT : Infinity,
    macLimitDrops: false,
  };
}

/** Infinity where a family has no limit. */
export interface IpLimits {
  readonly ipv4: number;
  readonly ipv6: number;
}

/** IP addresses that a port may have (hub.md 2.8). */
export function ipLimitsOf(policy: Policy): IpLimits {
  return {
    ipv4: Math.max(
      Math.min(policy.no_routing ? CLIENT_MODE_IPV4 : Infinity, policy.max_ip || Infinity),
      CLIENT_MODE_IPV4,
    ),
    ipv6: Math.max(
      Math.min(policy.no_routing_v6 ? CLIENT_MODE_IPV6 : Infinity, policy.max_ipv6 || Infinity),
      MIN_IPV6_LIMIT,
    ),
  };
}
