// TCP connections by FFI, for those who move bytes between packet memory and sockets without a copy of their own
// (tcp(7)). They do not wait: an epoll set tells when there is something to do.
import { SystemError } from "../base/errors.ts";
import { AF_INET, AF_INET6 } from "./ip-address.ts";
import { check, errno, libc } from "./libc.ts";
import { PACKET_BASE } from "./packet-memory.ts";
import { encodeSocketAddress, SOCKET_ADDRESS_BYTES, type SocketAddress } from "./socket-address.ts";

const SOCK_STREAM_NONBLOCK_CLOEXEC = 0x80801;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_KEEPALIVE = 9;
const SO_OOBINLINE = 10;
const SO_LINGER = 13;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_NOTSENT_LOWAT = 25;
const SHUT_WR = 1;
/** Vectors that one call takes (IOV_MAX). */
const MAX_VECTORS = 1024;
/** What the kernel may hold unsent: more than a wake-up takes at 10 Gbit/s, so that it does not run dry. */
const UNSENT_BYTES = 524_288;
/** A peer that has vanished is found out after three minutes and a half, and routers on the way keep their entries. */
const KEEP_ALIVE = { idleS: 120, intervalS: 15, probes: 6 } as const;

// Arguments of the calls below, used again: a connection should not leave a dozen small arrays to the collector.
const nameBytes = new Uint8Array(SOCKET_ADDRESS_BYTES);
const optionValue = new Int32Array(1);
const optionBytes = new Uint32Array(1);
/** struct linger: on, for 0 seconds. */
const NO_LINGER = new Int32Array([1, 0]);

/** Numbers of errno(3) that a connection may meet; `-ERRNO.EAGAIN` is what a call answers that would have to wait. */
export const ERRNO = {
  EPERM: 1,
  EINTR: 4,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  ENFILE: 23,
  EMFILE: 24,
  EPIPE: 32,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ECONNRESET: 104,
  ENOBUFS: 105,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTDOWN: 112,
  EHOSTUNREACH: 113,
  EINPROGRESS: 115,
} as const;

/** The calling end of a TCP connection. Its owner watches `fd`. */
export class StreamSocket {
  readonly fd: number;
  #isOpen = true;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /**
   * Starts a connection, from whatever address the system's routes say. It has come about, or failed, when the
   * descriptor becomes writable: see `connectError`.
   * @throws SystemError for what is known at once: no route, no descriptor or port left, a rule against it
   */
  static connect(to: SocketAddress): StreamSocket {
    const family = to.family === 4 ? AF_INET : AF_INET6;
    const fd = check(
      libc.socket(family, SOCK_STREAM_NONBLOCK_CLOEXEC, 0),
      "socket",
      "open a TCP socket",
    );
    prepare(fd);
    const name = encodeSocketAddress(to);
    nameBytes.set(name);
    if (libc.connect(fd, nameBytes, name.length) < 0) {
      const error = errno();
      // Interrupted, it goes on all the same (connect(2)).
      if (error !== ERRNO.EINPROGRESS && error !== ERRNO.EINTR) {
        libc.close(fd);
        throw new SystemError("connect", error, "connect by TCP");
      }
    }
    return new StreamSocket(fd);
  }

  /** How the connect ended, once the descriptor is writable: 0 is success. Tells of an error once. */
  connectError(): number {
    optionBytes[0] = optionValue.byteLength;
    const result = libc.getsockopt(this.fd, SOL_SOCKET, SO_ERROR, optionValue, optionBytes);
    return result < 0 ? ERRNO.ECONNRESET : optionValue[0]!;
  }

  // Neither is interrupted by signals: a call that does not wait cannot be (signal(7)).

  /** Bytes that were taken of an array of struct iovec at an offset of packet memory, or a negative errno. */
  writev(vectorAt: number, vectors: number): number {
    const at = PACKET_BASE + vectorAt;
    const taken = Number(libc.writev(this.fd, at, Math.min(vectors, MAX_VECTORS)));
    return taken < 0 ? -errno() : taken;
  }

  /** Bytes that were read to an address, 0 at the end of what the peer sends, or a negative errno. */
  read(address: number, bytes: number): number {
    const read = Number(libc.read(this.fd, address, bytes));
    return read < 0 ? -errno() : read;
  }

  /** FIN behind what was written. */
  finish(): void {
    libc.shutdown(this.fd, SHUT_WR);
  }

  /** Closes with RST: what waits is dropped. May be called twice. */
  reset(): void {
    if (this.#isOpen) {
      libc.setsockopt(this.fd, SOL_SOCKET, SO_LINGER, NO_LINGER, NO_LINGER.byteLength);
    }
    this.close();
  }

  /** Closes; the system goes on to send what was written. May be called twice. */
  close(): void {
    if (this.#isOpen) libc.close(this.fd);
    this.#isOpen = false;
  }
}

function prepare(fd: number): void {
  setNumber(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  setNumber(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES);
  // An urgent byte is one of the stream for those who read (RFC 6093 6), and would be missing in it.
  setNumber(fd, SOL_SOCKET, SO_OOBINLINE, 1);
  setNumber(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  setNumber(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_ALIVE.idleS);
  setNumber(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_ALIVE.intervalS);
  setNumber(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_ALIVE.probes);
}

/** A refusal is no trouble: the connection works without. */
function setNumber(fd: number, level: number, option: number, value: number): void {
  optionValue[0] = value;
  libc.setsockopt(fd, level, option, optionValue, optionValue.byteLength);
}
