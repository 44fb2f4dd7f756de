// What went wrong with datagrams of a socket, and who said so: its error queue (IP_RECVERR of ip(7)).
import type { IpAddress } from "../base/ip.ts";
import { AF_INET, AF_INET6 } from "./ip-address.ts";
import { errno, libc } from "./libc.ts";
import {
  findControl,
  MESSAGE,
  MESSAGE_BYTES,
  setAddress,
  setOneVector,
  setVector,
  VECTOR_BYTES,
} from "./message-table.ts";
import { PACKET_BASE, PACKET_BYTES, PACKET_VIEW, reserve } from "./packet-memory.ts";
import { SOCKET_ADDRESS_BYTES } from "./socket-address.ts";

const MSG_ERRQUEUE = 0x2000;
const EINTR = 4;
const IPPROTO_IP = 0;
const IP_RECVERR = 11;
const IPPROTO_IPV6 = 41;
const IPV6_RECVERR = 25;

/* struct sock_extended_err; the address of who found the error lies behind. */
const ORIGIN_AT = 4;
const TYPE_AT = 5;
const CODE_AT = 6;
const INFO_AT = 8;
const OFFENDER_AT = 16;
const ORIGIN = { LOCAL: 1, ICMP: 2, ICMP6: 3 } as const;

/** As many as one call of `readErrors` takes at most: errors of a flood wait, or are dropped by the kernel. */
const ERRORS_PER_CALL = 64;
const PAYLOAD_ROOM = 2048;
const CONTROL_ROOM = 128;

const table = reserve(MESSAGE_BYTES + VECTOR_BYTES + CONTROL_ROOM + SOCKET_ADDRESS_BYTES + 4);
const vector = table + MESSAGE_BYTES;
const control = vector + VECTOR_BYTES;
const name = control + CONTROL_ROOM;
/** Room for headers before what is quoted. */
const QUOTE_HEADROOM_BYTES = 64;
const payload = reserve(QUOTE_HEADROOM_BYTES + PAYLOAD_ROOM) + QUOTE_HEADROOM_BYTES;

/** An error about a datagram that this socket has sent. The object is used again by the next. */
export interface DatagramError {
  /** Of errno(3). */
  errno: number;
  /** Of the ICMP message; undefined for what this machine found out itself without one. */
  icmp: { readonly version: 4 | 6; readonly type: number; readonly code: number } | undefined;
  /** The MTU where the datagram was too big, else 0. */
  info: number;
  /** Who sent the ICMP message. */
  offender: IpAddress | undefined;
  /** Where in packet memory the struct sockaddr lies that the datagram was for. */
  toAt: number;
  /** The beginning of what it carried. The 64 bytes before are free to be written. */
  at: number;
  bytes: number;
}

const found: DatagramError = {
  errno: 0,
  icmp: undefined,
  info: 0,
  offender: undefined,
  toAt: name,
  at: payload,
  bytes: 0,
};

/** Gives `take` the errors that wait. What it is given lasts for the call. True if there may be more. */
export function readErrors(fd: number, take: (error: DatagramError) => void): boolean {
  for (let count = 0; count < ERRORS_PER_CALL; count += 1) {
    setVector(vector, payload, PAYLOAD_ROOM);
    setOneVector(table, vector);
    setAddress(table + MESSAGE.name, name);
    PACKET_VIEW.setUint32(table + MESSAGE.nameBytes, SOCKET_ADDRESS_BYTES, true);
    setAddress(table + MESSAGE.control, control);
    PACKET_VIEW.setUint32(table + MESSAGE.controlBytes, CONTROL_ROOM, true);
    let got: number;
    do got = libc.recvmmsg(fd, PACKET_BASE + table, 1, MSG_ERRQUEUE, 0);
    while (got < 0 && errno() === EINTR);
    if (got <= 0) return false;
    if (parse()) take(found);
  }
  return true;
}

function parse(): boolean {
  const end = control + PACKET_VIEW.getUint32(table + MESSAGE.controlBytes, true);
  const at =
    findControl(control, end, IPPROTO_IP, IP_RECVERR) ??
    findControl(control, end, IPPROTO_IPV6, IPV6_RECVERR);
  if (at === undefined || at + OFFENDER_AT > end) return false;
  const origin = PACKET_BYTES[at + ORIGIN_AT]!;
  const version = origin === ORIGIN.ICMP ? 4 : 6;
  const isIcmp = origin === ORIGIN.ICMP || origin === ORIGIN.ICMP6;
  if (!isIcmp && origin !== ORIGIN.LOCAL) return false;
  found.errno = PACKET_VIEW.getUint32(at, true);
  found.icmp = isIcmp
    ? { version, type: PACKET_BYTES[at + TYPE_AT]!, code: PACKET_BYTES[at + CODE_AT]! }
    : undefined;
  found.info = PACKET_VIEW.getUint32(at + INFO_AT, true);
  found.offender = isIcmp ? addressAt(at + OFFENDER_AT, end) : undefined;
  found.bytes = PACKET_VIEW.getUint32(table + MESSAGE.length, true);
  return true;
}

/** The address in a struct sockaddr. */
function addressAt(at: number, end: number): IpAddress | undefined {
  if (at + 2 > end) return undefined;
  const family = PACKET_VIEW.getUint16(at, true);
  if (family === AF_INET && at + 8 <= end) {
    return { family: 4, bytes: PACKET_BYTES.slice(at + 4, at + 8) };
  }
  if (family === AF_INET6 && at + 24 <= end) {
    return { family: 6, bytes: PACKET_BYTES.slice(at + 8, at + 24) };
  }
  return undefined;
}
