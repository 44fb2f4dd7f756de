import { tryParseDuration } from "../base/duration.ts";
import { resolve } from "node:path";
import { type IpAddress, type Net, tryParseAddress, tryParseNet } from "../base/ip.ts";
import { isGroupMac, MAC_ZERO, tryParseMac, type MacAddress } from "../base/mac.ts";
import type { NicAddress, ProxySetting, VerifySetting } from "../config/client-config.ts";
import { PROXY_EXPECTS, tryParseProxy } from "../config/proxy-url.ts";
import { tryParseServerAddress, type ServerAddress } from "../config/remote.ts";

// What the values of flags mean. Each function takes the text and answers the value or throws with what was
// expected; a text is parsed by its own grammar, so that `4e3` is no port.

const MAX_NAME_CHARS = 255;
/** IFNAMSIZ of Linux, less the NUL. */
const MAX_DEVICE_CHARS = 15;

/** `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`. */
export function parseServer(text: string): ServerAddress {
  const found = tryParseServerAddress(text);
  if (found !== undefined) return found;
  const port = /^(?:\[[^\]]*\]|[^:[\]]+):(.*)$/.exec(text)?.[1];
  if (port !== undefined) parseInteger("a port", 1, 65_535)(port);
  throw new Error("expected HOST or HOST:PORT, an IPv6 address in brackets");
}

/** A parser of whole decimal numbers in a range. */
export function parseInteger(what: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : -1;
    if (value >= min && value <= max) return value;
    throw new Error(`expected ${what} from ${min} to ${max}`);
  };
}

/** A parser of durations such as `15s`, into milliseconds; the bounds are written in the same way. */
export function parseDuration(min: string, max: string): (text: string) => number {
  const least = tryParseDuration(min)!;
  const most = tryParseDuration(max)!;
  return (text) => {
    const value = tryParseDuration(text);
    if (value !== undefined && value >= least && value <= most) return value;
    throw new Error(`expected a duration from ${min} to ${max}, such as 15s or 2m`);
  };
}

/** Likewise, or `0` for never. */
export function parseDurationOrNever(min: string, max: string): (text: string) => number {
  const some = parseDuration(min, max);
  return (text) => (text === "0" ? 0 : some(text));
}

const UNIT_BYTES: Readonly<Record<string, number>> = {
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/** A parser of sizes such as `64MiB`, into bytes; the bounds are written in the same way. */
export function parseSize(min: string, max: string): (text: string) => number {
  const bytesOf = (text: string) => {
    const [, count, unit] = /^(\d{1,10})([A-Za-z]{2,3})$/.exec(text) ?? [];
    return Number(count) * (UNIT_BYTES[unit ?? ""] ?? NaN);
  };
  return (text) => {
    const value = bytesOf(text);
    if (value >= bytesOf(min) && value <= bytesOf(max)) return value;
    throw new Error(`expected a size from ${min} to ${max}, such as 100MB or 64MiB`);
  };
}

export function parseRetry(text: string): number | "forever" {
  if (text === "forever") return text;
  return parseInteger('"forever" or a number of tries', 0, 1_000_000)(text);
}

/** `dhcp`, `none`, or networks separated by commas: the addresses of the interface with their prefixes. */
export function parseAddress(text: string): NicAddress {
  if (text === "dhcp" || text === "none") return { kind: text };
  const expected = '"dhcp", "none", or addresses such as 192.168.30.20/24,fd00::20/64';
  return { kind: "static", nets: parseNets(text, expected) };
}

/** Networks separated by commas. */
export function parseRoutes(text: string): readonly Net[] {
  return parseNets(text, "networks such as 10.0.0.0/8,fd00::/8");
}

function parseNets(text: string, expected: string): readonly Net[] {
  return text.split(",").map((part) => {
    const net = part.includes("/") ? tryParseNet(part) : undefined;
    if (net === undefined) throw new Error(`expected ${expected}`);
    return net;
  });
}

/** As `tryParseProxy`, but a password would be seen by everybody who lists the processes (CL-04). */
export function parseProxy(text: string): NonNullable<ProxySetting> {
  const found = tryParseProxy(text);
  if (found === undefined) throw new Error(`expected ${PROXY_EXPECTS.replace("[:PASSWORD]", "")}`);
  if (found.kind === "direct" || found.password === undefined) return found;
  throw new Error(
    "a password on the command line can be read by others: use --proxy-password-file",
  );
}

export function parseMac(text: string): MacAddress {
  const mac = tryParseMac(text);
  if (mac !== undefined && mac !== MAC_ZERO && !isGroupMac(mac)) return mac;
  throw new Error("expected the MAC address of one station, such as 5e:00:53:00:00:01");
}

/** Any MAC address: what tables hold may be a group's where rules are loose. */
export function parseAnyMac(text: string): MacAddress {
  const mac = tryParseMac(text);
  if (mac !== undefined) return mac;
  throw new Error("expected a MAC address, such as 5e:00:53:00:00:01");
}

/** One IPv4 or IPv6 address. */
export function parseHostAddress(text: string): IpAddress {
  const address = tryParseAddress(text);
  if (address !== undefined) return address;
  throw new Error("expected an address, such as 192.168.30.20 or fe80::1");
}

/** The name of a network interface as Linux takes it. */
export function parseDevice(text: string): string {
  const isGood =
    text.length <= MAX_DEVICE_CHARS && /^[\w.@+-]+$/.test(text) && !/^\.\.?$/.test(text);
  if (isGood) return text;
  throw new Error(`expected a name of at most ${MAX_DEVICE_CHARS} letters, digits and . _ @ + -`);
}

/** Names of hubs, users and accounts. */
export function parseName(text: string): string {
  // oxlint-disable-next-line no-control-regex
  if (text !== "" && text.length <= MAX_NAME_CHARS && !/[\u0000-\u001f\u007f]/.test(text))
    return text;
  throw new Error(`expected a name of 1 to ${MAX_NAME_CHARS} characters`);
}

/** `auto`, `system`, `sha256:HEX`, `off`, or the path of a certificate. */
export function parseVerify(text: string): VerifySetting {
  if (text === "auto" || text === "system" || text === "off") return { kind: text };
  const hex = /^sha256:([0-9a-f:]+)$/i.exec(text)?.[1]?.replaceAll(":", "");
  if (hex?.length === 64) return { kind: "sha256", fingerprint: Uint8Array.fromHex(hex) };
  if (hex !== undefined || text === "" || /^sha256:/i.test(text)) {
    throw new Error('expected "auto", "system", "off", sha256: with 64 hex digits, or a file');
  }
  return { kind: "file", path: resolve(text) };
}

export function parseText(text: string): string {
  if (text !== "") return text;
  throw new Error("expected a value");
}
