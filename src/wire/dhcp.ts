import { readIpv4, writeIpv4, type Ipv4 } from "../base/ip.ts";
import { readMac, writeMac, type MacAddress } from "../base/mac.ts";
import { DHCP_OPTION, encodeOptions, tryParseOptions, type DhcpOptions } from "./dhcp-option.ts";

export const DHCP_PORT = { SERVER: 67, CLIENT: 68 } as const;

/** Message types of RFC 2132 9.6. */
export const DHCP_TYPE = {
  DISCOVER: 1,
  OFFER: 2,
  REQUEST: 3,
  DECLINE: 4,
  ACK: 5,
  NAK: 6,
  RELEASE: 7,
  INFORM: 8,
} as const;
export type DhcpType = (typeof DHCP_TYPE)[keyof typeof DHCP_TYPE];

const OP = { request: 1, reply: 2 } as const;

/** Layout of RFC 2131 2, in bytes from the start of the message. */
const AT = {
  OP: 0,
  HTYPE: 1,
  HLEN: 2,
  XID: 4,
  SECS: 8,
  FLAGS: 10,
  CIADDR: 12,
  YIADDR: 16,
  SIADDR: 20,
  GIADDR: 24,
  CHADDR: 28,
  SNAME: 44,
  FILE: 108,
  COOKIE: 236,
  OPTIONS: 240,
} as const;
export const DHCP_CHADDR_AT = AT.CHADDR;

const MAGIC_COOKIE = 0x63825363;
const HARDWARE_ETHERNET = 1;
const MAC_BYTES = 6;
const FLAG_BROADCAST = 0x8000;
/** BOOTP relays may drop anything shorter (RFC 1542 2.1). */
const MIN_MESSAGE_BYTES = 300;
/** Of IP, with its headers: what every client takes (RFC 2131 2). */
export const MIN_DHCP_PACKET_BYTES = 576;

/** Bits of option 52 (RFC 2132 9.3). */
const OVERLOAD = { FILE: 1, SNAME: 2 } as const;

/** A DHCPv4 message. The names of a boot server and file are left out: nobody boots over a tunnel. */
export interface DhcpMessage {
  readonly op: keyof typeof OP;
  readonly type: DhcpType;
  readonly xid: number;
  /** Seconds since the client began. */
  readonly secs: number;
  /** The client asks for answers by broadcast. */
  readonly wantsBroadcast: boolean;
  readonly ciaddr: Ipv4;
  readonly yiaddr: Ipv4;
  readonly siaddr: Ipv4;
  readonly giaddr: Ipv4;
  readonly chaddr: MacAddress;
  /** All but 52 and 53, which are `type` and a matter of layout. */
  readonly options: DhcpOptions;
}

/**
 * Reads the payload of a datagram. Undefined if it is cut, not for Ethernet, without the cookie of RFC 2131 3,
 * without a known message type (plain BOOTP), or has options that run past their field.
 */
export function tryParseDhcp(bytes: Uint8Array): DhcpMessage | undefined {
  if (bytes.length < AT.OPTIONS) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const op =
    bytes[AT.OP] === OP.request ? "request" : bytes[AT.OP] === OP.reply ? "reply" : undefined;
  if (op === undefined || bytes[AT.HTYPE] !== HARDWARE_ETHERNET) return undefined;
  if (bytes[AT.HLEN] !== MAC_BYTES || view.getUint32(AT.COOKIE) !== MAGIC_COOKIE) return undefined;
  const all = tryParseAllOptions(bytes);
  const type = all === undefined ? undefined : messageType(all);
  if (all === undefined || type === undefined) return undefined;
  all.delete(DHCP_OPTION.MESSAGE_TYPE);
  all.delete(DHCP_OPTION.OVERLOAD);
  return {
    op,
    type,
    xid: view.getUint32(AT.XID),
    secs: view.getUint16(AT.SECS),
    wantsBroadcast: (view.getUint16(AT.FLAGS) & FLAG_BROADCAST) !== 0,
    ciaddr: readIpv4(bytes, AT.CIADDR),
    yiaddr: readIpv4(bytes, AT.YIADDR),
    siaddr: readIpv4(bytes, AT.SIADDR),
    giaddr: readIpv4(bytes, AT.GIADDR),
    chaddr: readMac(bytes, AT.CHADDR),
    options: all,
  };
}

/** The bytes of a message, at least 300; all options lie in the options field. */
export function encodeDhcp(message: DhcpMessage): Uint8Array {
  const type: [number, Uint8Array] = [DHCP_OPTION.MESSAGE_TYPE, Uint8Array.of(message.type)];
  // The type stands first, and no option of the caller takes its place.
  const options = encodeOptions(new Map([type, ...message.options, type]));
  const bytes = new Uint8Array(Math.max(MIN_MESSAGE_BYTES, AT.OPTIONS + options.length));
  const view = new DataView(bytes.buffer);
  bytes[AT.OP] = OP[message.op];
  bytes[AT.HTYPE] = HARDWARE_ETHERNET;
  bytes[AT.HLEN] = MAC_BYTES;
  view.setUint32(AT.XID, message.xid);
  view.setUint16(AT.SECS, message.secs);
  view.setUint16(AT.FLAGS, message.wantsBroadcast ? FLAG_BROADCAST : 0);
  writeIpv4(bytes, AT.CIADDR, message.ciaddr);
  writeIpv4(bytes, AT.YIADDR, message.yiaddr);
  writeIpv4(bytes, AT.SIADDR, message.siaddr);
  writeIpv4(bytes, AT.GIADDR, message.giaddr);
  writeMac(bytes, AT.CHADDR, message.chaddr);
  view.setUint32(AT.COOKIE, MAGIC_COOKIE);
  bytes.set(options, AT.OPTIONS);
  return bytes;
}

/**
 * Options of all fields in the order of RFC 3396 5: options, file, sname. Each field is read once: what an
 * overload option inside `file` or `sname` says is not followed.
 */
function tryParseAllOptions(bytes: Uint8Array): Map<number, Uint8Array> | undefined {
  const fields = [bytes.subarray(AT.OPTIONS)];
  const own = tryParseOptions(fields);
  const overload = own?.get(DHCP_OPTION.OVERLOAD);
  if (own === undefined || overload === undefined) return own;
  const bits = overload.length === 1 ? overload[0]! : 0;
  if (bits < 1 || bits > (OVERLOAD.FILE | OVERLOAD.SNAME)) return undefined;
  if (bits & OVERLOAD.FILE) fields.push(bytes.subarray(AT.FILE, AT.COOKIE));
  if (bits & OVERLOAD.SNAME) fields.push(bytes.subarray(AT.SNAME, AT.FILE));
  return tryParseOptions(fields);
}

function messageType(options: DhcpOptions): DhcpType | undefined {
  const value = options.get(DHCP_OPTION.MESSAGE_TYPE);
  const type = value?.length === 1 ? value[0]! : 0;
  return type >= DHCP_TYPE.DISCOVER && type <= DHCP_TYPE.INFORM ? (type as DhcpType) : undefined;
}
