// TAP interfaces: an Ethernet interface of this machine whose cable ends in a descriptor of ours
// (Documentation/networking/tuntap.rst).
import { SystemError, VpnError } from "../base/errors.ts";
import type { MacAddress } from "../base/mac.ts";
import { DescriptorDevice, type FrameDevice } from "./frame-device.ts";
import { cString, errno, ioctlValue, libc } from "./libc.ts";
import { changeLink, tryGetLink, type Link, type LinkChange } from "./link.ts";

/* <linux/if_tun.h>, <linux/if.h>; the request numbers are the same on all our targets. */
const TUN_DEVICE = "/dev/net/tun";
const O_RDWR_NONBLOCK_CLOEXEC = 0x80802;
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const IFREQ_BYTES = 40;
const IFNAMSIZ = 16;
const IFF_TUN = 0x0001;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_TSO_ECN = 0x08;
const TUN_F_USO4 = 0x20;
const TUN_F_USO6 = 0x40;

/**
 * What we can cut, the best first. Checksums alone are left out: they cost more here than the kernel needs for them
 * (dataplane.md 4).
 */
const OFFLOADS: readonly number[] = [
  TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
  TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
  0,
];

const EPERM = 1;
const ENOENT = 2;
const ENXIO = 6;
const EACCES = 13;
const EBUSY = 16;
const ENODEV = 19;
const EINVAL = 22;

export interface TapSettings {
  /** Name of the interface: 1 to 15 bytes. */
  readonly name: string;
  readonly mac?: MacAddress;
  readonly mtu?: number;
  /** Packets that may wait for us to read; the kernel's 1000 with super-frames of 64 KiB are far too many. */
  readonly txQueueLength?: number;
  /** Sets the interface up. */
  readonly isUp?: boolean;
}

/** An open TAP. The interface goes when it is closed, unless somebody else had made it to stay. */
export interface Tap extends FrameDevice {
  /** Number of the interface, as link.ts wants it. */
  readonly index: number;
  /** Reads give super-frames of up to 64 KiB, to be cut. */
  readonly isOffloaded: boolean;
}

/**
 * Makes a TAP, or opens one that was made before and belongs to this user, and sets it as told.
 * @throws SystemError whose text says what to do
 * @throws VpnError `tap_name` for a name that no interface can have
 */
export function openTap(settings: TapSettings): Tap {
  const { name } = settings;
  expectName(name);
  const existing = tryGetLink(name);
  const device = attach(name);
  try {
    const isOffloaded = device.hasVnetHeader && setOffload(device.fd) > 0;
    const link = tryGetLink(name);
    if (link === undefined) throw new SystemError("netlink", ENODEV, `set TAP "${name}" up`);
    const change = difference(settings, link);
    if (change !== undefined) applyChange(link.index, change, existing !== undefined);
    return Object.assign(device, { index: link.index, isOffloaded });
  } catch (thrown) {
    device.close();
    throw thrown;
  }
}

/** The kernel takes `%d` in a name for a number to fill in, and paths in /sys are made of names. */
export function expectName(name: string, kind: "TAP" | "TUN" = "TAP"): void {
  const bytes = new TextEncoder().encode(name).length;
  const isUsable = bytes > 0 && bytes < IFNAMSIZ && !/[\s/:%\0]/.test(name);
  if (!isUsable || name === "." || name === "..") {
    throw new VpnError(
      `${kind.toLowerCase()}_name`,
      `Cannot name a ${kind} "${name}": 1 to 15 bytes without "/:%" or spaces`,
    );
  }
}

/** Opens the interface, which is made if it is not there. @throws SystemError whose text says what to do */
export function attach(name: string, kind: "TAP" | "TUN" = "TAP"): DescriptorDevice {
  const fd = libc.open(cString(TUN_DEVICE), O_RDWR_NONBLOCK_CLOEXEC, 0);
  if (fd < 0) throw explain("open", errno(), name, kind);
  const mode = kind === "TAP" ? IFF_TAP : IFF_TUN;
  for (const vnet of [IFF_VNET_HDR, 0]) {
    // struct ifreq: the name, then the flags as u16.
    const request = new Uint8Array(IFREQ_BYTES);
    request.set(new TextEncoder().encode(name));
    new DataView(request.buffer).setUint16(IFNAMSIZ, mode | IFF_NO_PI | vnet, true);
    if (libc.ioctl(fd, TUNSETIFF, request) === 0) return new DescriptorDevice(name, fd, vnet !== 0);
    const error = errno();
    if (error === EINVAL && vnet !== 0) continue;
    libc.close(fd);
    throw explain("TUNSETIFF", error, name, kind);
  }
  libc.close(fd);
  throw explain("TUNSETIFF", EINVAL, name, kind);
}

/** The first set of offloads that the kernel takes. */
export function setOffload(fd: number): number {
  return OFFLOADS.find((offload) => ioctlValue(fd, TUNSETOFFLOAD, offload) === 0) ?? 0;
}

function explain(call: string, error: number, name: string, kind: "TAP" | "TUN"): SystemError {
  const advice = adviceOn(error, kind);
  const hint = advice === "" ? "" : ` (${advice})`;
  return new SystemError(call, error, `make ${kind} "${name}"${hint}`);
}

function adviceOn(error: number, kind: "TAP" | "TUN"): string {
  switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return "load the driver: modprobe tun; in a container, pass it /dev/net/tun";
    case EPERM:
    case EACCES:
      return "run as root, or: setcap cap_net_admin+ep $(command -v vpn)";
    case EBUSY:
      return "another program has it open: end that, or choose another name";
    case EINVAL:
      return `is there an interface of this name that is no ${kind}?`;
    default:
      return "";
  }
}

/** What of the settings the interface does not have yet. */
function difference(settings: TapSettings, link: Link): LinkChange | undefined {
  const { mac, mtu, txQueueLength, isUp } = settings;
  const change = {
    ...(mac === undefined || mac === link.mac ? {} : { mac }),
    ...(mtu === undefined || mtu === link.mtu ? {} : { mtu }),
    ...(txQueueLength === undefined || txQueueLength === link.txQueueLength
      ? {}
      : { txQueueLength }),
    ...(isUp === undefined || isUp === link.isUp ? {} : { isUp }),
  };
  return Object.keys(change).length === 0 ? undefined : change;
}

function applyChange(index: number, change: LinkChange, isOthers: boolean): void {
  try {
    changeLink(index, change);
  } catch (thrown) {
    // Who made the interface for us to use without rights has set it up as it should be.
    if (isOthers && thrown instanceof SystemError && thrown.errno === EPERM) return;
    throw thrown;
  }
}
