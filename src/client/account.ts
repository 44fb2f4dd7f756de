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
import type { Proxy } from "../transport/proxy.ts";
import { proxyFromEnvironment } from "../transport/proxy-environment.ts";
import { tryDeviceName } from "../config/name-rules.ts";
import type { ResolvedSecret } from "../config/secret.ts";

/** What flags say, in place of the file's values or of a whole account. */
export interface AccountFlags {
  readonly server?: { readonly host: string; readonly port: number } | undefined;
  readonly hub?: string | undefined;
  readonly user?: string | undefined;
  readonly login?: LoginFlags | undefined;
  readonly verify?: VerifySetting | undefined;
  readonly mode?: AccountConfig["mode"] | undefined;
  readonly wishes?: { readonly [K in keyof SessionWishes]?: SessionWishes[K] | undefined };
  readonly proxy?: ProxySetting;
  readonly family?: "any" | "ipv4" | "ipv6" | undefined;
  readonly retry?: number | "forever" | undefined;
  readonly retryIntervalMs?: number | undefined;
  readonly autostart?: boolean | undefined;
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

/** Another way to log in, or another password or form of it; what is undefined stays. */
export type LoginFlags =
  | Exclude<AccountCredential, { kind: "password" }>
  | {
      readonly kind: "password";
      readonly secret: ResolvedSecret | undefined;
      readonly plain: boolean | undefined;
    };

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
  const account = withFlags(base, flags);
  const chosen = chooseNic(config, account.nic);
  const nic: NicConfig = {
    ...chosen,
    address: addressOf(account, flags.address ?? chosen.address),
    dhcpClient: flags.dhcpClient ?? chosen.dhcpClient,
    mtu: flags.mtu ?? chosen.mtu,
    mac: flags.mac ?? chosen.mac,
  };
  return { name: declared?.name ?? nic.device, account, nic };
}

/** Who only listens cannot ask a DHCP server. */
function addressOf({ mode }: AccountConfig, address: NicAddress): NicAddress {
  return mode === "monitor" && address.kind === "dhcp" ? { kind: "none" } : address;
}

/** The account of this name, whatever its case. @throws ExitError 64 */
export function findAccount({ accounts }: ClientConfig, name: string): AccountConfig {
  const found = accounts.find((account) => account.name.toLowerCase() === name.toLowerCase());
  if (found !== undefined) return found;
  throw usage(`There is no account "${name}"${knownAccounts(accounts)}`);
}

/** The account with what the flags say on top. @throws ExitError 64 for flags that exclude each other */
export function withFlags(base: AccountConfig, flags: AccountFlags): AccountConfig {
  const user = flags.user ?? base.user;
  return {
    name: base.name,
    host: flags.server?.host ?? base.host,
    port: flags.server?.port ?? base.port,
    hub: flags.hub ?? base.hub,
    user,
    credential: credentialOf(base, flags.login, user),
    verify: flags.verify ?? base.verify,
    nic: flags.nic ?? base.nic,
    mode: flags.mode ?? base.mode,
    wishes: wishesOf(base.wishes, flags.wishes),
    proxy: flags.proxy ?? base.proxy,
    retry: flags.retry ?? base.retry,
    retryIntervalMs: flags.retryIntervalMs ?? base.retryIntervalMs,
    family: flags.family ?? base.family,
    autostart: flags.autostart ?? base.autostart,
    ...routingOf(base, flags),
    dns: flags.dns ?? base.dns,
    killSwitch: flags.killSwitch ?? base.killSwitch,
  };
}

/** A hash is of one user, and is not what `plain` sends: where it does not fit any more, the password is asked for. */
function credentialOf(
  base: AccountConfig,
  login: LoginFlags | undefined,
  user: string,
): AccountCredential {
  const before = base.credential;
  if (login !== undefined && login.kind !== "password") return login;
  if (login === undefined && before.kind !== "password") return before;
  const known = before.kind === "password" ? before : undefined;
  const plain = login?.plain ?? known?.plain ?? false;
  if (login?.secret !== undefined) return { kind: "password", secret: login.secret, plain };
  const fits = known?.secret?.kind !== "sha0" || (!plain && user === base.user);
  return { kind: "password", secret: fits ? known?.secret : undefined, plain };
}

function declaredAccount(
  config: ClientConfig,
  name: string | undefined,
  flags: AccountFlags,
): AccountConfig | undefined {
  const { accounts } = config;
  if (name !== undefined) return findAccount(config, name);
  if (flags.server !== undefined) return undefined;
  if (accounts.length === 1) return accounts[0];
  throw usage(
    accounts.length === 0
      ? "Nothing tells where to connect to: name an account, or give --server, --hub and --user"
      : `There are several accounts, name one${knownAccounts(accounts)}`,
  );
}

/** @throws ExitError 64 that tells what is missing */
export function accountOfFlags(flags: AccountFlags): AccountConfig {
  const { server, hub, user } = flags;
  if (server === undefined || hub === undefined || user === undefined) {
    const missing = Object.entries({ "--server": server, "--hub": hub, "--user": user })
      .filter(([, value]) => value === undefined)
      .map(([flag]) => flag);
    throw usage(`An account needs ${missing.join(", ")}, too`);
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

/**
 * The proxy of an account: its own, or that of the environment variables. @throws VpnError `proxy_invalid` for a
 * variable that cannot be used
 */
export function chooseProxy(
  { proxy, host }: AccountConfig,
  env: Readonly<Record<string, string | undefined>>,
): Proxy | undefined {
  if (proxy === undefined) return proxyFromEnvironment(env, host);
  return proxy.kind === "direct" ? undefined : proxy;
}

/** The NIC of that name, or a new one called so; without a name the only one, else the default. */
function chooseNic(config: ClientConfig, name: string | undefined): NicConfig {
  const { nics } = config;
  if (name === undefined) return nics.length === 1 ? nics[0]! : DEFAULT_NIC;
  const found = nics.find((nic) => nic.name.toLowerCase() === name.toLowerCase());
  if (found !== undefined) return found;
  if (tryDeviceName(name) !== undefined) return { ...DEFAULT_NIC, name, device: name };
  throw usage(`There is no NIC "${name}", and no interface can be called so`);
}

function knownAccounts(accounts: readonly AccountConfig[]): string {
  return accounts.length === 0 ? "" : ` (${accounts.map((account) => account.name).join(", ")})`;
}

function usage(text: string): ExitError {
  return new ExitError(EXIT.usage, text);
}
