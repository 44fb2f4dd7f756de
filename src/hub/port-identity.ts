import type { Policy } from "../config/policy.ts";

export type PortKind =
  "client" | "bridge" | "monitor" | "local-bridge" | "cascade" | "secure-nat" | "l3";

/** Who is behind a port of a hub, as checks and logs see it. */
export interface PortIdentity {
  /** SID-ALICE-1, SID-LOCALBRIDGE-2. */
  readonly name: string;
  /** Its place in the tables of the hub; given again after the port has left. */
  readonly index: number;
  readonly kind: PortKind;
  /** User as lists show it. */
  readonly user: string;
  /** The user's group, where he has one. */
  readonly group: string | undefined;
  /** Admitted over the network, as opposed to ports that the server itself makes (hub.md 1, "normal client"). */
  readonly isNetworkSession: boolean;
  /** The other end of the tunnel, of network sessions and cascades. */
  readonly remoteAddress: string | undefined;
  /** The effective policy as it is now. */
  readonly policy: Policy;
  readonly isAttached: boolean;
}
