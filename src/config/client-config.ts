import type { Net } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";
import type { ResolvedSecret } from "./secret.ts";
import type { LogSettings } from "./log-settings.ts";

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
  readonly mode: "client" | "bridge" | "monitor";
  readonly wishes: SessionWishes;
  readonly proxy: ProxySetting;
  readonly retry: number | "forever";
  readonly retryIntervalMs: number;
  readonly family: "any" | "ipv4" | "ipv6";
  /** `vpn client up` and `vpn client service` connect it without being told its name. */
  readonly autostart: boolean;
  /** Take the default route that DHCP offers. */
  readonly defaultRoute: boolean;
  /** Take the DNS servers that DHCP offers. */
  readonly dns: boolean;
  /** Networks that go through the tunnel; never together with `defaultRoute`. */
  readonly routes: readonly Net[];
  /** Nothing but the tunnel leaves this machine while the account is up. */
  readonly killSwitch: boolean;
}

/** hub.md 15.3. */
const DEFAULT_RETRY_INTERVAL_MS = 15_000;

/** What a login asks of its session (protocol.md 7); the server has the last word. */
export interface SessionWishes {
  /** TCP connections, 1 to 32. */
  readonly connections: number;
  /** Between the openings of two additional connections. */
  readonly intervalMs: number;
  /** After this time each connection is replaced by a new one; 0: never. */
  readonly lifetimeMs: number;
  readonly halfDuplex: boolean;
  readonly compress: boolean;
  readonly encrypt: boolean;
  readonly qos: boolean;
  readonly udp: boolean;
}

/** The defaults of the reference (hub.md 15.3). */
export const DEFAULT_WISHES = Object.freeze<SessionWishes>({
  connections: 1,
  intervalMs: 1_000,
  lifetimeMs: 0,
  halfDuplex: false,
  compress: false,
  encrypt: true,
  qos: true,
  udp: true,
});

/** An account of which only server, hub and user are told. */
export const DEFAULT_ACCOUNT = Object.freeze<
  Omit<AccountConfig, "name" | "host" | "port" | "hub" | "user">
>({
  credential: { kind: "password", secret: undefined, plain: false },
  verify: { kind: "auto" },
  nic: undefined,
  mode: "client",
  wishes: DEFAULT_WISHES,
  proxy: undefined,
  retry: "forever",
  retryIntervalMs: DEFAULT_RETRY_INTERVAL_MS,
  family: "any",
  autostart: false,
  defaultRoute: false,
  dns: false,
  routes: [],
  killSwitch: false,
});

/** The way to the server. Undefined: as the environment says (`https_proxy` and its like). */
export type ProxySetting =
  | {
      readonly kind: "http" | "socks4" | "socks5";
      readonly host: string;
      readonly port: number;
      readonly user: string | undefined;
      /** UTF-8. */
      readonly password: Uint8Array | undefined;
    }
  | { readonly kind: "direct" }
  | undefined;

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
  /** What the files hold is read, and checked, when the account connects. */
  | { readonly kind: "certificate"; readonly cert: PemSource; readonly key: PemSource }
  | { readonly kind: "anonymous" };

/** The absolute path of a PEM file, or PEM text that this program keeps itself. */
export type PemSource = { readonly path: string } | { readonly pem: string };

/** How the server's certificate is judged. `auto`: valid by the system's CAs, else pinned at first use. */
export type VerifySetting =
  | { readonly kind: "auto" }
  | { readonly kind: "system" }
  /** Absolute path of a PEM file: that certificate, or any that this CA signed. */
  | { readonly kind: "file"; readonly path: string }
  /** Likewise, of PEM text that this program keeps itself. */
  | { readonly kind: "pem"; readonly pem: string }
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
