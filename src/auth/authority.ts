/** What somebody outside is asked about a login. */
export interface OutsideRequest {
  readonly hub: string;
  /** The name to ask for: the one that was typed, or the alias that the user's configuration gives. */
  readonly user: string;
  readonly typedUser: string;
  /** UTF-8, without a one-time code. */
  readonly password: Uint8Array;
  /** Where the peer connects from, as text. */
  readonly address: string;
  /** Layer and protocol by which the peer comes, for rules of those outside: `L2:SEVPN`. */
  readonly sessionInfo: string;
  /** The hub group that the user's entry names: an NT domain must have the user in its group of that name. */
  readonly group?: string;
}

/** `unavailable` is nobody's fault at the door: the login is refused, but no penalty is due. */
export type OutsideVerdict =
  | {
      readonly kind: "accepted";
      readonly group?: string;
      readonly framedAddress?: string;
      readonly sessionTimeoutS?: number;
      readonly idleTimeoutS?: number;
      readonly vlanId?: number;
      /** To be given back in accounting, octet by octet (RFC 2865 5.25). */
      readonly class?: readonly Uint8Array[];
      /** Wished time between two interim updates of accounting (RFC 2869 5.16). */
      readonly interimIntervalS?: number;
    }
  | { readonly kind: "rejected" }
  | { readonly kind: "unavailable"; readonly reason: string };

/** Somebody outside this server who knows passwords: RADIUS servers or an NT domain (hub.md 9.2, 9.3). */
export interface Authority {
  /** Answers in bounded time; never throws for what the network or the other side does. */
  ask(request: OutsideRequest, signal: AbortSignal): Promise<OutsideVerdict>;
}

/** What an outside authority gives along with its consent. */
export type OutsideGrants = Omit<Extract<OutsideVerdict, { kind: "accepted" }>, "kind">;

/**
 * The one who waits at the door while somebody outside is asked. Between `begin` and `end`, each called once a
 * login, the deadline of the login stands still and a peer that gives up in silence is kept (robustness.md 2).
 */
export interface OutsideWait {
  /** Aborted when the peer has gone. */
  readonly signal: AbortSignal;
  begin(): void;
  end(): void;
}
