// Opening a TCP connection by system calls. The runtime's own connect gives no handle until it is over, so that an
// attempt could not be cut short, and it cannot bind to a source address.
import { networkInterfaces } from "node:os";
import { tryParseAddress } from "../base/ip.ts";
import { VpnError } from "../base/errors.ts";
import { check, errno, libc } from "./libc.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const EINPROGRESS = 115;
const F_DUPFD_CLOEXEC = 1030;

/**
 * A descriptor whose connect is under way: it becomes writable when it is connected and reports an error when it
 * is not. The caller owns it.
 * @param address of either family; a link-local one with its zone, as in `fe80::1%eth0`
 * @param source local address to send from
 * @throws SystemError where the system refuses at once; VpnError `connect_failed` for text that is no address
 */
export function startConnect(address: string, port: number, source?: string): number {
  const to = socketAddress(address, port);
  const from = source === undefined ? undefined : socketAddress(source, 0);
  const family = to[0]!;
  const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = check(libc.socket(family, type, 0), "socket", "open a TCP socket");
  try {
    if (from !== undefined) {
      check(libc.bind(fd, from, from.length), "bind", `send from ${source}`);
    }
    const result = libc.connect(fd, to, to.length);
    if (result < 0 && errno() !== EINPROGRESS) check(result, "connect", `connect to ${address}`);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/**
 * A second descriptor of the same socket, which keeps the connection when the first is closed.
 * @throws SystemError where no descriptor is left
 */
export function duplicateDescriptor(fd: number): number {
  return check(libc.fcntl(fd, F_DUPFD_CLOEXEC, 0), "fcntl", "duplicate a descriptor");
}

/** Closes a descriptor that no runtime object owns. */
export function closeDescriptor(fd: number): void {
  libc.close(fd);
}

/** sockaddr_in or sockaddr_in6: the family in the machine's order, which is little-endian everywhere we run. */
function socketAddress(text: string, port: number): Uint8Array {
  const [plain, zone] = text.split("%", 2);
  const address = tryParseAddress(plain!);
  if (address === undefined) throw new VpnError("connect_failed", `${text} is not an address`);
  const bytes = new Uint8Array(address.family === 4 ? 16 : 28);
  bytes[0] = address.family === 4 ? AF_INET : AF_INET6;
  bytes[2] = port >>> 8;
  bytes[3] = port;
  bytes.set(address.bytes, address.family === 4 ? 4 : 8);
  if (zone !== undefined) new DataView(bytes.buffer).setUint32(24, scopeOf(zone), true);
  return bytes;
}

/** The number of a zone, which is an interface's name or the number itself (RFC 4007 11.2). */
function scopeOf(zone: string): number {
  if (/^[0-9]{1,9}$/.test(zone)) return Number(zone);
  const scoped = networkInterfaces()[zone]?.find(
    (entry) => entry.family === "IPv6" && entry.scopeid !== 0,
  );
  if (scoped?.family !== "IPv6") {
    throw new VpnError("connect_failed", `There is no interface ${zone}`);
  }
  return scoped.scopeid ?? 0;
}
