import type { CompatName } from "../../src/config/compat.ts";
import { DEFAULT_HUB_OPTIONS, type HubOptions } from "../../src/config/hub-options.ts";
import { DEFAULT_HUB_SETTINGS } from "../../src/hub/hub-settings.ts";
import type { World } from "./world.ts";

/** Applies options to the hub of a world, the others as they are by default. */
export function configure(
  world: World,
  options: Partial<HubOptions>,
  compat: readonly CompatName[] = [],
): void {
  world.hub.reconfigure({
    ...DEFAULT_HUB_SETTINGS,
    ...world.hub.settings,
    options: { ...DEFAULT_HUB_OPTIONS, ...options },
    compat: new Set(compat),
  });
}
