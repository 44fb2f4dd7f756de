import type { ProxySetting } from "./client-config.ts";
import { formatServerAddress, tryParseServerAddress } from "./remote.ts";

export const PROXY_EXPECTS =
  '"direct", or "http://[USER[:PASSWORD]@]HOST:PORT", or the same with socks4 or socks5';

const PROXY = /^(http|socks4|socks5):\/\/(?:([^@/\s]+)@)?([^@/\s]+:\d{1,5})\/?$/;

/**
 * Parses `direct` and `KIND://[USER[:PASSWORD]@]HOST:PORT`; user and password are percent-encoded as in other URLs
 * (RFC 3986 3.2.1). Undefined for all else: SOCKS4 knows no password.
 */
export function tryParseProxy(text: string): NonNullable<ProxySetting> | undefined {
  if (text === "direct") return { kind: "direct" };
  const [, kind, login, address] = PROXY.exec(text) ?? [];
  const server = address === undefined ? undefined : tryParseServerAddress(address);
  if (kind === undefined || server === undefined) return undefined;
  const colon = login?.indexOf(":") ?? -1;
  const user = tryDecode(colon < 0 ? login : login?.slice(0, colon));
  const password = tryDecode(colon < 0 ? undefined : login?.slice(colon + 1));
  if (user === null || password === null || user === "") return undefined;
  if (kind === "socks4" && password !== undefined) return undefined;
  return {
    kind: kind as "http" | "socks4" | "socks5",
    ...server,
    user,
    password: password === undefined ? undefined : new TextEncoder().encode(password),
  };
}

/** Null for text that is no percent-encoding. */
function tryDecode(text: string | undefined): string | undefined | null {
  try {
    return text === undefined ? undefined : decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** What `tryParseProxy` reads back; without the password, which is no part of any text that is shown. */
export function formatProxy(proxy: NonNullable<ProxySetting>): string {
  if (proxy.kind === "direct") return proxy.kind;
  const login = proxy.user === undefined ? "" : `${encodeURIComponent(proxy.user)}@`;
  return `${proxy.kind}://${login}${formatServerAddress(proxy)}`;
}
