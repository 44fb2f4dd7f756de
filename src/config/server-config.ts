import type { Ipv4, Net } from "../base/ip.ts";
import { type AdminLimits, NO_ADMIN_LIMITS } from "./admin-limits.ts";
import type { BridgeConfig } from "./bridge-shape.ts";
import type { CascadeConfig } from "./cascade-shape.ts";
import type { CompatName } from "./compat.ts";
import { DEFAULT_HUB_OPTIONS, type HubOptions } from "./hub-options.ts";
import type { AccessRule } from "./access-rule.ts";
import type { L3SwitchConfig } from "./l3-switch-config.ts";
import { DEFAULT_HUB_LOG, type HubLogSettings, type ServerLogSettings } from "./log-settings.ts";
import { DEFAULT_POLICY, type Policy } from "./policy.ts";
import type { SecureNatConfig } from "./secure-nat-config.ts";
import type { UserSecret } from "./secret.ts";

/** Everything `vpn server` is told by config.toml: complete, checked and frozen. */
export interface ServerConfig {
  /** A bridge has one hub, which nobody logs in to (hub.md 2.1). */
  readonly edition: "server" | "bridge";
  readonly server: ServerSettings;
  readonly tls: TlsSettings;
  readonly log: ServerLogSettings;
  readonly lockout: LockoutSettings;
  readonly limits: LimitSettings;
  /** In the order of the file; never empty. */
  readonly hubs: readonly HubConfig[];
  /** In the order of the file; a bridge has none. */
  readonly l3Switches: readonly L3SwitchConfig[];
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
  /** Grant `use_encrypt` = 0; hubs may differ. */
  readonly allowPlaintext: boolean;
  readonly udpAcceleration: boolean;
  /** For UDP acceleration, both included. */
  readonly udpPorts: PortRange;
  /** Improvements that are switched off, in the order of the list of all names. */
  readonly compat: readonly CompatName[];
  /** Absolute path of the helper for NT domain users. */
  readonly ntlmAuth: string;
  readonly watch: boolean;
}

export interface PortRange {
  readonly first: number;
  readonly last: number;
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

export interface LockoutSettings {
  readonly enable: boolean;
  readonly penaltyMs: number;
  readonly enforceAtMs: number;
  readonly maxMs: number;
  /** Of one user from all sources: so many within the window hold him. */
  readonly userFailures: number;
  readonly userWindowMs: number;
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
  /** The server's where the hub names none. */
  readonly allowPlaintext: boolean;
  readonly hashedLogin: boolean;
  /** In the order in which they are tried. */
  readonly source: readonly SourceRule[];
  /** In the order in which they are tried. */
  readonly access: readonly AccessRule[];
  /** DER; each is trusted by itself. */
  readonly trustedCa: readonly Uint8Array[];
  readonly crl: readonly RevocationRule[];
  /** Undefined where no server is named. */
  readonly radius: RadiusSettings | undefined;
  readonly log: HubLogSettings;
  readonly options: HubOptions;
  readonly adminLimits: AdminLimits;
  readonly policy: Policy;
  readonly groups: readonly GroupConfig[];
  readonly users: readonly UserConfig[];
  readonly cascades: readonly CascadeConfig[];
  /** No two lead to one interface. */
  readonly bridges: readonly BridgeConfig[];
  /** Undefined where the hub was never told of one. */
  readonly secureNat: SecureNatConfig | undefined;
}

/** By the peer's address: the first that holds it decides, nobody is dropped without one. */
export interface SourceRule {
  readonly from: Net;
  readonly action: "pass" | "drop";
  readonly priority: number;
}

/** Certificates that are not good any more: those of a list (RFC 5280 5), or all that have each of these properties. */
export type RevocationRule =
  | { readonly kind: "list"; readonly path: string; readonly der: Uint8Array }
  | { readonly kind: "fields"; readonly fields: RevokedFields };

export const SUBJECT_FIELDS = ["cn", "o", "ou", "c", "st", "l"] as const;
export type SubjectField = (typeof SUBJECT_FIELDS)[number];
/** Digests and serial number in lower-case hexadecimal, the serial without leading zeros. */
export type RevokedFields = {
  readonly [K in SubjectField | "serial" | "md5" | "sha1"]: string | undefined;
};

export interface HostPort {
  /** A name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Where the attribute stands that names a user's group. */
export const GROUP_ATTRIBUTES = ["Filter-Id", "Class", "off"] as const;

/** `hub.NAME.radius` (config-proposal.md 7.3). */
export interface RadiusSettings {
  /** In the order in which they are asked; never empty. */
  readonly servers: readonly HostPort[];
  readonly secret: Uint8Array;
  /** After this the next server is asked, and after `timeoutMs` in all nobody any more. */
  readonly retryMs: number;
  readonly timeoutMs: number;
  readonly nasId: string;
  /** Appended to the name behind "@", "" for none. */
  readonly realm: string;
  /** Only names that end so, realm included, are asked for; "" for all. */
  readonly suffixFilter: string;
  readonly groupFrom: (typeof GROUP_ATTRIBUTES)[number];
  readonly accounting: readonly HostPort[];
  readonly accountingIntervalMs: number;
  readonly requireMessageAuthenticator: boolean;
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
  /** What the DHCP server of SecureNAT gives his machine. */
  readonly address: Ipv4 | undefined;
  /** Secret of the one-time codes that this user appends to his password, 16 to 64 bytes. */
  readonly totp: Uint8Array | undefined;
}

/** The one way in which a user proves who he is (hub.md 9.2). */
export type UserCredential =
  | { readonly kind: "password"; readonly secret: UserSecret }
  | { readonly kind: "anonymous" }
  /** The file names no way of login, so a password is made once and kept in state.db. */
  | { readonly kind: "generated" }
  /** This very certificate, in DER. */
  | { readonly kind: "certificate"; readonly der: Uint8Array }
  /** Any that a trusted CA of the hub has signed, with this name and serial number where they are given. */
  | {
      readonly kind: "signed-certificate";
      readonly commonName: string | undefined;
      /** Lower-case hexadecimal without leading zeros. */
      readonly serial: string | undefined;
    }
  /** Somebody outside knows the password; `alias` is the name there, else the one that was typed. */
  | {
      readonly kind: "outside";
      readonly authority: "radius" | "nt";
      readonly alias: string | undefined;
    };

/**
 * Whole records, no merging by item: the user's, else its group's, else the hub's (hub.md 5.1 step 6). A group that
 * somebody outside names takes the place of the user's own, if the hub has one of that name.
 */
export function effectivePolicy(hub: HubConfig, user: UserConfig, outsideGroup?: string): Policy {
  const group = findGroup(hub, outsideGroup) ?? findGroup(hub, user.group);
  return user.policy ?? group?.policy ?? hub.policy;
}

/** The group of this name, whatever its case. */
export function findGroup(hub: HubConfig, name: string | undefined): GroupConfig | undefined {
  return hub.groups.find((group) => group.name.toLowerCase() === name?.toLowerCase());
}

/** What the hub `DEFAULT` of a file without hubs is. */
export const DEFAULT_HUB: HubConfig = Object.freeze({
  name: "DEFAULT",
  online: true,
  maxSessions: 0,
  announce: false,
  message: "",
  allowPlaintext: false,
  hashedLogin: true,
  source: [],
  access: [],
  trustedCa: [],
  crl: [],
  radius: undefined,
  log: DEFAULT_HUB_LOG,
  options: DEFAULT_HUB_OPTIONS,
  adminLimits: NO_ADMIN_LIMITS,
  policy: DEFAULT_POLICY,
  groups: [],
  users: [],
  cascades: [],
  bridges: [],
  secureNat: undefined,
});
