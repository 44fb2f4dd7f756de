// News of the kernel about links, as they happen: rtnetlink(7), RTNLGRP_LINK.
import { check, errno, libc } from "./libc.ts";
import type { Poller } from "./poller.ts";

const AF_NETLINK = 16;
const SOCK_RAW_NONBLOCK_CLOEXEC = 0x80803;
const NETLINK_ROUTE = 0;
const RTMGRP_LINK = 1;
const RECEIVE_BYTES = 32_768;
const ENOBUFS = 105;

export interface NetlinkWatch {
  /** May be called twice. */
  close(): void;
}

/**
 * Calls `onChange` after links have changed, once for a burst of changes. What it was is for the caller to look up: news
 * can be lost when they come too fast, and then the call comes all the same.
 * @throws SystemError if there are no descriptors left
 */
export function watchLinks(poller: Poller, onChange: () => void): NetlinkWatch {
  const detail = "watch the interfaces";
  const fd = check(
    libc.socket(AF_NETLINK, SOCK_RAW_NONBLOCK_CLOEXEC, NETLINK_ROUTE),
    "socket",
    detail,
  );
  // struct sockaddr_nl: family, padding, port id chosen by the kernel, groups.
  const address = new Uint8Array(12);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_NETLINK, true);
  view.setUint32(8, RTMGRP_LINK, true);
  const buffer = new Uint8Array(RECEIVE_BYTES);
  let isClosed = false;
  const read = () => {
    let isNews = false;
    for (;;) {
      const length = libc.recv(fd, buffer, buffer.length, 0);
      if (length <= 0 && errno() !== ENOBUFS) break;
      isNews = true;
    }
    watch.arm();
    if (isNews) onChange();
  };
  const watch = poller.add(fd, read);
  try {
    check(libc.bind(fd, address, address.length), "bind", detail);
    watch.arm();
  } catch (thrown) {
    watch.remove();
    libc.close(fd);
    throw thrown;
  }
  return {
    close() {
      if (isClosed) return;
      isClosed = true;
      watch.remove();
      libc.close(fd);
    },
  };
}
