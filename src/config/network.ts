import { isIP } from "node:net";

/** An address with its prefix length. `address` has 4 or 16 bytes, host part included. */
export interface Network {
  readonly family: 4 | 6;
  readonly address: Uint8Array;
  readonly prefix: number;
}

/** The bytes of an IPv4 or IPv6 address; an IPv4 address mapped into IPv6 gives its 4 bytes. Undefined for all else. */
export function tryParseAddress(text: string): Uint8Array | undefined {
  // A zone ("%eth0") names a local interface and has no bytes.
  if (text.includes("%")) return undefined;
  const version = isIP(text);
  if (version === 0) return undefined;
  return version === 4 ? parseDotted(text) : unmapped(parseColons(text));
}

/** Parses `ADDRESS` or `ADDRESS/PREFIX`; without a prefix it is the single address. */
export function tryParseNetwork(text: string): Network | undefined {
  const [addressText, prefixText, ...rest] = text.split("/");
  const address = tryParseAddress(addressText ?? "");
  if (address === undefined || rest.length > 0) return undefined;
  const bits = address.length * 8;
  if (prefixText !== undefined && !/^(?:0|[1-9]\d{0,2})$/.test(prefixText)) return undefined;
  const prefix = prefixText === undefined ? bits : Number(prefixText);
  return prefix > bits ? undefined : { family: bits === 32 ? 4 : 6, address, prefix };
}

/** True where the first `prefix` bits of both agree; an address of the other family is never inside. */
export function networkContains(network: Network, address: Uint8Array): boolean {
  const other = unmapped(address);
  if (other.length !== network.address.length) return false;
  const whole = network.prefix >>> 3;
  for (let i = 0; i < whole; i++) if (network.address[i] !== other[i]) return false;
  const mask = (0xff00 >>> (network.prefix & 7)) & 0xff;
  return mask === 0 || (network.address[whole]! & mask) === (other[whole]! & mask);
}

/** `192.168.30.1/24` or `2001:db8::1/64`, the host part kept. */
export function formatNetwork(network: Network): string {
  return `${formatAddress(network.address)}/${network.prefix}`;
}

/** Text of 4 or 16 bytes, IPv6 after RFC 5952. */
export function formatAddress(address: Uint8Array): string {
  if (address.length === 4) return address.join(".");
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((address[2 * i]! << 8) | address[2 * i + 1]!).toString(16),
  );
  // RFC 5952 4.2.3: the longest run of zero groups is shortened, the first of equal ones, and never a single one.
  const runs = [...groups.join(":").matchAll(/\b0(?::0)+\b/g)].map((match) => match[0]);
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), "");
  if (longest === "") return groups.join(":");
  const [head, tail] = splitAt(groups.join(":"), longest);
  return `${head.replace(/:$/, "")}::${tail.replace(/^:/, "")}`;
}

function splitAt(text: string, run: string): [string, string] {
  const at = text.search(new RegExp(`(?<![0-9a-f])${run}(?![0-9a-f])`));
  return [text.slice(0, at), text.slice(at + run.length)];
}

function parseDotted(text: string): Uint8Array {
  return Uint8Array.from(text.split("."), Number);
}

/** `text` is known to be an IPv6 address by the platform's grammar. */
function parseColons(text: string): Uint8Array {
  const dotted = /(?<=:)\d+\.\d+\.\d+\.\d+$/.exec(text)?.[0];
  const quad = dotted === undefined ? [] : [...parseDotted(dotted)];
  const hex = dotted === undefined ? text : text.slice(0, -dotted.length).replace(/([^:]):$/, "$1");
  const [left = "", right = ""] = hex.split("::");
  const groups = (half: string) =>
    half.split(":").flatMap((group) => {
      if (group === "") return [];
      const value = parseInt(group, 16);
      return [value >>> 8, value & 0xff];
    });
  const head = groups(left);
  const tail = [...groups(right), ...quad];
  const bytes = new Uint8Array(16);
  bytes.set(head, 0);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

/** ::ffff:0:0/96 (RFC 4291 2.5.5.2): what a dual-stack socket reports for an IPv4 peer. */
function unmapped(address: Uint8Array): Uint8Array {
  const isMapped =
    address.length === 16 &&
    address.subarray(0, 10).every((byte) => byte === 0) &&
    address[10] === 0xff &&
    address[11] === 0xff;
  return isMapped ? address.slice(12) : address;
}
