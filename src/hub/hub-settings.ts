import { DEFAULT_HUB_OPTIONS, type HubOptions } from "../config/hub-options.ts";
import type { AccessRule } from "../config/access-rule.ts";
import type { CompatName } from "../config/compat.ts";
import { NO_PACKETS, type PacketLevels } from "../observe/packet-record.ts";

/** What a hub is told about all of its ports; a change is another value. */
export interface HubSettings {
  readonly options: HubOptions;
  /** Improvements over the reference that are switched off (hub.md 17). */
  readonly compat: ReadonlySet<CompatName>;
  /** What the packet log keeps, where there is one. */
  readonly packetLevels: PacketLevels;
  /** In the order in which they are tried (hub.md 7). */
  readonly access: readonly AccessRule[];
}

export const DEFAULT_HUB_SETTINGS: HubSettings = Object.freeze({
  options: DEFAULT_HUB_OPTIONS,
  compat: new Set<CompatName>(),
  packetLevels: NO_PACKETS,
  access: [],
});
