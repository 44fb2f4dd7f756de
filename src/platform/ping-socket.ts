// Echo requests of ICMP by sockets that need no privilege where net.ipv4.ping_group_range lets the user have them
// (icmp(7)), else by raw ones, which root may have. There is no third way: an echo is never made up (hub.md 11.3).
import { SystemError } from "../base/errors.ts";
import { bindPreferably, DatagramSocket, openDescriptor } from "./datagram-socket.ts";
import { check, libc } from "./libc.ts";

const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const PROTOCOL = { 4: 1, 6: 58 } as const;
const SOL_RAW = 255;
const ICMP_FILTER = 1;
const SOL_ICMPV6 = 58;
const ICMPV6_FILTER = 1;
const ECHO_REPLY_V4 = 0;
const ECHO_REPLY_V6 = 129;
const EPERM = 1;
const EACCES = 13;
const EADDRINUSE = 98;

/** Identifiers of raw sockets, which nobody else keeps apart. */
const rawIds = { 4: new Set<number>(), 6: new Set<number>() } as const;

/**
 * Opens a socket for echoes, with the preferred identifier if that is free; what is sent by it must have the one that
 * is its `port`.
 * @throws SystemError EACCES or EPERM if this user may have none
 */
export function openPing(family: 4 | 6, preferredId: number, ttl: number): DatagramSocket {
  let fd: number;
  try {
    fd = openDescriptor(family, SOCK_DGRAM, PROTOCOL[family]);
  } catch (thrown) {
    const errno = thrown instanceof SystemError ? thrown.errno : 0;
    if (errno !== EACCES && errno !== EPERM) throw thrown;
    return openRaw(family, preferredId, ttl);
  }
  try {
    const port = bindPreferably(fd, family, preferredId);
    return new DatagramSocket({ fd, family, kind: "ping", port, ttl });
  } catch (thrown) {
    libc.close(fd);
    throw thrown;
  }
}

/** Closes what `openPing` has opened. May be called twice. */
export function closePing(socket: DatagramSocket): void {
  if (socket.isOpen && socket.kind === "raw") rawIds[socket.family].delete(socket.port);
  socket.close();
}

/** As `openPing`, by a raw socket. @throws SystemError */
export function openRaw(family: 4 | 6, preferredId: number, ttl: number): DatagramSocket {
  const fd = openDescriptor(family, SOCK_RAW, PROTOCOL[family]);
  try {
    letRepliesPass(fd, family);
    const port = freeId(rawIds[family], preferredId);
    const socket = new DatagramSocket({ fd, family, kind: "raw", port, ttl });
    rawIds[family].add(port);
    return socket;
  } catch (thrown) {
    libc.close(fd);
    throw thrown;
  }
}

/** Of all that a raw socket would hear, nothing but echo replies. Bits that are set keep a type out. */
function letRepliesPass(fd: number, family: 4 | 6): void {
  const detail = "filter what a raw socket hears";
  if (family === 4) {
    const filter = new Uint32Array([~(1 << ECHO_REPLY_V4)]);
    check(libc.setsockopt(fd, SOL_RAW, ICMP_FILTER, filter, 4), "setsockopt", detail);
    return;
  }
  const filter = new Uint32Array(8).fill(0xffff_ffff);
  filter[ECHO_REPLY_V6 >>> 5] = ~(1 << (ECHO_REPLY_V6 & 31));
  check(libc.setsockopt(fd, SOL_ICMPV6, ICMPV6_FILTER, filter, 32), "setsockopt", detail);
}

function freeId(taken: ReadonlySet<number>, preferred: number): number {
  for (let step = 0; step <= 0xffff; step += 1) {
    const id = (preferred + step) & 0xffff;
    if (!taken.has(id)) return id;
  }
  throw new SystemError("bind", EADDRINUSE, "find an identifier for echoes");
}
