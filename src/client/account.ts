import { EXIT, ExitError } from "../base/errors.ts";
import {
  DEFAULT_ACCOUNT,
  DEFAULT_NIC,
  type AccountConfig,
  type AccountCredential,
  type ClientConfig,
  type NicAddress,
  type NicConfig,
  type ProxySetting,
  type SessionWishes,
  type VerifySetting,
} from "../config/client-config.ts";
import type { Net } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";

/** What the flags of `vpn client connect` say, in place of the file's values or of a whole account. */
export interface AccountFlags {
  readonly server?: { readonly host: string; readonly port: number } | undefined;
  readonly hub?: string | undefined;
  readonly user?: string | undefined;
  readonly credential?: AccountCredential | undefined;
  readonly verify?: VerifySetting | undefined;
  readonly mode?: AccountConfig["mode"] | undefined;
  readonly wishes?: { readonly [K in keyof SessionWishes]?: SessionWishes[K] | undefined };
  readonly proxy?: ProxySetting;
  readonly family?: "any" | "ipv4" | "ipv6" | undefined;
  readonly retry?: number | "forever" | undefined;
  readonly retryIntervalMs?: number | undefined;
  readonly defaultRoute?: boolean | undefined;
  readonly dns?: boolean | undefined;
  readonly routes?: readonly Net[] | undefined;
  readonly killSwitch?: boolean | undefined;
  readonly nic?: string | undefined;
  readonly address?: NicAddress | undefined;
  readonly dhcpClient?: "own" | "system" | undefined;
  readonly mtu?: number | undefined;
  readonly mac?: MacAddress | undefined;
}

export interface ResolvedAccount {
  /** The account's, or the device's where flags alone describe it: names the socket. */
  readonly name: string;
  readonly account: AccountConfig;
  readonly nic: NicConfig;
}

/**
 * The account that a command means: `name` of the file, else what the flags describe, else the file's only one,
 * each with the flags on top. @throws ExitError with code 64 that tells what is missing.
 */
export function resolveAccount(
  config: ClientConfig,
  name: string | undefined,
  flags: AccountFlags,
): ResolvedAccount {
  const declared = declaredAccount(config, name, flags);
  const base = declared ?? accountOfFlags(flags);
  const account: AccountConfig = {
    ...base,
    host: flags.server?.host ?? base.host,
    port: flags.server?.port ?? base.port,
    hub: flags.hub ?? base.hub,
    user: flags.user ?? base.user,
    credential: flags.credential ?? base.credential,
    verify: flags.verify ?? base.verify,
    mode: flags.mode ?? base.mode,
    family: flags.family ?? base.family,
    retry: flags.retry ?? base.retry,
    retryIntervalMs: flags.retryIntervalMs ?? base.retryIntervalMs,
    nic: flags.nic ?? base.nic,
    wishes: wishesOf(base.wishes, flags.wishes),
    proxy: flags.proxy ?? base.proxy,
    autostart: base.autostart,
    ...routingOf(base, flags),
    dns: flags.dns ?? base.dns,
    killSwitch: flags.killSwitch ?? base.killSwitch,
  };
  const chosen = chooseNic(config, account.nic);
  const nic: NicConfig = {
    ...chosen,
    address: flags.address ?? chosen.address,
    dhcpClient: flags.dhcpClient ?? chosen.dhcpClient,
    mtu: flags.mtu ?? chosen.mtu,
    mac: flags.mac ?? chosen.mac,
  };
  return { name: declared?.name ?? nic.device, account, nic };
}

function declaredAccount(
  config: ClientConfig,
  name: string | undefined,
  flags: AccountFlags,
): AccountConfig | undefined {
  const { accounts } = config;
  if (name !== undefined) {
    const found = accounts.find((account) => account.name.toLowerCase() === name.toLowerCase());
    if (found !== undefined) return found;
    throw usage(`No account "${name}" is declared${knownAccounts(accounts)}`);
  }
  if (flags.server !== undefined) return undefined;
  if (accounts.length === 1) return accounts[0];
  throw usage(
    accounts.length === 0
      ? "Nothing tells where to connect to: name an account of client.toml, or give --server, --hub and --user"
      : `Several accounts are declared, name one${knownAccounts(accounts)}`,
  );
}

function accountOfFlags(flags: AccountFlags): AccountConfig {
  const { server, hub, user } = flags;
  if (server === undefined || hub === undefined || user === undefined) {
    const missing = [hub === undefined ? "--hub" : "", user === undefined ? "--user" : ""];
    throw usage(`Without an account --server needs ${missing.filter(Boolean).join(" and ")}, too`);
  }
  return {
    name: "",
    host: server.host,
    port: server.port,
    hub,
    user,
    ...DEFAULT_ACCOUNT,
  };
}

function wishesOf(base: SessionWishes, flags: AccountFlags["wishes"] = {}): SessionWishes {
  return {
    connections: flags.connections ?? base.connections,
    intervalMs: flags.intervalMs ?? base.intervalMs,
    lifetimeMs: flags.lifetimeMs ?? base.lifetimeMs,
    halfDuplex: flags.halfDuplex ?? base.halfDuplex,
    compress: flags.compress ?? base.compress,
    encrypt: flags.encrypt ?? base.encrypt,
    qos: flags.qos ?? base.qos,
    udp: flags.udp ?? base.udp,
  };
}

/** Each of the two flags takes the place of what the account says of the other. */
function routingOf(
  base: AccountConfig,
  flags: AccountFlags,
): Pick<AccountConfig, "defaultRoute" | "routes"> {
  if (flags.defaultRoute === true && flags.routes !== undefined) {
    throw usage("--routes and --default-route exclude each other");
  }
  return {
    defaultRoute: flags.defaultRoute ?? (flags.routes === undefined && base.defaultRoute),
    routes: flags.routes ?? (flags.defaultRoute === true ? [] : base.routes),
  };
}

/** The NIC of that name, or a new one called so; without a name the only one, else the default. */
function chooseNic(config: ClientConfig, name: string | undefined): NicConfig {
  const { nics } = config;
  if (name === undefined) return nics.length === 1 ? nics[0]! : DEFAULT_NIC;
  return nics.find((nic) => nic.name === name) ?? { ...DEFAULT_NIC, name, device: name };
}

function knownAccounts(accounts: readonly AccountConfig[]): string {
  return accounts.length === 0 ? "" : ` (${accounts.map((account) => account.name).join(", ")})`;
}

function usage(text: string): ExitError {
  return new ExitError(EXIT.usage, text);
}
