import { AF_INET6 } from "./ip-address.ts";
import { libc } from "./libc.ts";
import { encodeSocketAddress } from "./socket-address.ts";

const SOCK_DGRAM_CLOEXEC = 0x80002;
/** Somebody in 2000::/3, where the internet is (RFC 4291 2.4); nothing is sent. */
const SOMEWHERE = encodeSocketAddress({
  family: 6,
  bytes: Uint8Array.of(0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
  port: 9,
});

/** Whether the kernel knows a route into the IPv6 internet, and an address of its own to send from. */
export function hasIpv6Way(): boolean {
  const fd = libc.socket(AF_INET6, SOCK_DGRAM_CLOEXEC, 0);
  if (fd < 0) return false;
  const result = libc.connect(fd, SOMEWHERE, SOMEWHERE.length);
  libc.close(fd);
  return result === 0;
}
