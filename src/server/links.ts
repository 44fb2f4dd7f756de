import { X509Certificate } from "node:crypto";
import { Cascades } from "../cascade/cascades.ts";
import type { CascadeStatus } from "../cascade/cascade-status.ts";
import type { LinkPort } from "../cascade/cascade.ts";
import type { LinkMemory } from "../cascade/link-memory.ts";
import type { Clock } from "../base/clock.ts";
import { VpnError } from "../base/errors.ts";
import { tryParseAddress } from "../base/ip.ts";
import type { Random } from "../base/random.ts";
import type { Policy } from "../config/policy.ts";
import { tryParseServerAddress } from "../config/remote.ts";
import type { Port } from "../hub/port.ts";
import type { Log } from "../observe/log.ts";
import type { Endpoint } from "../secure-nat/destination-rule.ts";
import type { Heartbeat } from "../session/heartbeat.ts";
import type { HubHost } from "./hub-host.ts";

/** Sessions come and go seldom. */
const FRESH_MS = 1_000;

export interface LinksDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly heartbeat: Heartbeat;
  readonly memory: LinkMemory;
  /** Product name that other servers see. */
  readonly product: string;
}

/** The cascades of all hubs of a server. */
export class Links {
  readonly #deps: LinksDeps;
  /** By lower-case name of the hub. */
  readonly #byHub = new Map<string, Cascades>();
  #installation: Uint8Array | undefined;
  #servers: readonly Endpoint[] = [];
  #foundAt = -Infinity;

  constructor(deps: LinksDeps) {
    this.#deps = deps;
  }

  /** The cascades that these hubs want by now. */
  reconfigure(hosts: Iterable<HubHost>): void {
    for (const host of hosts) {
      const { cascades, online } = host.config;
      const key = host.config.name.toLowerCase();
      const known = this.#byHub.get(key);
      if (known === undefined && cascades.length === 0) continue;
      const all = known ?? this.#open(host);
      this.#byHub.set(key, all);
      all.reconfigure(cascades, online);
    }
  }

  /** Servers that there are tunnels to now; found out once a second at most. */
  tunnelServers(): readonly Endpoint[] {
    const now = this.#deps.clock.now();
    if (now - this.#foundAt < FRESH_MS) return this.#servers;
    this.#foundAt = now;
    this.#servers = [...this.#byHub.values()].flatMap((all) =>
      all.list().flatMap(({ session }) => endpointsOf(session?.serverAddress)),
    );
    return this.#servers;
  }

  list(hub: string): readonly CascadeStatus[] {
    return this.#byHub.get(hub.toLowerCase())?.list() ?? [];
  }

  /** @throws VpnError `cascade_unknown` */
  setOnline(hub: string, name: string, online: boolean): CascadeStatus {
    const all = this.#byHub.get(hub.toLowerCase());
    if (all === undefined) {
      throw new VpnError("cascade_unknown", `The server has no hub "${hub}" with cascades`);
    }
    all.setOnline(name, online);
    return all.list().find((one) => one.name.toLowerCase() === name.toLowerCase())!;
  }

  /** Ends those of one hub in order, before the hub itself goes. */
  async remove(hub: string): Promise<void> {
    const key = hub.toLowerCase();
    const all = this.#byHub.get(key);
    this.#byHub.delete(key);
    await all?.close();
  }

  /** Ends all of them in order. */
  async close(): Promise<void> {
    await Promise.all([...this.#byHub.keys()].map((hub) => this.remove(hub)));
  }

  #open(host: HubHost): Cascades {
    const { memory } = this.#deps;
    this.#installation ??= memory.installation();
    return new Cascades(
      {
        ...this.#deps,
        hub: host.config.name,
        hubId: () => (host.hub.settings.compat.has("loop-probe") ? undefined : host.id),
        installation: this.#installation,
        authorities: () => host.config.trustedCa.map((der) => new X509Certificate(der)),
        active: () => this.#active,
        plug: (session, as) => plug(host, session, as),
      },
      memory,
    );
  }

  get #active(): number {
    let count = 0;
    for (const all of this.#byHub.values()) count += all.active;
    return count;
  }
}

/** `"192.0.2.1:443"` as status has it; a name, behind a proxy, is no address that anybody here would reach. */
export function endpointsOf(written: string | undefined): Endpoint[] {
  const found = written === undefined ? undefined : tryParseServerAddress(written, 0);
  const address = found === undefined ? undefined : tryParseAddress(found.host);
  return found === undefined || address === undefined ? [] : [{ address, port: found.port }];
}

function plug(
  host: HubHost,
  cable: Port,
  as: { readonly policy: Policy; readonly remoteAddress: string },
): LinkPort {
  const session = host.plugInner(cable, { kind: "cascade", ...as });
  const { port } = session;
  return {
    name: session.name,
    traffic: () => port.counters.record(),
    reconfigure: (policy) => port.reconfigure(policy),
    unplug: () => host.unplugInner(session),
  };
}
