import type { Net } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";
import type { ResolvedSecret } from "./secret.ts";
import type { LogSettings } from "./server-config.ts";

/** Everything `vpn client` is told by client.toml: complete, checked and frozen. */
export interface ClientConfig {
  readonly client: {
    /** As the file names it, absolute; `resolveStateDir()` applies flag and defaults. */
    readonly stateDir: string | undefined;
  };
  readonly log: LogSettings;
  readonly nics: readonly NicConfig[];
  readonly accounts: readonly AccountConfig[];
}

export interface NicConfig {
  readonly name: string;
  /** Name of the interface, at most 15 characters. */
  readonly device: string;
  readonly address: NicAddress;
  readonly dhcpClient: "own" | "system";
  readonly mtu: number;
  /** Undefined: made at random, and kept. */
  readonly mac: MacAddress | undefined;
}

export type NicAddress =
  | { readonly kind: "dhcp" }
  | { readonly kind: "none" }
  | { readonly kind: "static"; readonly nets: readonly Net[] };

export interface AccountConfig {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly hub: string;
  readonly user: string;
  readonly credential: AccountCredential;
  readonly verify: VerifySetting;
  /** Name of a NIC of the file; undefined: the only one, else `vpn0` is made. */
  readonly nic: string | undefined;
  readonly mode: "client" | "bridge";
  readonly retry: number | "forever";
  readonly retryIntervalMs: number;
  readonly family: "any" | "ipv4" | "ipv6";
}

/**
 * `secret` undefined: asked for on a terminal. `plain`: the password itself is sent inside TLS instead of
 * its proof; then `secret` is never a hash.
 */
export type AccountCredential =
  | {
      readonly kind: "password";
      readonly secret: ResolvedSecret | undefined;
      readonly plain: boolean;
    }
  | { readonly kind: "anonymous" };

/** How the server's certificate is judged. `auto`: valid by the system's CAs, else pinned at first use. */
export type VerifySetting =
  | { readonly kind: "auto" }
  | { readonly kind: "system" }
  /** Absolute path of a PEM file: that certificate, or any that this CA signed. */
  | { readonly kind: "file"; readonly path: string }
  /** SHA-256 over the DER form, 32 bytes. */
  | { readonly kind: "sha256"; readonly fingerprint: Uint8Array }
  | { readonly kind: "off" };

/** The NIC of an account that names none in a file that declares none. */
export const DEFAULT_NIC = Object.freeze<NicConfig>({
  name: "vpn0",
  device: "vpn0",
  address: { kind: "dhcp" },
  dhcpClient: "own",
  mtu: 1500,
  mac: undefined,
});
