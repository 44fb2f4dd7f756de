import type { DialPhase } from "../session/dial-target.ts";
import type { SessionStatus } from "../session/session-status.ts";

export type ClientState = DialPhase | "connected" | "retrying" | "disconnecting";

/** What a running client says of itself, as JSON on its socket. Times are wall-clock milliseconds since 1970. */
export interface ClientStatus {
  readonly account: string;
  readonly pid: number;
  readonly state: ClientState;
  readonly startedAt: number;
  readonly server: string;
  readonly hub: string;
  readonly user: string;
  readonly mode: "client" | "bridge" | "monitor";
  readonly verify: string;
  /** The server's certificate is not looked at. */
  readonly insecure: boolean;
  readonly nic: string;
  readonly mac: string;
  readonly mtu: number;
  readonly addresses: readonly string[];
  readonly host?: HostStatus;
  /** Sessions established so far. */
  readonly established: number;
  readonly session?: SessionStatus;
  readonly retry?: RetryStatus;
}

/** What the account has changed of the machine's network. */
export interface HostStatus {
  /** Address families whose default route is the tunnel. */
  readonly defaultRoute: readonly (4 | 6)[];
  /** Number of other routes through it. */
  readonly routes: number;
  /** Name servers that the machine was given. */
  readonly dns: readonly string[];
  readonly killSwitch: boolean;
}

export interface RetryStatus {
  /** Failures in a row so far. */
  readonly failures: number;
  readonly at: number;
  readonly error: { readonly code: string; readonly message: string };
}

/** What happens to a client, one after the other: lines for people, JSON for machines. */
export type ClientEvent =
  | { readonly event: "resolving" | "connecting" | "negotiating" | "authenticating" }
  | { readonly event: "certificate_pinned"; readonly sha256: string }
  | {
      readonly event: "connected";
      readonly session: string;
      readonly server: string;
      readonly cipher: string;
      /** The interface; a capture has none. */
      readonly nic?: string;
      readonly insecure: boolean;
      /** The hub's message to those who log in, "" for none. */
      readonly message: string;
    }
  | {
      readonly event: "address";
      readonly addresses: readonly string[];
      readonly from: "static" | "dhcp";
    }
  | { readonly event: "address_lost"; readonly reason: string }
  | { readonly event: "warning"; readonly code: string; readonly message: string }
  | {
      readonly event: "retrying";
      readonly delayMs: number;
      readonly failures: number;
      readonly code: string;
      readonly message: string;
    }
  | { readonly event: "disconnected"; readonly reason: string };
