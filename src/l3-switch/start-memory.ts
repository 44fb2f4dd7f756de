import { createHash } from "node:crypto";
import { formatAddress, formatNet } from "../base/ip.ts";
import type { L3SwitchConfig } from "../config/l3-switch-config.ts";
import type { StateStore } from "../config/state-store.ts";

/** What commands have said about switches, kept from one run to the next. */
export interface StartMemory {
  /** Undefined where the file alone decides: nobody has said anything since it was last changed. */
  wish(config: L3SwitchConfig): boolean | undefined;
  setWish(config: L3SwitchConfig, running: boolean): void;
}

/** In state.db, as what the file does not say. */
export class StoredStartMemory implements StartMemory {
  readonly #store: StateStore;
  readonly #wall: () => number;

  /** @param wall milliseconds since 1970, now */
  constructor(store: StateStore, wall: () => number) {
    this.#store = store;
    this.#wall = wall;
  }

  wish(config: L3SwitchConfig): boolean | undefined {
    const name = config.name.toLowerCase();
    const found = this.#store.objects.overrides("l3switch").find((entry) => entry.name === name);
    // The file has become another since, so it decides again (config-proposal.md 1).
    if (found === undefined || found.baseHash !== hashOf(config)) return undefined;
    const enable = found.keys?.["enable"];
    return typeof enable === "boolean" ? enable : undefined;
  }

  setWish(config: L3SwitchConfig, running: boolean): void {
    const name = config.name.toLowerCase();
    const { objects } = this.#store;
    if (running === config.enable) return objects.forgetOverride("l3switch", name);
    const change = { name, baseHash: hashOf(config), keys: { enable: running } };
    objects.override("l3switch", change, this.#wall());
  }
}

function hashOf({ interfaces, routes, enable, ra, mtu }: L3SwitchConfig): string {
  const text = JSON.stringify([
    enable,
    ra,
    mtu,
    interfaces.map(({ hub, addresses }) => [hub, ...addresses.map(formatNet)]),
    routes.map(({ to, via, metric }) => [formatNet(to), formatAddress(via.bytes), metric]),
  ]);
  return createHash("sha256").update(text).digest("hex");
}
