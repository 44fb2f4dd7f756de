// Sockets that send datagrams in other hosts' names: each with the TTL that it came with, and with news of what became
// of it (ip(7), ipv6(7), udp(7)). They are not connected, so one serves all peers of a mapping.
import { SystemError } from "../base/errors.ts";
import { type DatagramError, readErrors } from "./error-queue.ts";
import { AF_INET, AF_INET6 } from "./ip-address.ts";
import { check, libc } from "./libc.ts";
import { type IncomingMessage, mayHaveMore, receiveMessages } from "./receive-messages.ts";
import {
  decodeSocketAddress,
  encodeSocketAddress,
  SOCKET_ADDRESS_BYTES,
} from "./socket-address.ts";
import { setReceiveBuffer, setSendBuffer } from "./socket-option.ts";

const SOCK_DGRAM = 2;
const SOCK_NONBLOCK_CLOEXEC = 0x80800;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_UDP = 17;
const UDP_GRO = 104;
const IPPROTO_IP = 0;
const IP_TTL = 2;
const IP_MTU_DISCOVER = 10;
const IP_RECVERR = 11;
const IPPROTO_IPV6 = 41;
const IPV6_UNICAST_HOPS = 16;
const IPV6_MTU_DISCOVER = 23;
const IPV6_RECVERR = 25;
const IPV6_V6ONLY = 26;
const PMTUDISC_DONT = 0;
const PMTUDISC_DO = 2;

const EADDRINUSE = 98;
const EACCES = 13;
const EADDRNOTAVAIL = 99;

/** Kernel memory for datagrams that we have not got to yet: eight milliseconds at a Gbit/s, for each of many sockets. */
const BUFFER_BYTES = 1 << 20;
/** Messages that are taken before others get their turn. */
const CALLS_PER_TURN = 8;

/** The argument of calls, used again: a guest may open thousands of sockets in a moment. */
const optionValue = new Int32Array(1);
const boundName = new Uint8Array(SOCKET_ADDRESS_BYTES);
const boundBytes = new Uint32Array(1);

/** "raw" sockets see all ICMP messages of their machine; the others their own ones only. */
export type DatagramKind = "udp" | "ping" | "raw";

export class DatagramSocket {
  readonly fd: number;
  readonly family: 4 | 6;
  readonly kind: DatagramKind;
  /** Of UDP; of "ping" the identifier of its echoes. */
  readonly port: number;
  /** As messages go without being told otherwise. */
  readonly ttl: number;
  /** Datagrams of at least this size are not joined: the kernel has refused it. */
  segmentLimit = Infinity;
  #mayFragment = false;
  #isOpen = true;

  /** Takes over the descriptor. */
  constructor(of: Pick<DatagramSocket, "fd" | "family" | "kind" | "port" | "ttl">) {
    this.fd = of.fd;
    this.family = of.family;
    this.kind = of.kind;
    this.port = of.port;
    this.ttl = of.ttl;
    this.#prepare();
  }

  /**
   * Opens a UDP socket on all addresses of this machine, on the preferred port if that is free; 0 prefers none.
   * @throws SystemError where no descriptor or port is left
   */
  static openUdp(family: 4 | 6, preferredPort: number, ttl: number): DatagramSocket {
    const fd = openDescriptor(family, SOCK_DGRAM, 0);
    try {
      const port = bindPreferably(fd, family, preferredPort);
      return new DatagramSocket({ fd, family, kind: "udp", port, ttl });
    } catch (thrown) {
      libc.close(fd);
      throw thrown;
    }
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether routers and this machine may cut what is too large, instead of telling. */
  setMayFragment(mayFragment: boolean): void {
    if (this.#mayFragment === mayFragment) return;
    this.#mayFragment = mayFragment;
    const value = mayFragment ? PMTUDISC_DONT : PMTUDISC_DO;
    if (this.family === 4) setOption(this.fd, IPPROTO_IP, IP_MTU_DISCOVER, value);
    else setOption(this.fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, value);
  }

  /**
   * Gives `take` what has come, which lasts for the call. True if there may be more, for the next turn.
   * Errors must have been read before: a socket that has some to tell says that nothing has come.
   */
  receive(take: (message: IncomingMessage) => void): boolean {
    for (let calls = 0; calls < CALLS_PER_TURN; calls += 1) {
      const count = receiveMessages(this.fd, (message, isCut) => {
        if (!isCut) take(message);
        return this.#isOpen;
      });
      if (!mayHaveMore(count)) return false;
    }
    return true;
  }

  /** As `readErrors` of error-queue.ts. */
  readErrors(take: (error: DatagramError) => void): boolean {
    return readErrors(this.fd, take);
  }

  /** May be called twice. */
  close(): void {
    if (this.#isOpen) libc.close(this.fd);
    this.#isOpen = false;
  }

  #prepare(): void {
    const { fd, family, kind, ttl } = this;
    if (family === 4) {
      setOption(fd, IPPROTO_IP, IP_RECVERR, 1);
      setOption(fd, IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DO);
      setOption(fd, IPPROTO_IP, IP_TTL, ttl);
    } else {
      setOption(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
      setOption(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DO);
      setOption(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl);
    }
    // Echoes are few.
    if (kind !== "udp") return;
    // Beyond net.core.*mem_max for those who may, up to it for others.
    const size = BUFFER_BYTES;
    if (!setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, size)) setReceiveBuffer(fd, size);
    if (!setOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, size)) setSendBuffer(fd, size);
    // Kernels before 5.0 do not join; datagrams then come one by one.
    setOption(fd, SOL_UDP, UDP_GRO, 1);
  }
}

/** @throws SystemError */
export function openDescriptor(family: 4 | 6, type: number, protocol: number): number {
  const domain = family === 4 ? AF_INET : AF_INET6;
  const fd = libc.socket(domain, type | SOCK_NONBLOCK_CLOEXEC, protocol);
  check(fd, "socket", "open a socket for datagrams");
  if (family === 6) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  return fd;
}

/** Binds to the port if it may be had, else to one that the system chooses; gives which. @throws SystemError */
export function bindPreferably(fd: number, family: 4 | 6, preferredPort: number): number {
  const bytes = new Uint8Array(family === 4 ? 4 : 16);
  const bind = (port: number) => {
    const name = encodeSocketAddress({ family, bytes, port });
    check(libc.bind(fd, name, name.length), "bind", `bind a socket to port ${port}`);
  };
  try {
    bind(preferredPort);
  } catch (thrown) {
    const errno = thrown instanceof SystemError ? thrown.errno : 0;
    const isTaken = errno === EADDRINUSE || errno === EACCES || errno === EADDRNOTAVAIL;
    if (!isTaken || preferredPort === 0) throw thrown;
    bind(0);
  }
  boundBytes[0] = boundName.length;
  const result = libc.getsockname(fd, boundName, boundBytes);
  check(result, "getsockname", "tell the port of a socket");
  return decodeSocketAddress(boundName)!.port;
}

/** False if the system refused. */
export function setOption(fd: number, level: number, option: number, value: number): boolean {
  optionValue[0] = value;
  return libc.setsockopt(fd, level, option, optionValue, 4) === 0;
}
