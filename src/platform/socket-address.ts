// struct sockaddr_in and sockaddr_in6 of <netinet/in.h>: the family in the machine's order, the rest in the network's.
import { isV4Mapped, type IpAddress } from "../base/ip.ts";
import { AF_INET, AF_INET6 } from "./ip-address.ts";

/** Room for either. */
export const SOCKET_ADDRESS_BYTES = 28;
const IN_BYTES = 16;
const PORT_AT = 2;
const IN_ADDRESS_AT = 4;
const IN6_ADDRESS_AT = 8;
const IN6_SCOPE_AT = 24;

/** An address and a port; `scope` is the interface of a link-local address, 0 for all others. */
export interface SocketAddress extends IpAddress {
  readonly port: number;
  readonly scope?: number;
}

/** The structure and its length within the 28 bytes. */
export function encodeSocketAddress(address: SocketAddress): Uint8Array {
  const isV4 = address.family === 4;
  const bytes = new Uint8Array(isV4 ? IN_BYTES : SOCKET_ADDRESS_BYTES);
  // Without a view: its buffer would cost those who keep thousands of these more than the bytes. All our targets are
  // little-endian.
  bytes[0] = isV4 ? AF_INET : AF_INET6;
  bytes[PORT_AT] = address.port >>> 8;
  bytes[PORT_AT + 1] = address.port;
  bytes.set(address.bytes, isV4 ? IN_ADDRESS_AT : IN6_ADDRESS_AT);
  const scope = address.scope ?? 0;
  for (let n = 0; !isV4 && n < 4; n += 1) bytes[IN6_SCOPE_AT + n] = scope >>> (8 * n);
  return bytes;
}

/** Reads the structure; undefined for another family. IPv4 that came to a socket of IPv6 stays mapped. */
export function decodeSocketAddress(bytes: Uint8Array): SocketAddress | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = view.getUint16(0, true);
  const port = view.getUint16(PORT_AT);
  if (family === AF_INET) {
    return { family: 4, bytes: bytes.slice(IN_ADDRESS_AT, IN_ADDRESS_AT + 4), port };
  }
  if (family !== AF_INET6) return undefined;
  const address = bytes.slice(IN6_ADDRESS_AT, IN6_ADDRESS_AT + 16);
  const scope = isV4Mapped(address) ? 0 : view.getUint32(IN6_SCOPE_AT, true);
  return { family: 6, bytes: address, port, scope };
}
