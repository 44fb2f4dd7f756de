// Packet sockets: the frames of an interface of this machine, as its driver gives and takes them (packet(7)).
//
// With PACKET_VNET_HDR the kernel gives super-frames with the header that says how to cut them, and takes such that it
// cuts itself: so nothing is switched off at the interface, and what its neighbours send in super-frames is not lost.
// Without it frames over 64 KiB would arrive cut off at the buffer's end, without a word (dataplane.md 4).
//
// How frames are read, measured on a veth (C, 200-byte datagrams / super-frames of 50 KB): one recvmmsg of 4 to 16
// takes 1.4 us a frame and one of 1 takes 1.9, while super-frames cost the same either way, 8.4 us, and less cache when
// read one by one. A ring (TPACKET_V3) saves three quarters of the reader's time with small frames, but hands them over
// by the millisecond, which a ping of 0.2 ms would feel, and lost super-frames where recvmmsg lost none.
import { SystemError } from "../base/errors.ts";
import type { MacAddress } from "../base/mac.ts";
import { DescriptorDevice, type FrameDevice } from "./frame-device.ts";
import { check, errno, libc } from "./libc.ts";
import { tryGetLink, type Link } from "./link.ts";
import { setPacketFilter } from "./packet-filter.ts";
import { PACKET_BASE, PACKET_BYTES, PACKET_VIEW, reserve } from "./packet-memory.ts";

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
const PACKET_STATISTICS = 6;
const PACKET_AUXDATA = 8;
const PACKET_VNET_HDR = 15;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_MR_PROMISC = 1;
const TP_STATUS_VLAN_VALID = 0x10;
const TP_STATUS_VLAN_TPID_VALID = 0x40;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;

const EPERM = 1;
const EACCES = 13;
const EINVAL = 22;
const ENODEV = 19;
const ENETDOWN = 100;

/** What may wait for us, and what of ours may wait for the interface; the kernel counts its own records in. */
const RECEIVE_BUFFER_BYTES = 4 << 20;
const SEND_BUFFER_BYTES = 1 << 20;

/* Frames as they are on the wire. */
const MACS_BYTES = 12;
const TAG_BYTES = 4;
const TPID_8021Q = 0x8100;

/* The virtio-net header of 10 bytes: what a tag that is put back moves. */
const VNET_BYTES = 10;
const VNET_HEADER_LENGTH = 2;
const VNET_CHECKSUM_START = 6;

/* Tables for recvmmsg(2): struct mmsghdr, struct iovec, and control data with one struct tpacket_auxdata. */
const MESSAGES = 8;
const MESSAGE_BYTES = 64;
const MESSAGE_CONTROL_LENGTH = 40;
const MESSAGE_FLAGS = 48;
const MESSAGE_LENGTH = 56;
const VECTOR_BYTES = 16;
const CONTROL_BYTES = 64;
const AUXDATA = 16;
const AUXDATA_BYTES = 20;
const AUXDATA_TCI = AUXDATA + 16;
const AUXDATA_TPID = AUXDATA + 18;
/** Not a multiple of a page, or small frames would all compete for the same places of the cache. */
const FRAME_BYTES = 65_728;
/** From this size on a frame is a super-frame, and the next is likely to be one. */
const LARGE_BYTES = 8192;

// One set of tables for all sockets: what one has received is taken before another receives (frame-device.ts).
const messagesAt = reserve(MESSAGES * MESSAGE_BYTES);
const vectorsAt = reserve(MESSAGES * VECTOR_BYTES);
const controlAt = reserve(MESSAGES * CONTROL_BYTES);
const framesAt = reserve(MESSAGES * FRAME_BYTES);
prepareTables();

export interface PacketSocketSettings {
  /** Name of the interface. */
  readonly name: string;
  /** Frames for other stations, too. Ends with the socket. */
  readonly promiscuous: boolean;
  /** Frames are sent only: nothing that arrives is read. */
  readonly sendOnly?: boolean;
  /** DHCP messages of this station are left out. */
  readonly withoutDhcpOf?: MacAddress | undefined;
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
  const { name, promiscuous, sendOnly = false, withoutDhcpOf } = settings;
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
    device.refuseDhcp(withoutDhcpOf);
    bind(fd, link, sendOnly ? 0 : ETH_P_ALL);
    if (promiscuous && !sendOnly) addPromiscuous(fd, link);
    return device;
  } catch (thrown) {
    libc.close(fd);
    throw thrown;
  }
}

class PacketDevice extends DescriptorDevice implements PacketSocket {
  readonly link: Link;
  readonly #refusesOutgoing: boolean;
  /** Messages received and not given yet are those from `#next` to `#received`. */
  #received = 0;
  #next = 0;
  #wasLarge = false;

  constructor(link: Link, fd: number, refusesOutgoing: boolean) {
    super(link.name, fd, true);
    this.link = link;
    this.#refusesOutgoing = refusesOutgoing;
  }

  refuseDhcp(mac: MacAddress | undefined): void {
    setPacketFilter(this.fd, { outgoing: this.#refusesOutgoing, dhcpOf: mac });
  }

  override get hasMore(): boolean {
    return this.#next < this.#received;
  }

  override read(): number {
    if (this.#next === this.#received) {
      const received = this.#receive(this.#wasLarge ? 1 : MESSAGES);
      this.#next = 0;
      this.#received = Math.max(received, 0);
      if (received < 0) return received === -EINVAL ? 0 : received;
    }
    const length = this.#take(this.#next++);
    this.#wasLarge = length >= LARGE_BYTES;
    return length;
  }

  override takeDropped(): number {
    // struct tpacket_stats: packets, drops; reading sets both to zero.
    const counts = new Uint32Array(2);
    const size = new Uint32Array([counts.byteLength]);
    if (libc.getsockopt(this.fd, SOL_PACKET, PACKET_STATISTICS, counts, size) < 0) return 0;
    return counts[1]!;
  }

  #receive(count: number): number {
    for (let n = 0; n < count; n += 1) {
      // The kernel has put there what it used.
      const message = messagesAt + n * MESSAGE_BYTES;
      PACKET_VIEW.setUint32(message + MESSAGE_CONTROL_LENGTH, CONTROL_BYTES, true);
    }
    const at = PACKET_BASE + messagesAt;
    const result = libc.recvmmsg(this.fd, at, count, MSG_DONTWAIT, 0);
    return result < 0 ? -errno() : result;
  }

  /** Length of one message with its header, at `frameAt`; 0 if it did not fit. */
  #take(index: number): number {
    const message = messagesAt + index * MESSAGE_BYTES;
    const length = PACKET_VIEW.getUint32(message + MESSAGE_LENGTH, true);
    this.frameAt = framesAt + index * FRAME_BYTES + TAG_BYTES;
    if ((PACKET_VIEW.getUint32(message + MESSAGE_FLAGS, true) & MSG_TRUNC) !== 0) return 0;
    const control = controlAt + index * CONTROL_BYTES;
    if (PACKET_VIEW.getUint32(message + MESSAGE_CONTROL_LENGTH, true) < AUXDATA + AUXDATA_BYTES)
      return length;
    const status = PACKET_VIEW.getUint32(control + AUXDATA, true);
    if ((status & TP_STATUS_VLAN_VALID) === 0) return length;
    this.#putTagBack(control, status);
    return length + TAG_BYTES;
  }

  /** The tag that the hardware or the kernel has taken out goes behind the MACs, which move into the room before. */
  #putTagBack(control: number, status: number): void {
    const from = this.frameAt;
    const at = from - TAG_BYTES;
    PACKET_BYTES.copyWithin(at, from, from + VNET_BYTES + MACS_BYTES);
    const hasTpid = (status & TP_STATUS_VLAN_TPID_VALID) !== 0;
    const tpid = hasTpid ? PACKET_VIEW.getUint16(control + AUXDATA_TPID, true) : TPID_8021Q;
    const tag = at + VNET_BYTES + MACS_BYTES;
    PACKET_VIEW.setUint16(tag, tpid);
    PACKET_VIEW.setUint16(tag + 2, PACKET_VIEW.getUint16(control + AUXDATA_TCI, true));
    for (const field of [VNET_HEADER_LENGTH, VNET_CHECKSUM_START]) {
      const value = PACKET_VIEW.getUint16(at + field, true);
      if (value > 0) PACKET_VIEW.setUint16(at + field, value + TAG_BYTES, true);
    }
    this.frameAt = at;
  }
}

function prepareTables(): void {
  for (let n = 0; n < MESSAGES; n += 1) {
    const message = messagesAt + n * MESSAGE_BYTES;
    const vector = vectorsAt + n * VECTOR_BYTES;
    // struct msghdr: name and its length, vector and its count, control data and its length, flags; then the length.
    setAddress(message + 16, vector);
    PACKET_VIEW.setUint32(message + 24, 1, true);
    setAddress(message + 32, controlAt + n * CONTROL_BYTES);
    setAddress(vector, framesAt + n * FRAME_BYTES + TAG_BYTES);
    PACKET_VIEW.setUint32(vector + 8, FRAME_BYTES - TAG_BYTES, true);
  }
}

function setAddress(field: number, at: number): void {
  PACKET_VIEW.setBigUint64(field, BigInt(PACKET_BASE + at), true);
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
