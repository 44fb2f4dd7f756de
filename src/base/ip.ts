/** An IPv4 address as an unsigned 32-bit number, first octet highest. */
export type Ipv4 = number & { readonly __brand: "Ipv4" };

/** An address of either family: 4 or 16 octets in network order. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
}

/** An address with a prefix length: of a network, or of an interface with its host bits kept. */
export interface Net extends IpAddress {
  readonly prefix: number;
}

export const IPV4_ANY = 0 as Ipv4;
export const IPV4_BROADCAST = 0xffff_ffff as Ipv4;

const DEC_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const DOTTED_QUAD = new RegExp(`^${DEC_OCTET}(?:\\.${DEC_OCTET}){3}$`);
const HEX_GROUP = /^[0-9a-f]{1,4}$/i;
/** The longest text of an address: eight groups with the last two as a dotted quad. */
const MAX_ADDRESS_CHARS = 45;

/** The same address in the form of either family. */
export function ipv4Address(address: Ipv4): IpAddress {
  const bytes = new Uint8Array(4);
  writeIpv4(bytes, 0, address);
  return { family: 4, bytes };
}

/** Parses `dotted-decimal` of RFC 6943 3.1.1, strict form: four octets without leading zeros. */
export function tryParseIpv4(text: string): Ipv4 | undefined {
  if (text.length > 15 || !DOTTED_QUAD.test(text)) return undefined;
  let value = 0;
  for (const octet of text.split(".")) value = value * 256 + Number(octet);
  return value as Ipv4;
}

export function formatIpv4(address: Ipv4): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

export function readIpv4(bytes: Uint8Array, at: number): Ipv4 {
  return (((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>>
    0) as Ipv4;
}

export function writeIpv4(bytes: Uint8Array, at: number, address: Ipv4): void {
  bytes[at] = address >>> 24;
  bytes[at + 1] = address >>> 16;
  bytes[at + 2] = address >>> 8;
  bytes[at + 3] = address;
}

/** Prefix length of a contiguous IPv4 mask; undefined for a mask with holes. */
export function prefixOfMask(mask: Ipv4): number | undefined {
  const hostBits = ~mask >>> 0;
  return (hostBits & (hostBits + 1)) === 0 ? Math.clz32(hostBits) : undefined;
}

/** The IPv4 mask of a prefix length from 0 to 32. */
export function maskOfPrefix(prefix: number): Ipv4 {
  return (prefix === 0 ? 0 : (-1 << (32 - prefix)) >>> 0) as Ipv4;
}

/** Parses an IPv4 dotted quad, or the IPv6 text of RFC 4291 2.2 without a zone. */
export function tryParseAddress(text: string): IpAddress | undefined {
  if (text.length > MAX_ADDRESS_CHARS) return undefined;
  if (!text.includes(":")) {
    const value = tryParseIpv4(text);
    return value === undefined ? undefined : ipv4Address(value);
  }
  const bytes = tryParseIpv6(text);
  return bytes === undefined ? undefined : { family: 6, bytes };
}

function tryParseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 1 ? [] : parseGroups(halves[1]!, true);
  if (head === undefined || tail === undefined) return undefined;
  const bytes = new Uint8Array(16);
  // "::" stands for at least one group of zeros.
  if (halves.length === 1 ? head.length !== 16 : head.length + tail.length > 14) return undefined;
  bytes.set(head, 0);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

/** Octets of the groups on one side of `::`; a dotted quad may stand only at the very end. */
function parseGroups(text: string, mayEndInQuad: boolean): number[] | undefined {
  if (text === "") return [];
  const octets: number[] = [];
  const groups = text.split(":");
  for (const [at, group] of groups.entries()) {
    if (HEX_GROUP.test(group)) {
      const value = parseInt(group, 16);
      octets.push(value >>> 8, value & 255);
    } else if (mayEndInQuad && at === groups.length - 1 && DOTTED_QUAD.test(group)) {
      octets.push(...group.split(".").map(Number));
    } else return undefined;
  }
  return octets;
}

/** The text of 4 or 16 octets: dotted quad, or the form of RFC 5952. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return formatIpv4(readIpv4(bytes, 0));
  // RFC 5952 5: the mixed form where the prefix tells that an IPv4 address is inside.
  if (isV4Mapped(bytes)) return `::ffff:${formatIpv4(readIpv4(bytes, 12))}`;
  const groups = Array.from({ length: 8 }, (_, at) => (bytes[2 * at]! << 8) | bytes[2 * at + 1]!);
  const zeros = longestZeroRun(groups);
  const hex = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(":");
  return zeros.length < 2 ? hex(0, 8) : `${hex(0, zeros.at)}::${hex(zeros.at + zeros.length, 8)}`;
}

/** The first of the longest runs of zero groups (RFC 5952 4.2.3). */
function longestZeroRun(groups: readonly number[]): { at: number; length: number } {
  const best = { at: 0, length: 0 };
  let length = 0;
  for (const [at, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0;
    if (length > best.length) {
      best.length = length;
      best.at = at - length + 1;
    }
  }
  return best;
}

/** True for ::ffff:0:0/96 (RFC 4291 2.5.5.2). */
export function isV4Mapped(bytes: Uint8Array): boolean {
  return (
    bytes.length === 16 &&
    bytes[10] === 255 &&
    bytes[11] === 255 &&
    bytes.subarray(0, 10).every((octet) => octet === 0)
  );
}

/** Parses `address/prefix`, or an address alone as a net of one address. Host bits are kept. */
export function tryParseNet(text: string): Net | undefined {
  const slash = text.indexOf("/");
  const address = tryParseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const bits = address.bytes.length * 8;
  if (slash < 0) return { ...address, prefix: bits };
  const digits = text.slice(slash + 1);
  const prefix = /^(?:0|[1-9][0-9]{0,2})$/.test(digits) ? Number(digits) : bits + 1;
  return prefix > bits ? undefined : { ...address, prefix };
}

export function formatNet(net: Net): string {
  return `${formatAddress(net.bytes)}/${net.prefix}`;
}

/** True if the address is of the net's family and its first `prefix` bits are the net's. */
export function netContains(net: Net, address: IpAddress): boolean {
  if (net.family !== address.family) return false;
  const whole = net.prefix >> 3;
  for (let at = 0; at < whole; at++) if (net.bytes[at] !== address.bytes[at]) return false;
  const rest = net.prefix & 7;
  return rest === 0 || (net.bytes[whole]! ^ address.bytes[whole]!) >> (8 - rest) === 0;
}

/** An IPv4-mapped IPv6 address as the IPv4 address it stands for; others unchanged. */
export function unmapV4(address: IpAddress): IpAddress {
  return isV4Mapped(address.bytes) ? { family: 4, bytes: address.bytes.subarray(12) } : address;
}

/**
 * Whom limits per source count (robustness.md 2): the address of an IPv4 peer, also when it is mapped, or the
 * /64 of an IPv6 one, since that is what one customer gets. A zone is cut; other text is its own key.
 */
export function sourceKey(addressText: string): string {
  const zone = addressText.indexOf("%");
  const parsed = tryParseAddress(zone < 0 ? addressText : addressText.slice(0, zone));
  if (parsed === undefined) return addressText;
  const address = unmapV4(parsed);
  if (address.family === 4) return formatAddress(address.bytes);
  const network = new Uint8Array(16);
  network.set(address.bytes.subarray(0, 8));
  return `${formatAddress(network)}/64`;
}
