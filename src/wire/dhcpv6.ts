import { DHCPV6_LIMITS } from "../base/limits.ts";
import { ByteWriter } from "./writer.ts";

/* RFC 8415 7.2, 7.3, 8 and 21; RFC 3646. */
export const DHCPV6_PORT = { CLIENT: 546, SERVER: 547 } as const;
export const DHCPV6_TYPE = {
  SOLICIT: 1,
  ADVERTISE: 2,
  REQUEST: 3,
  CONFIRM: 4,
  RENEW: 5,
  REBIND: 6,
  REPLY: 7,
  RELEASE: 8,
  DECLINE: 9,
  INFORMATION_REQUEST: 11,
  RELAY_FORW: 12,
} as const;
export const DHCPV6_OPTION = {
  CLIENT_ID: 1,
  SERVER_ID: 2,
  IA_NA: 3,
  IA_TA: 4,
  REQUESTED: 6,
  STATUS_CODE: 13,
  DNS_SERVERS: 23,
  DOMAIN_LIST: 24,
  IA_PD: 25,
  REFRESH_TIME: 32,
  SOL_MAX_RT: 82,
  INF_MAX_RT: 83,
} as const;
export const DHCPV6_STATUS = {
  SUCCESS: 0,
  NO_ADDRESSES: 2,
  NO_BINDING: 3,
  NO_PREFIXES: 6,
} as const;
const HEADER_BYTES = 4;
const OPTION_HEADER_BYTES = 4;
const HARDWARE_ETHERNET = 1;
const DUID_LINK_LAYER = 3;

export interface Dhcpv6Option {
  readonly code: number;
  readonly value: Uint8Array;
}

/** A message between client and server; those of relays are of another form. */
export interface Dhcpv6Message {
  readonly type: number;
  /** 24 bits. */
  readonly transaction: number;
  /** In their order; a code may stand more than once. */
  readonly options: readonly Dhcpv6Option[];
}

/** Reads a datagram; undefined if it is cut, of a relay, or has more options than anybody sends. */
export function tryParseDhcpv6(bytes: Uint8Array): Dhcpv6Message | undefined {
  if (bytes.length < HEADER_BYTES || bytes.length > DHCPV6_LIMITS.messageBytes) return undefined;
  const type = bytes[0]!;
  if (type === 0 || type >= DHCPV6_TYPE.RELAY_FORW) return undefined;
  const options: Dhcpv6Option[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = HEADER_BYTES; at < bytes.length;) {
    if (at + OPTION_HEADER_BYTES > bytes.length) return undefined;
    const end = at + OPTION_HEADER_BYTES + view.getUint16(at + 2);
    if (end > bytes.length || options.length === DHCPV6_LIMITS.options) return undefined;
    options.push({
      code: view.getUint16(at),
      value: bytes.slice(at + OPTION_HEADER_BYTES, end),
    });
    at = end;
  }
  return { type, transaction: view.getUint32(0) & 0xff_ffff, options };
}

export function encodeDhcpv6({ type, transaction, options }: Dhcpv6Message): Uint8Array {
  const writer = new ByteWriter();
  writer.writeU32(type * 0x100_0000 + transaction);
  writeOptions(writer, options);
  return writer.finish();
}

/** Options one after the other, as they stand inside others. */
export function encodeDhcpv6Options(options: readonly Dhcpv6Option[]): Uint8Array {
  const writer = new ByteWriter();
  writeOptions(writer, options);
  return writer.finish();
}

function writeOptions(writer: ByteWriter, options: readonly Dhcpv6Option[]): void {
  for (const { code, value } of options) {
    writer.writeU16(code).writeU16(value.length).writeBytes(value);
  }
}

/** The value of the first option of this code. */
export function dhcpv6Option(message: Dhcpv6Message, code: number): Uint8Array | undefined {
  return message.options.find((option) => option.code === code)?.value;
}

/** The codes that a client asks for; none if it names none. */
export function requestedOptions(message: Dhcpv6Message): ReadonlySet<number> {
  const value = dhcpv6Option(message, DHCPV6_OPTION.REQUESTED) ?? new Uint8Array();
  const codes = new Set<number>();
  for (let at = 0; at + 2 <= value.length; at += 2) codes.add(value[at]! * 256 + value[at + 1]!);
  return codes;
}

/** What a host on Ethernet is known by that keeps its MAC (RFC 8415 11.4). */
export function linkLayerDuid(mac: Uint8Array): Uint8Array {
  return Uint8Array.of(0, DUID_LINK_LAYER, 0, HARDWARE_ETHERNET, ...mac);
}
