import { VpnError } from "../base/errors.ts";
import { listRulePriorities } from "../platform/ip-rule.ts";

/** Slot n has priorities 16800 + 2n and 16900 + 2n, so that all servers come before all tunnels. */
const SERVER_PRIORITY = 16_800;
const TUNNEL_PRIORITY = 16_900;
const SLOTS = 50;
/** "PB" in the upper half: tables that nobody else numbers so. */
const TABLE = 0x5042_0000;

/** What of the routing policy is one account's: two priorities from each of these on, and a table. */
export interface RouteSlot {
  readonly serverPriority: number;
  readonly tunnelPriority: number;
  readonly table: number;
}

/**
 * The first slot of which no rule stands: another account may have one of its own.
 * @throws VpnError `no_rules_left`
 */
export function findSlot(): RouteSlot {
  const taken = new Set([...listRulePriorities(4), ...listRulePriorities(6)]);
  for (let slot = 0; slot < SLOTS; slot++) {
    const serverPriority = SERVER_PRIORITY + 2 * slot;
    const tunnelPriority = TUNNEL_PRIORITY + 2 * slot;
    const own = [serverPriority, serverPriority + 1, tunnelPriority, tunnelPriority + 1];
    if (own.some((priority) => taken.has(priority))) continue;
    return { serverPriority, tunnelPriority, table: TABLE + slot };
  }
  throw new VpnError(
    "no_rules_left",
    `Cannot route: ${SLOTS} accounts have taken the default route`,
  );
}
