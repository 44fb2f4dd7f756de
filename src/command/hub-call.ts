import { formatAddress } from "../base/ip.ts";
import { formatMac } from "../base/mac.ts";
import type { TableEntry } from "../server/hub-tables.ts";
import type { UserSnapshot } from "../server/hub-users.ts";
import type { HubSnapshot } from "../server/snapshot.ts";
import type { ASK_FLAGS } from "./catalog.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { ask, askSnapshot, chooseHubs } from "./server-status.ts";

/** What commands about one hub ask of the running server, whatever way the question takes. */
export interface HubCall {
  snapshot(): Promise<HubSnapshot>;
  users(): Promise<UserSnapshot[]>;
  /** Rejects with 69 where the entry is not there. */
  remove(entry: TableEntry): Promise<void>;
}

/** Asks by the socket in the state directory; 64 for a hub that the server does not have. */
export function callHub(
  environment: CommandEnvironment,
  flags: FlagValues<typeof ASK_FLAGS>,
  name: string,
): HubCall {
  const snapshot = async () => chooseHubs(await askSnapshot(environment, flags), name)[0]!;
  return {
    snapshot,
    users: async () => {
      const query = new URLSearchParams({ hub: (await snapshot()).name });
      return (await ask(environment, flags, "GET", `/users?${query}`)) as UserSnapshot[];
    },
    remove: async (entry) => {
      const { name: hub } = await snapshot();
      const query =
        entry.kind === "mac"
          ? { hub, mac: formatMac(entry.mac), vlan: String(entry.vlan) }
          : { hub, ip: formatAddress(entry.address.bytes) };
      await ask(environment, flags, "DELETE", `/table?${new URLSearchParams(query)}`);
    },
  };
}
