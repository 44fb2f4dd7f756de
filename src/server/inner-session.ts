import type { Policy } from "../config/policy.ts";
import type { Hub } from "../hub/hub.ts";
import type { HubPort } from "../hub/hub-port.ts";
import type { Port } from "../hub/port.ts";
import type { Ledger } from "./ledger.ts";

/** Kinds of sessions that the server itself plugs into a hub. */
export type InnerKind = "local-bridge" | "cascade" | "secure-nat" | "l3";

/** How lists show them (hub.md 1.1, 5.3). */
const CAPTIONS: Readonly<
  Record<InnerKind, { readonly tag: string; readonly user: string; readonly host: string }>
> = {
  "local-bridge": { tag: "LOCALBRIDGE", user: "Local Bridge", host: "Ethernet Bridge" },
  cascade: { tag: "LINK", user: "Cascade", host: "Virtual Host" },
  "secure-nat": { tag: "SECURENAT", user: "SecureNAT", host: "Virtual Host" },
  l3: { tag: "L3", user: "L3SW", host: "Virtual Layer 3 Switch" },
};

/** A session of the server's own, as opposed to those of users who logged in. */
export interface InnerSession {
  /** SID-LOCALBRIDGE-2 */
  readonly name: string;
  readonly kind: InnerKind;
  readonly user: string;
  /** What lists show in the place of an address. */
  readonly host: string;
  readonly port: HubPort;
  /** Wall-clock milliseconds since 1970. */
  readonly since: number;
}

export interface InnerPlug {
  readonly kind: InnerKind;
  readonly policy: Policy;
  /** It gets a copy of all frames and sends none. */
  readonly isMonitor?: boolean;
  /** The other end of the tunnel of a cascade. */
  readonly remoteAddress?: string;
  /** Of an L3 switch, its name: a hub may have ports of several. */
  readonly of?: string;
}

/** The sessions of a hub that are the server's own. */
export class InnerSessions {
  readonly #hub: Hub;
  readonly #ledger: Ledger;
  /** With what books its traffic at the end. */
  readonly #open = new Map<InnerSession, () => void>();

  constructor(hub: Hub, ledger: Ledger) {
    this.#hub = hub;
    this.#ledger = ledger;
  }

  /** In the order in which they came. */
  get list(): readonly InnerSession[] {
    return [...this.#open.keys()];
  }

  /** @param number of the session in this hub, from the counter that all sessions share (hub.md 5.2) */
  plug(cable: Port, plug: InnerPlug, number: number, wall: number) {
    const { kind, policy, remoteAddress, isMonitor = false, of } = plug;
    const { tag, user: caption, host } = CAPTIONS[kind];
    const user = of === undefined ? caption : `${caption}_${of}`;
    const name = `SID-${of === undefined ? tag : `${tag}-${of.toUpperCase()}`}-${number}`;
    const port = this.#hub.attach(cable, {
      kind: isMonitor ? "monitor" : kind,
      user,
      name,
      policy,
      remoteAddress,
    });
    const session: InnerSession = { name, kind, user, host, port, since: wall };
    const { counters } = port;
    this.#open.set(session, this.#ledger.open({ user: undefined, group: undefined, counters }));
    return session;
  }

  /** Takes it off the hub; whoever owns the cable closes that. May be called twice. */
  unplug(session: InnerSession): void {
    const settle = this.#open.get(session);
    if (settle === undefined) return;
    this.#open.delete(session);
    session.port.detach();
    settle();
  }
}
