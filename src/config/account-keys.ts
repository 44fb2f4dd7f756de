import { durationText } from "../base/duration.ts";
import { formatNet } from "../base/ip.ts";
import { formatMac } from "../base/mac.ts";
import {
  DEFAULT_ACCOUNT,
  DEFAULT_NIC,
  type AccountConfig,
  type NicAddress,
  type NicConfig,
  type PemSource,
  type VerifySetting,
} from "./client-config.ts";
import { formatProxy } from "./proxy-url.ts";
import { formatRemote } from "./remote.ts";
import type { ResolvedSecret } from "./secret.ts";
import { isSecret } from "./ownership.ts";
import type { StoredKeys, StoredValue } from "./state-objects.ts";

/** An object as its table in client.toml would be, its secrets apart. */
export interface EncodedObject {
  readonly keys: StoredKeys;
  /** By the keys that are marked as stored. */
  readonly secrets: Readonly<Record<string, Uint8Array>>;
}

/** The keys of an account with all their values; null for those that it does not have. */
export function encodeAccount(account: AccountConfig): EncodedObject {
  const secrets: Record<string, Uint8Array> = {};
  const keep = (key: string, form: "plain" | "sha0" | "pem", bytes: Uint8Array): StoredValue => {
    secrets[key] = bytes;
    return { stored: form };
  };
  const { wishes, proxy } = account;
  const text = new TextEncoder();
  const proxyPassword =
    proxy === undefined || proxy.kind === "direct" || proxy.password === undefined
      ? null
      : keep("proxy_password", "plain", proxy.password);
  const pem = (key: string, source: PemSource): StoredValue =>
    "path" in source ? source.path : keep(key, "pem", text.encode(source.pem));
  const keys = {
    to: formatRemote(account),
    user: account.user,
    ...encodeCredential(account, pem, (secret) =>
      secret.kind === "plain"
        ? keep("password", "plain", secret.bytes)
        : keep("password", "sha0", secret.hash),
    ),
    verify:
      account.verify.kind === "pem"
        ? keep("verify", "pem", text.encode(account.verify.pem))
        : encodeVerify(account.verify),
    nic: account.nic ?? null,
    mode: account.mode,
    connections: wishes.connections,
    interval: durationText(wishes.intervalMs),
    lifetime: durationText(wishes.lifetimeMs),
    half_duplex: wishes.halfDuplex,
    compress: wishes.compress,
    encrypt: wishes.encrypt,
    qos: wishes.qos,
    udp: wishes.udp,
    proxy: proxy === undefined ? null : formatProxy(proxy),
    proxy_password: proxyPassword,
    retry: account.retry,
    retry_interval: durationText(account.retryIntervalMs),
    family: account.family,
    autostart: account.autostart,
    default_route: account.defaultRoute,
    dns: account.dns,
    routes: account.routes.map(formatNet),
    kill_switch: account.killSwitch,
  };
  return { keys, secrets };
}

function encodeCredential(
  { credential }: AccountConfig,
  pem: (key: string, source: PemSource) => StoredValue,
  keepPassword: (secret: ResolvedSecret) => StoredValue,
): StoredKeys {
  const none = { password: null, anonymous: false, plain: false, cert: null, key: null };
  switch (credential.kind) {
    case "anonymous":
      return { ...none, anonymous: true };
    case "certificate":
      return { ...none, cert: pem("cert", credential.cert), key: pem("key", credential.key) };
    case "password": {
      const { secret, plain } = credential;
      return { ...none, plain, password: secret === undefined ? null : keepPassword(secret) };
    }
  }
}

function encodeVerify(verify: Exclude<VerifySetting, { kind: "pem" }>): string {
  switch (verify.kind) {
    case "file":
      return verify.path;
    case "sha256":
      return `sha256:${verify.fingerprint.toHex()}`;
    default:
      return verify.kind;
  }
}

export function encodeNic(nic: NicConfig): StoredKeys {
  return {
    device: nic.device,
    address: encodeAddress(nic.address),
    dhcp_client: nic.dhcpClient,
    mtu: nic.mtu,
    mac: nic.mac === undefined ? null : formatMac(nic.mac),
  };
}

function encodeAddress(address: NicAddress): StoredValue {
  return address.kind === "static" ? address.nets.map(formatNet) : address.kind;
}

const ACCOUNT_DEFAULTS: StoredKeys = {
  ...encodeAccount({
    name: "",
    host: "",
    port: 0,
    hub: "",
    user: "",
    ...DEFAULT_ACCOUNT,
  }).keys,
  to: null,
  user: null,
};
const NIC_DEFAULTS: StoredKeys = { ...encodeNic(DEFAULT_NIC), device: null };

/** The keys without those that have their defaults. */
export function trimAccount(keys: StoredKeys): StoredKeys {
  return differences(keys, ACCOUNT_DEFAULTS);
}

export function trimNic(keys: StoredKeys): StoredKeys {
  return differences(keys, NIC_DEFAULTS);
}

/** The keys whose values are others in `base`; secrets are equal where `sameSecret` says so. */
export function differences(
  keys: StoredKeys,
  base: StoredKeys,
  sameSecret: (key: string) => boolean = () => false,
): StoredKeys {
  const differs = ([key, value]: [string, StoredValue]) =>
    JSON.stringify(value) !== JSON.stringify(base[key]) || (isSecret(value) && !sameSecret(key));
  return Object.fromEntries(Object.entries(keys).filter(differs));
}
