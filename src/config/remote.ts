import { tryParseAddress } from "../base/ip.ts";

/** The server that an account connects to. */
export interface ServerAddress {
  /** A name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
}

const DEFAULT_PORT = 443;
/** What DNS and resolvers take; the letters are left to them, so that names in any script pass. */
const HOST_NAME = /^[^\s/:[\]@]{1,253}$/;

/** Parses `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`; undefined for all else. */
export function tryParseServerAddress(
  text: string,
  defaultPort = DEFAULT_PORT,
): ServerAddress | undefined {
  const [, bracketed, bare, digits] =
    /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? bare ?? "";
  const port = digits === undefined ? defaultPort : Number(digits);
  const isHost =
    bracketed === undefined ? HOST_NAME.test(host) : tryParseAddress(host)?.family === 6;
  return isHost && port >= 1 && port <= 65_535 ? { host, port } : undefined;
}

/** Parses `HOST[:PORT]/HUB`; undefined for all else. */
export function tryParseRemote(
  text: string,
): (ServerAddress & { readonly hub: string }) | undefined {
  const slash = text.indexOf("/");
  const server = slash < 0 ? undefined : tryParseServerAddress(text.slice(0, slash));
  const hub = text.slice(slash + 1);
  return server === undefined || hub === "" || hub.length > 255 ? undefined : { ...server, hub };
}

/** `HOST:PORT`, an IPv6 address in brackets. */
export function formatServerAddress({ host, port }: ServerAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** `HOST:PORT/HUB`. */
export function formatRemote(remote: ServerAddress & { readonly hub: string }): string {
  return `${formatServerAddress(remote)}/${remote.hub}`;
}
