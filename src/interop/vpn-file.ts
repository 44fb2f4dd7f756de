import { createPrivateKey, X509Certificate } from "node:crypto";
import { VpnError } from "../base/errors.ts";
import {
  type AccountConfig,
  type AccountCredential,
  DEFAULT_ACCOUNT,
  type ProxySetting,
  type VerifySetting,
} from "../config/client-config.ts";
import { clamp } from "../base/clamp.ts";
import { MAX_CONNECTIONS_PER_SESSION } from "../base/limits.ts";
import { rc4 } from "../crypto/rc4.ts";
import type { DeclaredFolder, DeclaredItem } from "./declared-text.ts";
import { parseDeclared } from "./declared-text.ts";

/* Specification constants: hub.md 15.5. */
export const AUTH_TYPE = { anonymous: 0, password: 1, plain: 2, certificate: 3 } as const;
export const PROXY_TYPE = { direct: 0, http: 1, socks4: 2, socks5: 3 } as const;
export const RETRY_FOREVER = 0xffff_ffff;
/** The reference means a longer text, and takes as many octets of it as its pointers have: eight. */
const OBSCURING_KEY = new TextEncoder().encode("EncryptP");

/** An account as a .vpn file has it. */
export interface ImportedAccount {
  /** `nic` is undefined: `device` is the name of the NIC there. */
  readonly account: AccountConfig;
  readonly device: string;
  /** What of the file ours does not do, a sentence each. */
  readonly notes: readonly string[];
}

/** @throws VpnError `file_format` for what is no such file, or whose way to log in is not ours */
export function parseVpnFile(bytes: Uint8Array): ImportedAccount {
  const root = parseDeclared(bytes);
  const [option, auth] = [root.folders.get("ClientOption"), root.folders.get("ClientAuth")];
  if (option === undefined || auth === undefined) {
    throw refuse("it holds no connection setting: ClientOption or ClientAuth is missing");
  }
  const notes: string[] = [];
  const options = new Items(option);
  const { host, note } = splitHint(options.text("Hostname"));
  if (note !== undefined) notes.push(note);
  const header = options.text("CustomHttpHeader");
  if (header !== "") notes.push("The HTTP headers for its proxy are left out");
  const user = new Items(auth).text("Username");
  const hub = options.text("HubName");
  for (const [what, value] of Object.entries({ server: host, "virtual hub": hub, user })) {
    if (value === "") throw refuse(`it names no ${what}`);
  }
  const seconds = (key: string) => options.number(key) * 1000;
  const retries = options.number("NumRetry");
  const account: AccountConfig = {
    ...DEFAULT_ACCOUNT,
    name: options.text("AccountName"),
    host,
    port: options.number("Port") || 443,
    hub,
    user,
    credential: readCredential(new Items(auth)),
    verify: readVerify(new Items(root), notes),
    mode: readMode(options),
    wishes: {
      connections: clamp(options.number("MaxConnection"), 1, MAX_CONNECTIONS_PER_SESSION),
      intervalMs: clamp(seconds("AdditionalConnectionInterval"), 1_000, 3_600_000),
      lifetimeMs: seconds("ConnectionDisconnectSpan"),
      halfDuplex: options.flag("HalfConnection"),
      compress: options.flag("UseCompress"),
      encrypt: options.flag("UseEncrypt"),
      qos: !options.flag("DisableQoS"),
      udp: !options.flag("NoUdpAcceleration"),
    },
    proxy: readProxy(options),
    retry: retries === RETRY_FOREVER ? "forever" : Math.min(retries, 1_000_000),
    retryIntervalMs: clamp(seconds("RetryInterval"), 5_000, 300_000),
    autostart: new Items(root).flag("StartupAccount"),
  };
  return { account, device: options.text("DeviceName"), notes };
}

/** Reversible without any secret: the reference hides these passwords from a glance, not from a reader. */
export function obscure(bytes: Uint8Array): Uint8Array {
  const turned = bytes.slice();
  rc4(OBSCURING_KEY, turned, 0, turned.length);
  return turned;
}

function readCredential(auth: Items): AccountCredential {
  const type = auth.number("AuthType");
  switch (type) {
    case AUTH_TYPE.anonymous:
      return { kind: "anonymous" };
    case AUTH_TYPE.password: {
      const hash = auth.bytes("HashedPassword");
      // All zeros stand where the password was taken out before the file was given away.
      const isKnown = hash.length === 20 && hash.some((byte) => byte !== 0);
      const secret = isKnown ? ({ kind: "sha0", hash } as const) : undefined;
      return { kind: "password", secret, plain: false };
    }
    case AUTH_TYPE.plain: {
      const bytes = obscure(auth.bytes("EncryptedPassword"));
      const secret = bytes.length > 0 ? ({ kind: "plain", bytes } as const) : undefined;
      return { kind: "password", secret, plain: true };
    }
    case AUTH_TYPE.certificate:
      return {
        kind: "certificate",
        cert: { pem: pemOfCertificate(auth.bytes("ClientCert")) },
        key: { pem: pemOfKey(auth.bytes("ClientKey")) },
      };
    default:
      throw refuse(`its way to log in, type ${type}, needs a smart card or an engine`);
  }
}

function readVerify(root: Items, notes: string[]): VerifySetting {
  if (!root.flag("CheckServerCert")) {
    notes.push(
      "The file does not ask to check the server's certificate: it is remembered at the first use",
    );
    return { kind: "auto" };
  }
  const der = root.bytes("ServerCert");
  if (der.length > 0) return { kind: "pem", pem: pemOfCertificate(der) };
  if (!root.flag("AddDefaultCA")) {
    notes.push("The list of authorities of that client is not in the file: the system's is used");
  }
  return { kind: "system" };
}

function readMode(options: Items): AccountConfig["mode"] {
  if (options.flag("RequireMonitorMode")) return "monitor";
  return options.flag("RequireBridgeRoutingMode") ? "bridge" : "client";
}

function readProxy(options: Items): ProxySetting {
  const type = options.number("ProxyType");
  const kind = (["direct", "http", "socks4", "socks5"] as const)[type];
  if (kind === undefined) throw refuse(`its proxy is of the unknown type ${type}`);
  if (kind === "direct") return { kind };
  const password = obscure(options.bytes("ProxyPassword"));
  const user = options.text("ProxyUsername");
  const [host, port] = [options.text("ProxyName"), options.number("ProxyPort")];
  if (host === "" || port < 1 || port > 65_535) throw refuse("its proxy has no host or port");
  return {
    kind,
    host,
    port,
    user: user === "" ? undefined : user,
    password: password.length === 0 || user === "" || kind === "socks4" ? undefined : password,
  };
}

/** What stands behind a slash tells how to pass a NAT on the way to the server. */
function splitHint(hostname: string): { host: string; note?: string } {
  const slash = hostname.indexOf("/");
  if (slash < 0) return { host: hostname };
  const host = hostname.slice(0, slash);
  const isDirect = hostname.slice(slash + 1).toLowerCase() === "tcp";
  return isDirect ? { host } : { host, note: "The way through a NAT is left out: TCP is used" };
}

function pemOfCertificate(der: Uint8Array): string {
  try {
    return new X509Certificate(der).toString();
  } catch {
    throw refuse("its certificate cannot be read");
  }
}

function pemOfKey(der: Uint8Array): string {
  for (const type of ["pkcs1", "pkcs8", "sec1"] as const) {
    try {
      const key = createPrivateKey({ key: Buffer.from(der), format: "der", type });
      return key.export({ format: "pem", type: "pkcs8" }) as string;
    } catch {
      // The next form may fit: the file does not tell which it is.
    }
  }
  throw refuse("its private key cannot be read");
}

function refuse(why: string): VpnError {
  return new VpnError("file_format", why);
}

/** Items by their names; what is missing or of another type is zero, false or empty, as for the reference. */
class Items {
  readonly #folder: DeclaredFolder;
  constructor(folder: DeclaredFolder) {
    this.#folder = folder;
  }

  text(key: string): string {
    const item = this.#find(key, "string");
    return item?.type === "string" ? item.value : "";
  }

  number(key: string): number {
    const item = this.#find(key, "uint");
    return item?.type === "uint" ? item.value : 0;
  }

  flag(key: string): boolean {
    const item = this.#find(key, "bool");
    return item?.type === "bool" && item.value;
  }

  bytes(key: string): Uint8Array {
    const item = this.#find(key, "byte");
    return item?.type === "byte" ? item.value : new Uint8Array(0);
  }

  #find(key: string, type: DeclaredItem["type"]): DeclaredItem | undefined {
    const item = this.#folder.items.get(key);
    return item?.type === type ? item : undefined;
  }
}
