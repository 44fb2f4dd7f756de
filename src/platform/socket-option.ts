// Options of sockets that the runtime opens but has no setters for. Its sockets show their descriptor as `fd`.
import { libc } from "./libc.ts";

const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_NOTSENT_LOWAT = 25;

/**
 * Makes the socket "not writable" while the kernel holds this many unsent bytes of it (tcp(7)): latency under load
 * is what queues cost (dataplane.md 7). False if the system refused; the connection works without it.
 */
export function setNotSentLowat(fd: number, bytes: number): boolean {
  return setNumber(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes);
}

/** Sends small writes at once. False if the system refused. */
export function setNoDelay(fd: number): boolean {
  return setNumber(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/** Bytes of the kernel's buffers, which it doubles and bounds by net.core.*mem_max. False if the system refused. */
export function setSendBuffer(fd: number, bytes: number): boolean {
  return setNumber(fd, SOL_SOCKET, SO_SNDBUF, bytes);
}

export function setReceiveBuffer(fd: number, bytes: number): boolean {
  return setNumber(fd, SOL_SOCKET, SO_RCVBUF, bytes);
}

/** Numbers of options, for reading back what the kernel made of them. */
export const SOCKET_OPTION = {
  sendBuffer: [SOL_SOCKET, SO_SNDBUF],
  receiveBuffer: [SOL_SOCKET, SO_RCVBUF],
  noDelay: [IPPROTO_TCP, TCP_NODELAY],
  notSentLowat: [IPPROTO_TCP, TCP_NOTSENT_LOWAT],
  /** The errno that waits to be told, which reading takes away (socket(7)). */
  error: [SOL_SOCKET, SO_ERROR],
} as const;

/** The value of an option, or undefined if the system refused. */
export function tryGetSocketOption(
  fd: number,
  [level, option]: readonly [number, number],
): number | undefined {
  const value = new Int32Array(1);
  const result = libc.getsockopt(fd, level, option, value, new Uint32Array([value.byteLength]));
  return result < 0 ? undefined : value[0];
}

function setNumber(fd: number, level: number, option: number, value: number): boolean {
  return libc.setsockopt(fd, level, option, new Int32Array([value]), 4) === 0;
}
