import { VpnError } from "../base/errors.ts";
import type { HubHost } from "./hub-host.ts";
import { type HubLifetime, lifetimeOf } from "./snapshot.ts";

/** A user of a hub, and what he has done in all his time: earlier runs of the server count. Times are ISO 8601. */
export interface UserSnapshot extends Omit<HubLifetime, "created"> {
  /** `*` for all who have no entry of their own. */
  readonly name: string;
  readonly fullName: string;
  readonly group: string | null;
  readonly enabled: boolean;
  /** Null for never. */
  readonly expires: string | null;
}

/**
 * The users of a hub in the order of its configuration; numbers as they were last booked.
 * @throws VpnError `hub_not_found`
 */
export function usersOf(hubs: ReadonlyMap<string, HubHost>, hub: string): UserSnapshot[] {
  const host = hubs.get(hub.toLowerCase());
  if (host === undefined) throw new VpnError("hub_not_found", `There is no hub "${hub}"`);
  return host.config.users.map(({ name, fullName, group, enable, expires }) => {
    const { logins, lastLogin, lastTraffic, inBytes, outBytes } = lifetimeOf(
      host.ledger.row("user", name),
    );
    return {
      name,
      fullName,
      group: group ?? null,
      enabled: enable,
      expires: expires === undefined ? null : new Date(expires).toISOString(),
      logins,
      lastLogin,
      lastTraffic,
      inBytes,
      outBytes,
    };
  });
}
