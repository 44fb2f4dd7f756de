import { VpnError } from "../base/errors.ts";
import { netContains, tryParseAddress, tryParseNet, unmapV4 } from "../base/ip.ts";
import type { Proxy } from "./proxy.ts";

/** Ports that the reference implementation takes where none is named (admin.md). */
const DEFAULT_PORT = { http: 8080, socks4: 1080, socks5: 1080 } as const;
const SCHEMES: Readonly<Record<string, Proxy["kind"]>> = {
  "http:": "http",
  "socks:": "socks5",
  "socks4:": "socks4",
  "socks4a:": "socks4",
  "socks5:": "socks5",
  "socks5h:": "socks5",
};

/**
 * The proxy that `https_proxy`, or else `all_proxy`, names for this host, unless `no_proxy` excepts it. Each is
 * looked for in small letters first, as curl does.
 * @throws VpnError `proxy_invalid` for a value that names no proxy we could use.
 */
export function proxyFromEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  host: string,
): Proxy | undefined {
  if (isExcepted(firstSet(env, "no_proxy")?.value ?? "", host)) return undefined;
  const found = firstSet(env, "https_proxy") ?? firstSet(env, "all_proxy");
  if (found === undefined) return undefined;
  const proxy = tryParseProxy(found.value);
  if (proxy === undefined) {
    // The value may hold a password.
    throw new VpnError(
      "proxy_invalid",
      `Cannot use the proxy in ${found.name}: expected http, socks4 or socks5 as in http://HOST:PORT`,
    );
  }
  return proxy;
}

function firstSet(
  env: Readonly<Record<string, string | undefined>>,
  name: string,
): { name: string; value: string } | undefined {
  for (const written of [name, name.toUpperCase()]) {
    const value = env[written]?.trim();
    if (value !== undefined && value !== "") return { name: written, value };
  }
  return undefined;
}

/** `[scheme://][user[:password]@]host[:port]`, the login with percent escapes. */
function tryParseProxy(text: string): Proxy | undefined {
  try {
    const url = new URL(text.includes("://") ? text : `http://${text}`);
    const kind = SCHEMES[url.protocol];
    // The parser drops the port 80 of http, which it takes for granted.
    const port = url.port !== "" ? Number(url.port) : /:80\/?$/.test(text) ? 80 : undefined;
    const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
    if (kind === undefined || host === "") return undefined;
    return {
      kind,
      host,
      port: port ?? DEFAULT_PORT[kind],
      user: url.username === "" ? undefined : decodeURIComponent(url.username),
      password:
        url.password === ""
          ? undefined
          : new TextEncoder().encode(decodeURIComponent(url.password)),
    };
  } catch {
    return undefined;
  }
}

/** True if an entry of the list is the host, a domain it is in, or a network of its address; `*` is every host. */
function isExcepted(list: string, host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, "");
  const address = tryParseAddress(host);
  return list
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => {
      if (entry === "*") return true;
      const net = tryParseNet(entry.replace(/^\[(.*)\]$/, "$1"));
      if (address !== undefined || net !== undefined) {
        return address !== undefined && net !== undefined && netContains(net, unmapV4(address));
      }
      const domain = entry.toLowerCase().replace(/^\*?\.|\.$/g, "");
      return name === domain || name.endsWith(`.${domain}`);
    });
}
