// Questions to the kernel's routing subsystem, and orders: rtnetlink(7). Messages are netlink-message.ts.
//
// Each exchange opens a socket of its own and closes it: there is no state between two, and none is needed, since the
// kernel answers before `sendto` returns.
import { SystemError } from "../base/errors.ts";
import { check, libc } from "./libc.ts";
import { NetlinkMessage, readMessages, type NetlinkReply } from "./netlink-message.ts";

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 0x80003;
const NETLINK_ROUTE = 0;
/** struct sockaddr_nl of the kernel itself: the family, then zeros. */
const KERNEL = Uint8Array.of(AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
/** The kernel makes no part of a dump larger than this. */
const RECEIVE_BYTES = 32_768;

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_DUMP = 0x300;

let sequence = 0;

/**
 * Sends an order and waits for its acknowledgement.
 * @param detail what could not be done, for the error's text
 * @throws SystemError with the kernel's number: EPERM without CAP_NET_ADMIN
 */
export function netlinkOrder(message: NetlinkMessage, flags: number, detail: string): void {
  exchange(message, NLM_F_REQUEST | NLM_F_ACK | flags, detail);
}

/** Sends a question about one thing and gives the answer. @throws SystemError, ENODEV for what is not there */
export function netlinkGet(message: NetlinkMessage, detail: string): NetlinkReply[] {
  return exchange(message, NLM_F_REQUEST | NLM_F_ACK, detail);
}

/** Asks for the whole of a table. */
export function netlinkDump(message: NetlinkMessage, detail: string): NetlinkReply[] {
  return exchange(message, NLM_F_REQUEST | NLM_F_DUMP, detail);
}

function exchange(message: NetlinkMessage, flags: number, detail: string): NetlinkReply[] {
  const fd = check(libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE), "socket", detail);
  try {
    sequence = (sequence + 1) >>> 0;
    const bytes = message.finish(flags, sequence);
    check(libc.sendto(fd, bytes, bytes.length, 0, KERNEL, KERNEL.length), "netlink", detail);
    return receive(fd, sequence, detail);
  } finally {
    libc.close(fd);
  }
}

function receive(fd: number, expected: number, detail: string): NetlinkReply[] {
  const replies: NetlinkReply[] = [];
  for (;;) {
    const part = new Uint8Array(RECEIVE_BYTES);
    const length = check(libc.recv(fd, part, part.length, 0), "netlink", detail);
    for (const reply of readMessages(part.subarray(0, length))) {
      if (reply.sequence !== expected) continue;
      if (reply.type !== NLMSG_ERROR && reply.type !== NLMSG_DONE) {
        replies.push(reply);
        continue;
      }
      // Both begin with a number: zero, or an errno with its sign turned.
      const result = reply.body.length >= 4 ? reply.view.getInt32(0, true) : 0;
      if (result < 0) throw new SystemError("netlink", -result, detail);
      return replies;
    }
  }
}
