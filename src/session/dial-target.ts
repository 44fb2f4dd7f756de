import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import type { SessionWishes } from "../config/client-config.ts";
import type { Log } from "../observe/log.ts";
import type { Lookup } from "../transport/host-addresses.ts";
import type { Proxy } from "../transport/proxy.ts";
import type { AddressFamily } from "../transport/tls-dialer.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { SessionMode } from "./login.ts";
import type { Credential } from "./proof.ts";
import type { Session } from "./session.ts";

export type DialPhase = "resolving" | "connecting" | "negotiating" | "authenticating";

/** The server's certificate, for the caller's verdict. */
export interface ShownCertificate {
  readonly der: Uint8Array;
  /** SHA-256 of the DER form, lower-case hex. */
  readonly sha256: string;
  /** Valid by the system's CAs for this host. */
  readonly authorized: boolean;
  readonly problem: string | undefined;
}

export interface DialTarget {
  readonly host: string;
  readonly port: number;
  readonly hub: string;
  readonly user: string;
  readonly credential: Credential;
  readonly mode: SessionMode;
  readonly family: AddressFamily;
  /** Undefined: the server is connected to directly. */
  readonly proxy: Proxy | undefined;
  /** Product name that the server sees. */
  readonly clientName: string;
  readonly wishes: SessionWishes;
  /** 16 random bytes of this installation, the same every time. */
  readonly installation: Uint8Array;
  /** True, or why the certificate is not good enough. */
  readonly verify: (certificate: ShownCertificate) => true | Error;
}

/** What is known of the server of an open session. */
export interface ServerIdentity {
  readonly product: string;
  readonly version: number;
  readonly build: number;
  readonly address: string;
  readonly port: number;
  readonly cipher: string;
}

export interface DialedSession {
  readonly session: Session;
  readonly server: ServerIdentity;
  /** Puts the connection into its data phase. Call it once the session is plugged: frames come at once. */
  begin(): void;
}

export interface DialDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly heartbeat: Heartbeat;
  readonly signal: AbortSignal;
  /** As in SessionDeps, but 0 by default: the TAP behind a client can be stopped. */
  readonly egressBytes?: number;
  readonly onPhase?: (phase: DialPhase) => void;
  /** Told of each address and port, of the server or its proxy, before it is connected to. */
  readonly onAddress?: (address: string, port: number) => void;
  /** The system's resolver unless given. */
  readonly lookup?: Lookup;
}
