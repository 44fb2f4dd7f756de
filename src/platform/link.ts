// Network interfaces of this machine: what they are like, and how to change them.
import { SystemError } from "../base/errors.ts";
import { MAC_ZERO, readMac, writeMac, type MacAddress } from "../base/mac.ts";
import {
  attributeNumber,
  attributeText,
  NetlinkMessage,
  readAttributes,
  type NetlinkReply,
} from "./netlink-message.ts";
import { netlinkDump, netlinkGet, netlinkOrder } from "./netlink.ts";

/* <linux/rtnetlink.h>, <linux/if_link.h>, <linux/if.h> */
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const IFINFO_BYTES = 16;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_TXQLEN = 13;
const IFF_UP = 1;
const IFF_LOOPBACK = 8;
const IFF_LOWER_UP = 0x10000;
const ARPHRD_ETHER = 1;
const ENODEV = 19;

/** An interface at the moment of asking. */
export interface Link {
  readonly index: number;
  readonly name: string;
  readonly isUp: boolean;
  /** The cable is in: frames can pass. */
  readonly hasCarrier: boolean;
  readonly isLoopback: boolean;
  /** Frames on it have Ethernet headers. */
  readonly isEthernet: boolean;
  readonly mtu: number;
  /** Zero where the interface has none of 6 octets. */
  readonly mac: MacAddress;
  /** Packets that may wait for the device. */
  readonly txQueueLength: number;
}

export interface LinkChange {
  readonly isUp?: boolean;
  readonly mtu?: number;
  readonly mac?: MacAddress;
  readonly txQueueLength?: number;
}

/** The interface of this name, or undefined if there is none. @throws SystemError */
export function tryGetLink(name: string): Link | undefined {
  const message = new NetlinkMessage(RTM_GETLINK, interfaceInfo(0)).text(IFLA_IFNAME, name);
  return tryGet(message, `look interface "${name}" up`);
}

/** The interface of this index, or undefined if it is gone. @throws SystemError */
export function tryGetLinkByIndex(index: number): Link | undefined {
  return tryGet(
    new NetlinkMessage(RTM_GETLINK, interfaceInfo(index)),
    `look interface ${index} up`,
  );
}

/** All interfaces. @throws SystemError */
export function listLinks(): Link[] {
  const message = new NetlinkMessage(RTM_GETLINK, interfaceInfo(0));
  return netlinkDump(message, "list the interfaces")
    .filter((reply) => reply.type === RTM_NEWLINK)
    .map(readLink);
}

/** Changes what is named, all of it or nothing. @throws SystemError */
export function changeLink(index: number, change: LinkChange): void {
  const info = interfaceInfo(index);
  if (change.isUp !== undefined) {
    const view = new DataView(info.buffer);
    view.setUint32(8, change.isUp ? IFF_UP : 0, true);
    view.setUint32(12, IFF_UP, true);
  }
  const message = new NetlinkMessage(RTM_NEWLINK, info);
  if (change.mac !== undefined) {
    const mac = new Uint8Array(6);
    writeMac(mac, 0, change.mac);
    message.bytes(IFLA_ADDRESS, mac);
  }
  if (change.mtu !== undefined) message.number(IFLA_MTU, change.mtu);
  if (change.txQueueLength !== undefined) message.number(IFLA_TXQLEN, change.txQueueLength);
  netlinkOrder(message, 0, `change interface ${index}`);
}

/** Deletes an interface that was made by software. @throws SystemError */
export function deleteLink(index: number): void {
  const message = new NetlinkMessage(RTM_DELLINK, interfaceInfo(index));
  netlinkOrder(message, 0, `delete interface ${index}`);
}

function tryGet(message: NetlinkMessage, detail: string): Link | undefined {
  try {
    const [reply] = netlinkGet(message, detail);
    return reply === undefined ? undefined : readLink(reply);
  } catch (thrown) {
    if (thrown instanceof SystemError && thrown.errno === ENODEV) return undefined;
    throw thrown;
  }
}

/** struct ifinfomsg: u8 family, u8, u16 type, i32 index, u32 flags, u32 change. */
function interfaceInfo(index: number): Uint8Array<ArrayBuffer> {
  const info = new Uint8Array(IFINFO_BYTES);
  new DataView(info.buffer).setInt32(4, index, true);
  return info;
}

function readLink({ body, view }: NetlinkReply): Link {
  const attributes = readAttributes(body, IFINFO_BYTES);
  const flags = view.getUint32(8, true);
  const mac = attributes.get(IFLA_ADDRESS);
  return {
    index: view.getInt32(4, true),
    name: attributeText(attributes.get(IFLA_IFNAME)),
    isUp: (flags & IFF_UP) !== 0,
    hasCarrier: (flags & IFF_LOWER_UP) !== 0,
    isLoopback: (flags & IFF_LOOPBACK) !== 0,
    isEthernet: view.getUint16(2, true) === ARPHRD_ETHER,
    mtu: attributeNumber(attributes.get(IFLA_MTU), 0),
    mac: mac?.length === 6 ? readMac(mac, 0) : MAC_ZERO,
    txQueueLength: attributeNumber(attributes.get(IFLA_TXQLEN), 0),
  };
}
