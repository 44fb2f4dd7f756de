import { VpnError } from "../base/errors.ts";
import type { NatRequests } from "./control-socket.ts";
import type { HubHost } from "./hub-host.ts";
import type { HubNat } from "./hub-nat.ts";

/** What administrators ask the SecureNAT of a hub; the hubs are by lower-case name. */
export function natRequests(hubs: ReadonlyMap<string, HubHost>): NatRequests {
  const natOf = (hub: string): HubNat => {
    const host = hubs.get(hub.toLowerCase());
    if (host !== undefined) return host.nat;
    throw new VpnError("hub_not_found", `There is no hub "${hub}"`);
  };
  return {
    table: (hub) => natOf(hub).entries,
    leases: (hub) => natOf(hub).leases,
    remove: (hub, target) => natOf(hub).remove(target),
  };
}
