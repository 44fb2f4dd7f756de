// Packet sockets: the frames of an interface of this machine, as its driver gives and takes them (packet(7)).
//
// With PACKET_VNET_HDR the kernel gives super-frames with the header that says how to cut them, and takes such that it
// cuts itself: so nothing is switched off at the interface, and what its neighbours send in super-frames is not lost.
// Without it super-frames arrive cut off, without a word (dataplane.md 4).
import { SystemError } from "../base/errors.ts";
import type { MacAddress } from "../base/mac.ts";
import type { FrameDevice } from "./frame-device.ts";
import { check, errno, libc } from "./libc.ts";
import { tryGetLink, type Link } from "./link.ts";
import { PacketDevice } from "./packet-device.ts";

/* <linux/if_packet.h>, <linux/if_ether.h>, <asm-generic/socket.h> */
const AF_PACKET = 17;
const SOCK_RAW_NONBLOCK_CLOEXEC = 0x80803;
const ETH_P_ALL = 3;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_AUXDATA = 8;
const PACKET_VNET_HDR = 15;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_MR_PROMISC = 1;

const EPERM = 1;
const EACCES = 13;
const EINVAL = 22;
const ENODEV = 19;
const ENETDOWN = 100;

/** What may wait for us, and what of ours may wait for the interface; the kernel counts its own records in. */
const RECEIVE_BUFFER_BYTES = 4 << 20;
const SEND_BUFFER_BYTES = 1 << 20;

export interface PacketSocketSettings {
  /** Name of the interface. */
  readonly name: string;
  /** Frames for other stations, too. Ends with the socket. */
  readonly promiscuous: boolean;
  /** Frames are sent only: nothing that arrives is read. */
  readonly sendOnly?: boolean;
}

/** An open packet socket. Reading fails with ENETDOWN once the interface is down or gone. */
export interface PacketSocket extends FrameDevice {
  readonly link: Link;
  /** DHCP messages of this station are left out from now on; undefined: of none. */
  refuseDhcp(mac: MacAddress | undefined): void;
}

/**
 * Opens an Ethernet interface that is up.
 * @throws SystemError whose text says what to do
 */
export function openPacketSocket(settings: PacketSocketSettings): PacketSocket {
  const { name, promiscuous, sendOnly = false } = settings;
  const link = usableLink(name);
  // No protocol yet: nothing is queued before the socket is bound and its filter set.
  const fd = libc.socket(AF_PACKET, SOCK_RAW_NONBLOCK_CLOEXEC, 0);
  if (fd < 0) throw explain("socket", errno(), name);
  try {
    setOption(fd, PACKET_VNET_HDR, "PACKET_VNET_HDR", name);
    setOption(fd, PACKET_AUXDATA, "PACKET_AUXDATA", name);
    setBuffers(fd);
    const ignored = new Int32Array([1]);
    const ignoresOutgoing =
      libc.setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, ignored, 4) === 0;
    const device = new PacketDevice(link, fd, !ignoresOutgoing);
    device.refuseDhcp(undefined);
    bind(fd, link, sendOnly ? 0 : ETH_P_ALL);
    if (promiscuous && !sendOnly) addPromiscuous(fd, link);
    return device;
  } catch (thrown) {
    libc.close(fd);
    throw thrown;
  }
}

function usableLink(name: string): Link {
  const link = tryGetLink(name);
  if (link === undefined) throw new SystemError("netlink", ENODEV, `open interface "${name}"`);
  if (!link.isEthernet || link.isLoopback)
    throw new SystemError("bind", EINVAL, `open interface "${name}" (it is not an Ethernet one)`);
  if (!link.isUp)
    throw new SystemError(
      "bind",
      ENETDOWN,
      `open interface "${name}" (set it up: ip link set ${name} up)`,
    );
  return link;
}

function setOption(fd: number, option: number, call: string, name: string): void {
  const on = new Int32Array([1]);
  check(libc.setsockopt(fd, SOL_PACKET, option, on, 4), call, `open interface "${name}"`);
}

/** Beyond the system's limits where that is allowed, else as far as they go. */
function setBuffers(fd: number): void {
  for (const [force, plain, bytes] of [
    [SO_RCVBUFFORCE, SO_RCVBUF, RECEIVE_BUFFER_BYTES],
    [SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER_BYTES],
  ] as const) {
    const value = new Int32Array([bytes]);
    if (libc.setsockopt(fd, SOL_SOCKET, force, value, 4) < 0)
      libc.setsockopt(fd, SOL_SOCKET, plain, value, 4);
  }
}

/** struct sockaddr_ll: family, protocol in network order, index of the interface; the rest is for receiving. */
function bind(fd: number, link: Link, protocol: number): void {
  const address = new DataView(new ArrayBuffer(20));
  address.setUint16(0, AF_PACKET, true);
  address.setUint16(2, protocol);
  address.setInt32(4, link.index, true);
  const bytes = new Uint8Array(address.buffer);
  check(libc.bind(fd, bytes, bytes.length), "bind", `open interface "${link.name}"`);
}

/** struct packet_mreq: index, type, length of an address and the address, of which there is none. */
function addPromiscuous(fd: number, link: Link): void {
  const request = new DataView(new ArrayBuffer(16));
  request.setInt32(0, link.index, true);
  request.setUint16(4, PACKET_MR_PROMISC, true);
  const bytes = new Uint8Array(request.buffer);
  const result = libc.setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, bytes, bytes.length);
  check(result, "PACKET_ADD_MEMBERSHIP", `make interface "${link.name}" promiscuous`);
}

function explain(call: string, error: number, name: string): SystemError {
  const isDenied = error === EPERM || error === EACCES;
  const advice = isDenied
    ? " (run as root, or with CAP_NET_RAW: setcap cap_net_raw,cap_net_admin+ep $(command -v vpn), or AmbientCapabilities= of systemd)"
    : "";
  return new SystemError(call, error, `open interface "${name}"${advice}`);
}
