// What the system says about a way to the outside, as the inside is told of it.
import { ERRNO } from "../platform/stream-socket.ts";
import type { IcmpFault } from "../wire/icmp.ts";

const FAULTS: Readonly<Record<number, IcmpFault>> = {
  [ERRNO.ENETUNREACH]: "no_route",
  [ERRNO.ENETDOWN]: "no_route",
  [ERRNO.EHOSTUNREACH]: "host_unreachable",
  [ERRNO.EHOSTDOWN]: "host_unreachable",
  [ERRNO.ETIMEDOUT]: "host_unreachable",
  [ERRNO.EACCES]: "prohibited",
  [ERRNO.EPERM]: "prohibited",
};

/** The ICMP error that says what an errno does (hub.md 11.3); undefined for what is no fault of the way. */
export function faultOfErrno(errno: number): IcmpFault | undefined {
  return FAULTS[errno];
}

/** A limit of this machine that its operator can raise; undefined for other errors. */
export function shortageOfErrno(errno: number): string | undefined {
  switch (errno) {
    case ERRNO.EMFILE:
      return "the limit on open files of this process (LimitNOFILE of its unit) is reached";
    case ERRNO.ENFILE:
      return "the limit on open files of this system (fs.file-max) is reached";
    case ERRNO.EADDRNOTAVAIL:
      return "all local ports (net.ipv4.ip_local_port_range) to this destination are in use";
    case ERRNO.ENOBUFS:
    case ERRNO.ENOMEM:
      return "the system has no memory for sockets (net.ipv4.tcp_mem)";
    default:
      return undefined;
  }
}
