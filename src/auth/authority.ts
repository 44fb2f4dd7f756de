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
  /** Names the connection in the outside log. */
  readonly sessionInfo: string;
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
    }
  | { readonly kind: "rejected" }
  | { readonly kind: "unavailable"; readonly reason: string };

/** Somebody outside this server who knows passwords: RADIUS servers or an NT domain (hub.md 9.7, 9.8). */
export interface Authority {
  /** Answers in bounded time; never throws for what the network or the other side does. */
  ask(request: OutsideRequest, signal: AbortSignal): Promise<OutsideVerdict>;
}
