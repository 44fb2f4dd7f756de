// UDP sockets towards resolvers. Each is connected, so that the kernel hands up what its resolver sent and nothing
// else, and tells of ICMP errors (udp(7)).
import { SystemError } from "../../base/errors.ts";
import { DNS_LIMITS } from "../../base/limits.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, type Epoll, type EpollWatch } from "../../platform/epoll.ts";
import { AF_INET, AF_INET6 } from "../../platform/ip-address.ts";
import { check, errno, libc } from "../../platform/libc.ts";
import { encodeSocketAddress, type SocketAddress } from "../../platform/socket-address.ts";
import type { DnsSocket, DnsSocketEvents, DnsTransport } from "./dns-channels.ts";

const SOCK_DGRAM_NONBLOCK_CLOEXEC = 0x80802;
const MSG_NOSIGNAL = 0x4000;
const EINTR = 4;
const EAGAIN = 11;
/** Datagrams of one call: a resolver owes one answer to a question. */
const READS_PER_EVENT = 16;

/** One for all: what is read is handed on before the next call. */
let received: Uint8Array | undefined;

/** Sockets of the system, watched with the others of a SecureNAT. */
export function systemDnsTransport(epoll: Epoll): DnsTransport {
  return {
    tryOpen(server, events) {
      try {
        return new SystemDnsSocket(epoll, server, events);
      } catch (thrown) {
        // No descriptor left, or no route of this family: other resolvers may do.
        if (thrown instanceof SystemError) return undefined;
        throw thrown;
      }
    },
  };
}

class SystemDnsSocket implements DnsSocket {
  readonly #fd: number;
  readonly #events: DnsSocketEvents;
  readonly #watch: EpollWatch;
  #isOpen = true;

  /** @throws SystemError */
  constructor(epoll: Epoll, server: SocketAddress, events: DnsSocketEvents) {
    const family = server.family === 4 ? AF_INET : AF_INET6;
    const type = SOCK_DGRAM_NONBLOCK_CLOEXEC;
    this.#fd = check(libc.socket(family, type, 0), "socket", "open a socket for DNS");
    this.#events = events;
    try {
      const name = encodeSocketAddress(server);
      // The port of this side is drawn by the kernel at random (RFC 6056).
      check(libc.connect(this.#fd, name, name.length), "connect", "reach a DNS resolver");
      this.#watch = epoll.add(this.#fd, (flags) => {
        if ((flags & (EPOLLIN | EPOLLERR | EPOLLHUP)) !== 0) this.#read();
      });
    } catch (thrown) {
      libc.close(this.#fd);
      throw thrown;
    }
  }

  send(message: Uint8Array): boolean {
    for (;;) {
      const sent = libc.sendto(this.#fd, message, message.length, MSG_NOSIGNAL, null, 0);
      if (Number(sent) === message.length) return true;
      // A full queue loses datagrams as the network does; what is lost is sent again.
      const error = errno();
      if (error === EAGAIN) return true;
      if (error !== EINTR) return false;
    }
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#watch.remove();
    libc.close(this.#fd);
  }

  #read(): void {
    received ??= new Uint8Array(DNS_LIMITS.messageBytes);
    for (let reads = 0; this.#isOpen; reads += 1) {
      if (reads === READS_PER_EVENT) return this.#watch.again(EPOLLIN);
      const length = Number(libc.recv(this.#fd, received, received.length, 0));
      if (length >= 0) {
        this.#events.message(received.subarray(0, length));
        continue;
      }
      const error = errno();
      if (error === EAGAIN) return;
      if (error !== EINTR) this.#events.refused();
    }
  }
}
