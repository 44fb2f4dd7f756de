import { clamp } from "../base/clamp.ts";
import type { AccountConfig, AccountCredential, ProxySetting } from "../config/client-config.ts";
import { readCertificates, readClientCertificate } from "../config/pem-source.ts";
import { hashUserPassword } from "../crypto/password.ts";
import { type DeclaredFolder, type DeclaredItem, encodeDeclared } from "./declared-text.ts";
import { AUTH_TYPE, obscure, PROXY_TYPE, RETRY_FOREVER } from "./vpn-file.ts";

/** UTF-8 with its mark, as the reference writes these files (hub.md 15.5). */
const BYTE_ORDER_MARK = "\ufeff";
const BANNER = [
  "# A connection setting for the client of SoftEther VPN.",
  "# It may hold a password that everybody who reads it can use.",
  "",
  "",
].join("\r\n");

export interface ExportedAccount {
  readonly bytes: Uint8Array;
  /** What such a file cannot say, a sentence each. */
  readonly notes: readonly string[];
}

/**
 * The account as a .vpn file. `device` is the name of the NIC there.
 * @throws ExitError 65 or 66 where the account's certificate cannot be read
 */
export function encodeVpnFile(account: AccountConfig, device: string): ExportedAccount {
  const notes: string[] = [];
  const root = folder(
    {
      ...certificateItems(account, notes),
      RetryOnServerCert: bool(false),
      StartupAccount: bool(account.autostart),
      // Those of the installation that exports, which say nothing to the one that imports.
      CreateDateTime: { type: "uint64", value: 0n },
      LastConnectDateTime: { type: "uint64", value: 0n },
      UpdateDateTime: { type: "uint64", value: 0n },
    },
    {
      ClientAuth: folder(authItems(account, notes)),
      ClientOption: folder(optionItems(account, device)),
    },
  );
  if (account.routes.length > 0 || account.defaultRoute || account.dns || account.killSwitch) {
    notes.push("Routes, DNS and kill switch are not part of such a file");
  }
  const text = `${BYTE_ORDER_MARK}${BANNER}${encodeDeclared(root)}`;
  return { bytes: new TextEncoder().encode(text), notes };
}

function certificateItems(
  { verify }: AccountConfig,
  notes: string[],
): Record<string, DeclaredItem> {
  const items = (checks: boolean, system: boolean) => ({
    AddDefaultCA: bool(system),
    CheckServerCert: bool(checks),
  });
  switch (verify.kind) {
    case "off":
      return items(false, false);
    case "system":
      return items(true, true);
    case "file":
    case "pem": {
      const [certificate] = readCertificates(verify);
      return { ...items(true, false), ServerCert: byte(certificate.raw) };
    }
    case "auto":
    case "sha256":
      notes.push(
        `The file does not check the server's certificate: it has no word for verify = "${verify.kind === "auto" ? "auto" : "sha256:..."}"`,
      );
      return items(false, false);
  }
}

function authItems(
  { credential, user }: AccountConfig,
  notes: string[],
): Record<string, DeclaredItem> {
  return { Username: text(user), ...proofItems(credential, user, notes) };
}

function proofItems(
  credential: AccountCredential,
  user: string,
  notes: string[],
): Record<string, DeclaredItem> {
  switch (credential.kind) {
    case "anonymous":
      return { AuthType: uint(AUTH_TYPE.anonymous) };
    case "certificate": {
      const { certificate, key } = readClientCertificate(credential.cert, credential.key);
      const type = key.asymmetricKeyType === "rsa" ? "pkcs1" : "pkcs8";
      return {
        AuthType: uint(AUTH_TYPE.certificate),
        ClientCert: byte(certificate.raw),
        ClientKey: byte(key.export({ format: "der", type })),
      };
    }
    case "password": {
      const { secret, plain } = credential;
      if (secret === undefined) notes.push("The account keeps no password, so the file has none");
      if (plain) {
        const bytes = secret?.kind === "plain" ? secret.bytes : new Uint8Array(0);
        return { AuthType: uint(AUTH_TYPE.plain), EncryptedPassword: byte(obscure(bytes)) };
      }
      const hash =
        secret === undefined
          ? new Uint8Array(20)
          : secret.kind === "sha0"
            ? secret.hash
            : hashUserPassword(user, secret.bytes);
      return { AuthType: uint(AUTH_TYPE.password), HashedPassword: byte(hash) };
    }
  }
}

function optionItems(account: AccountConfig, device: string): Record<string, DeclaredItem> {
  const { wishes, retry, mode } = account;
  return {
    AccountName: text(account.name),
    AdditionalConnectionInterval: uint(seconds(wishes.intervalMs)),
    ConnectionDisconnectSpan: uint(seconds(wishes.lifetimeMs)),
    CustomHttpHeader: text(""),
    DeviceName: text(device),
    DisableQoS: bool(!wishes.qos),
    HalfConnection: bool(wishes.halfDuplex),
    HideNicInfoWindow: bool(false),
    HideStatusWindow: bool(false),
    Hostname: text(account.host),
    HubName: text(account.hub),
    MaxConnection: uint(wishes.connections),
    NoRoutingTracking: bool(false),
    NoUdpAcceleration: bool(!wishes.udp),
    NumRetry: uint(retry === "forever" ? RETRY_FOREVER : retry),
    Port: uint(account.port),
    PortUDP: uint(0),
    ...proxyItems(account.proxy),
    RequireBridgeRoutingMode: bool(mode === "bridge"),
    RequireMonitorMode: bool(mode === "monitor"),
    // hub.md 15.3: 5 to 300 seconds.
    RetryInterval: uint(clamp(seconds(account.retryIntervalMs), 5, 300)),
    UseCompress: bool(wishes.compress),
    UseEncrypt: bool(wishes.encrypt),
  };
}

function proxyItems(proxy: ProxySetting): Record<string, DeclaredItem> {
  const way = proxy === undefined || proxy.kind === "direct" ? undefined : proxy;
  return {
    ProxyType: uint(PROXY_TYPE[way?.kind ?? "direct"]),
    ProxyName: text(way?.host ?? ""),
    ProxyPort: uint(way?.port ?? 0),
    ProxyUsername: text(way?.user ?? ""),
    ProxyPassword: byte(obscure(way?.password ?? new Uint8Array(0))),
  };
}

function seconds(ms: number): number {
  return Math.ceil(ms / 1000);
}

function folder(
  items: Record<string, DeclaredItem>,
  folders: Record<string, DeclaredFolder> = {},
): DeclaredFolder {
  return { items: new Map(Object.entries(items)), folders: new Map(Object.entries(folders)) };
}

function bool(value: boolean): DeclaredItem {
  return { type: "bool", value };
}

function uint(value: number): DeclaredItem {
  return { type: "uint", value };
}

function text(value: string): DeclaredItem {
  return { type: "string", value };
}

function byte(value: Uint8Array): DeclaredItem {
  return { type: "byte", value: new Uint8Array(value) };
}
