import { maskOfPrefix, readIpv4, writeIpv4, type Ipv4 } from "../base/ip.ts";
import { ByteWriter } from "./writer.ts";

/** Options of RFC 2132, and of RFC 3442 for the routes. */
export const DHCP_OPTION = {
  PAD: 0,
  SUBNET_MASK: 1,
  ROUTER: 3,
  DNS: 6,
  HOST_NAME: 12,
  DOMAIN: 15,
  MTU: 26,
  NTP: 42,
  REQUESTED_ADDRESS: 50,
  LEASE_TIME: 51,
  OVERLOAD: 52,
  MESSAGE_TYPE: 53,
  SERVER_ID: 54,
  PARAMETER_LIST: 55,
  MESSAGE: 56,
  MAX_MESSAGE_SIZE: 57,
  RENEWAL_TIME: 58,
  REBINDING_TIME: 59,
  CLIENT_ID: 61,
  CLASSLESS_ROUTES: 121,
  /** The same under a number for private use, from servers that were built before RFC 3442. */
  OLD_CLASSLESS_ROUTES: 249,
  END: 255,
} as const;

const MAX_OPTION_BYTES = 255;

/** Values by option code; parts of one option are joined (RFC 3396). */
export type DhcpOptions = ReadonlyMap<number, Uint8Array>;

/**
 * Reads the fields one after the other, each up to its end option or its last byte. Undefined if an option
 * runs past its field.
 */
export function tryParseOptions(
  fields: readonly Uint8Array[],
): Map<number, Uint8Array> | undefined {
  const parts = new Map<number, Uint8Array[]>();
  for (const field of fields) {
    let at = 0;
    while (at < field.length && field[at] !== DHCP_OPTION.END) {
      const code = field[at]!;
      if (code === DHCP_OPTION.PAD) {
        at++;
        continue;
      }
      const length = field[at + 1];
      if (length === undefined || at + 2 + length > field.length) return undefined;
      const value = field.subarray(at + 2, at + 2 + length);
      const before = parts.get(code);
      if (before === undefined) parts.set(code, [value]);
      else before.push(value);
      at += 2 + length;
    }
  }
  const options = new Map<number, Uint8Array>();
  for (const [code, values] of parts) options.set(code, join(values));
  return options;
}

/** The options field with its end option; values over 255 bytes go out in parts (RFC 3396). */
export function encodeOptions(options: DhcpOptions): Uint8Array {
  const writer = new ByteWriter();
  for (const [code, value] of options) {
    let at = 0;
    do {
      const part = value.subarray(at, at + MAX_OPTION_BYTES);
      writer.writeU8(code).writeU8(part.length).writeBytes(part);
      at += MAX_OPTION_BYTES;
    } while (at < value.length);
  }
  return writer.writeU8(DHCP_OPTION.END).finish();
}

/** The addresses of an option; undefined if it is absent, empty, or not made of addresses. */
export function tryReadAddresses(options: DhcpOptions, code: number): Ipv4[] | undefined {
  const value = options.get(code);
  if (value === undefined || value.length === 0 || value.length % 4 !== 0) return undefined;
  return Array.from({ length: value.length / 4 }, (_, at) => readIpv4(value, 4 * at));
}

/** The address of an option that holds one. */
export function tryReadAddress(options: DhcpOptions, code: number): Ipv4 | undefined {
  const addresses = tryReadAddresses(options, code);
  return addresses?.length === 1 ? addresses[0] : undefined;
}

/** The number of an option of exactly `bytes` bytes. */
export function tryReadNumber(
  options: DhcpOptions,
  code: number,
  bytes: 1 | 2 | 4,
): number | undefined {
  const value = options.get(code);
  if (value?.length !== bytes) return undefined;
  return value.reduce((number, byte) => number * 256 + byte, 0);
}

export function encodeAddresses(addresses: readonly Ipv4[]): Uint8Array {
  const value = new Uint8Array(addresses.length * 4);
  for (const [at, address] of addresses.entries()) writeIpv4(value, 4 * at, address);
  return value;
}

export function encodeNumber(number: number, bytes: 1 | 2 | 4): Uint8Array {
  const value = new Uint8Array(4);
  new DataView(value.buffer).setUint32(0, number);
  return value.subarray(4 - bytes);
}

/** A route of option 121: `via` 0.0.0.0 means that the network is on the link itself. */
export interface DhcpRoute {
  readonly network: Ipv4;
  readonly prefix: number;
  readonly via: Ipv4;
}

/** Reads option 121 (RFC 3442); undefined if it does not hold together. Bits behind a prefix are cleared. */
export function tryParseRoutes(value: Uint8Array): DhcpRoute[] | undefined {
  const routes: DhcpRoute[] = [];
  let at = 0;
  while (at < value.length) {
    const prefix = value[at]!;
    const significant = Math.ceil(prefix / 8);
    if (prefix > 32 || at + 1 + significant + 4 > value.length) return undefined;
    const octets = new Uint8Array(4);
    octets.set(value.subarray(at + 1, at + 1 + significant));
    at += 1 + significant;
    const network = ((readIpv4(octets, 0) & maskOfPrefix(prefix)) >>> 0) as Ipv4;
    routes.push({ network, prefix, via: readIpv4(value, at) });
    at += 4;
  }
  return routes;
}

export function encodeRoutes(routes: readonly DhcpRoute[]): Uint8Array {
  const writer = new ByteWriter();
  const octets = new Uint8Array(4);
  for (const { network, prefix, via } of routes) {
    writeIpv4(octets, 0, network);
    writer
      .writeU8(prefix)
      .writeBytes(octets.subarray(0, Math.ceil(prefix / 8)))
      .writeU32(via);
  }
  return writer.finish();
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
