import type { Net } from "../base/ip.ts";
import type { LogFormat, LogLevel } from "../observe/log.ts";
import { DEFAULT_POLICY, type Policy } from "./policy.ts";
import type { ResolvedSecret } from "./secret.ts";

/** Everything `vpn server` is told by config.toml: complete, checked and frozen. */
export interface ServerConfig {
  readonly server: ServerSettings;
  readonly tls: TlsSettings;
  readonly log: LogSettings;
  readonly lockout: LockoutSettings;
  readonly limits: LimitSettings;
  /** In the order of the file; never empty. */
  readonly hubs: readonly HubConfig[];
}

export interface ServerSettings {
  readonly name: string;
  readonly listen: readonly ListenAddress[];
  /** As the file names it, absolute; `resolveStateDir()` applies flag and defaults. */
  readonly stateDir: string | undefined;
  /** 0: no limit. */
  readonly maxSessions: number;
  readonly revealHubs: boolean;
  readonly hashedLogin: boolean;
  readonly watch: boolean;
}

export interface ListenAddress {
  /** Without one: all addresses, v4 and v6. */
  readonly address: string | undefined;
  readonly port: number;
  readonly enable: boolean;
}

export const TLS_VERSIONS = ["1.0", "1.1", "1.2", "1.3"] as const;
export type TlsVersion = (typeof TLS_VERSIONS)[number];

export interface TlsSettings {
  /** Absolute paths of PEM files; both or none, and none means the generated certificate. */
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly min: TlsVersion;
  readonly max: TlsVersion;
  /** OpenSSL names with ":"; undefined means the runtime's list. */
  readonly ciphers: string | undefined;
}

export interface LogSettings {
  readonly format: LogFormat;
  readonly level: LogLevel;
}

export interface LockoutSettings {
  readonly enable: boolean;
  readonly penaltyMs: number;
  readonly enforceAtMs: number;
  readonly maxMs: number;
  readonly exempt: readonly Net[];
}

/** Of connections that are not logged in; the times run from accept. */
export interface LimitSettings {
  readonly connectionsPerSource: number;
  readonly connections: number;
  readonly tlsHandshakeMs: number;
  readonly firstRequestMs: number;
  readonly loginMs: number;
}

export interface HubConfig {
  /** As written; look-ups ignore case. */
  readonly name: string;
  readonly online: boolean;
  /** 0: no limit. */
  readonly maxSessions: number;
  /** Named by `enum_hub`. */
  readonly announce: boolean;
  /** Shown to clients at login, "" for none. */
  readonly message: string;
  readonly policy: Policy;
  readonly groups: readonly GroupConfig[];
  readonly users: readonly UserConfig[];
}

export interface GroupConfig {
  readonly name: string;
  readonly fullName: string;
  readonly note: string;
  readonly policy: Policy | undefined;
}

export interface UserConfig {
  /** As written; look-ups ignore case. */
  readonly name: string;
  readonly enable: boolean;
  /** Wall-clock milliseconds since 1970. */
  readonly expires: number | undefined;
  readonly fullName: string;
  readonly note: string;
  /** Name of a group of the same hub, as that group is written. */
  readonly group: string | undefined;
  readonly policy: Policy | undefined;
  readonly credential: UserCredential;
}

/** `generated`: the file names no way of login, so a password is made once and kept in state.db. */
export type UserCredential =
  | { readonly kind: "password"; readonly secret: ResolvedSecret }
  | { readonly kind: "anonymous" }
  | { readonly kind: "generated" };

/** Whole records, no merging by item: the user's, else its group's, else the hub's (hub.md 5.1 step 6). */
export function effectivePolicy(hub: HubConfig, user: UserConfig): Policy {
  const group = hub.groups.find((candidate) => candidate.name === user.group);
  return user.policy ?? group?.policy ?? hub.policy;
}

/** What the hub `DEFAULT` of a file without hubs is. */
export const DEFAULT_HUB: HubConfig = Object.freeze({
  name: "DEFAULT",
  online: true,
  maxSessions: 0,
  announce: false,
  message: "",
  policy: DEFAULT_POLICY,
  groups: [],
  users: [],
});
