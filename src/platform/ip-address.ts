// IP addresses of interfaces.
import { formatNet, type Net } from "../base/ip.ts";
import { NetlinkMessage, readAttributes } from "./netlink-message.ts";
import { netlinkDump, netlinkOrder } from "./netlink.ts";

/* <linux/rtnetlink.h>, <linux/if_addr.h> */
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const IFADDR_BYTES = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_RT_PRIORITY = 9;
const IFA_F_NODAD = 2;
const NLM_F_CREATE = 0x400;
const NLM_F_REPLACE = 0x100;
export const AF_INET = 2;
export const AF_INET6 = 10;

/** An address and the interface that has it. */
export interface InterfaceAddress {
  readonly index: number;
  readonly net: Net;
}

/**
 * Gives an interface an address; one that it has already is no error. `metric` is that of the route to the network
 * around it, the kernel's own choice if not given. @throws SystemError
 */
export function addAddress(index: number, net: Net, metric?: number): void {
  // The virtual cable has no neighbour to ask yet when addresses are set, so nothing waits for an answer.
  const message = new NetlinkMessage(RTM_NEWADDR, addressInfo(index, net, IFA_F_NODAD))
    .bytes(IFA_LOCAL, net.bytes)
    .bytes(IFA_ADDRESS, net.bytes);
  if (net.family === 4 && net.prefix < 31) message.bytes(IFA_BROADCAST, lastAddress(net));
  if (metric !== undefined) message.number(IFA_RT_PRIORITY, metric);
  const detail = `add address ${formatNet(net)} to interface ${index}`;
  netlinkOrder(message, NLM_F_CREATE | NLM_F_REPLACE, detail);
}

/** Takes an address away. @throws SystemError, EADDRNOTAVAIL if the interface does not have it */
export function removeAddress(index: number, net: Net): void {
  const message = new NetlinkMessage(RTM_DELADDR, addressInfo(index, net, 0)).bytes(
    IFA_LOCAL,
    net.bytes,
  );
  netlinkOrder(message, 0, `remove address ${formatNet(net)} from interface ${index}`);
}

/** Addresses of one interface, or of all. @throws SystemError */
export function listAddresses(index?: number): InterfaceAddress[] {
  const message = new NetlinkMessage(RTM_GETADDR, new Uint8Array(IFADDR_BYTES));
  const found: InterfaceAddress[] = [];
  for (const { type, body, view } of netlinkDump(message, "list the addresses")) {
    const owner = type === RTM_NEWADDR ? view.getUint32(4, true) : undefined;
    if (owner === undefined || (index !== undefined && owner !== index)) continue;
    const attributes = readAttributes(body, IFADDR_BYTES);
    // The own address is LOCAL; where only ADDRESS stands, as with IPv6, it is that. On a point-to-point link
    // ADDRESS is the other end.
    const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
    if (bytes?.length !== 4 && bytes?.length !== 16) continue;
    const family = bytes.length === 4 ? 4 : 6;
    found.push({ index: owner, net: { family, bytes: bytes.slice(), prefix: body[1]! } });
  }
  return found;
}

/** struct ifaddrmsg: u8 family, u8 prefix length, u8 flags, u8 scope, u32 index. */
function addressInfo(index: number, net: Net, flags: number): Uint8Array {
  const info = new Uint8Array(IFADDR_BYTES);
  info[0] = net.family === 4 ? AF_INET : AF_INET6;
  info[1] = net.prefix;
  info[2] = flags;
  new DataView(info.buffer).setUint32(4, index, true);
  return info;
}

/** The broadcast address of an IPv4 network. */
function lastAddress(net: Net): Uint8Array {
  const bytes = net.bytes.slice();
  for (let bit = net.prefix; bit < 32; bit += 1) bytes[bit >> 3]! |= 0x80 >> (bit & 7);
  return bytes;
}
