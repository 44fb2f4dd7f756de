import type { Clock, Timer } from "../../base/clock.ts";
import { SystemError } from "../../base/errors.ts";
import { hasIpv6Way } from "../../platform/ipv6-way.ts";
import { type NetlinkWatch, watchIpv6Routes } from "../../platform/netlink-watch.ts";
import { sharedPoller } from "../../platform/shared-poller.ts";

/** Routes change in bursts; after the first of them the machine is looked at once more, then. */
const SETTLE_MS = 1_000;

/** Whether this machine can reach the internet by IPv6. */
export interface WayOut {
  readonly exists: boolean;
  /** May be called twice. */
  close(): void;
}

/** One watch for all hubs of the process, open while somebody wants to know. */
const shared: {
  readonly listeners: Set<() => void>;
  watch: NetlinkWatch | undefined;
  settle: Timer | undefined;
  exists: boolean;
} = { listeners: new Set(), watch: undefined, settle: undefined, exists: false };

/** Calls `onChange` when there is a way and was none, or the other way round. */
export function watchWayOut(clock: Clock, onChange: () => void): WayOut {
  const listener = () => onChange();
  if (shared.listeners.size === 0) open(clock);
  shared.listeners.add(listener);
  return {
    get exists() {
      return shared.exists;
    },
    close() {
      if (!shared.listeners.delete(listener) || shared.listeners.size > 0) return;
      shared.watch?.close();
      shared.watch = undefined;
      shared.settle?.cancel();
      shared.settle = undefined;
    },
  };
}

function open(clock: Clock): void {
  shared.exists = hasIpv6Way();
  try {
    shared.watch = watchIpv6Routes(sharedPoller, () => {
      look();
      shared.settle ??= clock.after(SETTLE_MS, () => {
        shared.settle = undefined;
        look();
      });
    });
  } catch (thrown) {
    // Without netlink, as in some sandboxes, what was so at the start holds.
    if (!(thrown instanceof SystemError)) throw thrown;
  }
}

function look(): void {
  const exists = hasIpv6Way();
  if (exists === shared.exists) return;
  shared.exists = exists;
  for (const listener of shared.listeners) listener();
}
