// News of the kernel as they happen: netlink(7) with multicast groups.
import { check, errno, libc } from "./libc.ts";
import { attributeText, readAttributes, readMessages } from "./netlink-message.ts";
import type { Poller } from "./poller.ts";

const AF_NETLINK = 16;
const SOCK_RAW_NONBLOCK_CLOEXEC = 0x80803;
const NETLINK_ROUTE = 0;
const NETLINK_NETFILTER = 12;
/* <linux/rtnetlink.h>, <linux/netfilter/nfnetlink.h>: groups are counted from 1. */
const RTNLGRP_LINK = 1;
const RTNLGRP_IPV4_IFADDR = 5;
const RTNLGRP_IPV4_RULE = 8;
const RTNLGRP_IPV6_IFADDR = 9;
const RTNLGRP_IPV6_ROUTE = 11;
const RTNLGRP_IPV6_RULE = 19;
const NFNLGRP_NFTABLES = 7;
/* <linux/netfilter/nf_tables.h>: the subsystem in the high byte. */
const NFT_MSG_NEWTABLE = 0x0a00;
const NFT_MSG_DELTABLE = 0x0a02;
const NFGENMSG_BYTES = 4;
const NFTA_TABLE_NAME = 1;
const RECEIVE_BYTES = 32_768;
const ENOBUFS = 105;

export interface NetlinkWatch {
  /** May be called twice. */
  close(): void;
}

/**
 * Calls `onChange` after links, their IPv4 addresses or routing rules have changed, once for a burst of changes. What it was is for the caller
 * to look up: news can be lost when they come too fast, and then the call comes all the same.
 * @throws SystemError if there are no descriptors left
 */
export function watchNetwork(poller: Poller, onChange: () => void): NetlinkWatch {
  const groups = [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE];
  return watch(poller, NETLINK_ROUTE, groups, () => onChange());
}

/**
 * Calls `onChange` after IPv6 addresses or routes have changed, as above.
 * @throws SystemError if there are no descriptors left
 */
export function watchIpv6Routes(poller: Poller, onChange: () => void): NetlinkWatch {
  const groups = [RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE];
  return watch(poller, NETLINK_ROUTE, groups, () => onChange());
}

/**
 * Calls `onGone` after a table of the packet filter was deleted and not put back at once, as when somebody loads
 * another set of rules; now and then in vain.
 * @throws SystemError where the kernel has no nftables
 */
export function watchFilterTable(poller: Poller, table: string, onGone: () => void): NetlinkWatch {
  return watch(poller, NETLINK_NETFILTER, [NFNLGRP_NFTABLES], (parts) => {
    let isGone = parts === undefined;
    for (const { type, body } of (parts ?? []).flatMap(readMessages)) {
      if (type !== NFT_MSG_NEWTABLE && type !== NFT_MSG_DELTABLE) continue;
      const name = readAttributes(body, NFGENMSG_BYTES).get(NFTA_TABLE_NAME);
      if (attributeText(name) === table) isGone = type === NFT_MSG_DELTABLE;
    }
    if (isGone) onGone();
  });
}

/** @param onNews with the datagrams of a burst, undefined where some were lost */
function watch(
  poller: Poller,
  protocol: number,
  groups: readonly number[],
  onNews: (parts: Uint8Array[] | undefined) => void,
): NetlinkWatch {
  const detail = "listen to the kernel's news";
  const fd = check(libc.socket(AF_NETLINK, SOCK_RAW_NONBLOCK_CLOEXEC, protocol), "socket", detail);
  let isClosed = false;
  const readable = poller.add(fd, () => {
    const parts: Uint8Array[] = [];
    let isLossy = false;
    for (;;) {
      const buffer = new Uint8Array(RECEIVE_BYTES);
      const length = Number(libc.recv(fd, buffer, buffer.length, 0));
      if (length > 0) parts.push(buffer.subarray(0, length));
      else if (errno() === ENOBUFS) isLossy = true;
      else break;
    }
    readable.arm();
    if (isLossy || parts.length > 0) onNews(isLossy ? undefined : parts);
  });
  const close = () => {
    if (isClosed) return;
    isClosed = true;
    readable.remove();
    libc.close(fd);
  };
  try {
    // struct sockaddr_nl: family, padding, port id chosen by the kernel, a bit for each group.
    const address = new Uint8Array(12);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_NETLINK, true);
    view.setUint32(8, groups.reduce((bits, group) => bits | (1 << (group - 1)), 0) >>> 0, true);
    check(libc.bind(fd, address, address.length), "bind", detail);
    readable.arm();
  } catch (thrown) {
    close();
    throw thrown;
  }
  return { close };
}
