// UDP sockets by FFI: many datagrams a call, which the runtime's own sockets have no way for (udp(7), sendmmsg(2)).
//
// Datagrams of one size go down to the network card, or up from it, as one piece that the kernel cuts and joins
// (UDP_SEGMENT, UDP_GRO). A full queue loses datagrams, as the network does; nobody waits and nothing is kept.
import { SystemError } from "../base/errors.ts";
import { AF_INET, AF_INET6 } from "./ip-address.ts";
import { check, errno, libc } from "./libc.ts";
import { PACKET_BASE, PACKET_BYTES, PACKET_VIEW, reserve } from "./packet-memory.ts";
import {
  decodeSocketAddress,
  encodeSocketAddress,
  SOCKET_ADDRESS_BYTES,
  type SocketAddress,
} from "./socket-address.ts";
import { setReceiveBuffer, setSendBuffer } from "./socket-option.ts";

const SOCK_DGRAM_NONBLOCK_CLOEXEC = 0x80802;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;
const IPPROTO_IP = 0;
const IP_MTU_DISCOVER = 10;
const IPPROTO_IPV6 = 41;
const IPV6_MTU_DISCOVER = 23;
const IPV6_V6ONLY = 26;
const PMTUDISC_DONT = 0;
const MSG_TRUNC = 0x20;

const EINTR = 4;
const EIO = 5;
const EAGAIN = 11;
const EINVAL = 22;
const EADDRINUSE = 98;
const EMSGSIZE = 90;
const ENOBUFS = 105;

/* struct mmsghdr, struct iovec and struct cmsghdr of 64-bit systems. */
const MESSAGE_BYTES = 64;
const NAME = 0;
const NAME_BYTES = 8;
const VECTOR = 16;
const VECTORS = 24;
const CONTROL = 32;
const CONTROL_BYTES = 40;
const FLAGS = 48;
const LENGTH = 56;
const VECTOR_BYTES = 16;
const CONTROL_HEADER_BYTES = 16;
/** Of the control messages that come with a datagram: UDP_GRO and what else somebody may have asked for. */
const CONTROL_ROOM = 64;
const SEGMENT_CONTROL_BYTES = 24;

/** Datagrams that one message may hold: the bound of older kernels. */
export const MAX_SEGMENTS = 64;
/** Bytes of one message: what an IP packet holds. */
export const MAX_MESSAGE_BYTES = 65_487;
/** Messages of one call. */
export const SEND_MESSAGES = 64;
const RECEIVE_MESSAGES = 8;
const RECEIVE_BYTES = 65_536;
/** Kernel memory for datagrams that we have not got to yet: five milliseconds at 3 Gbit/s. */
const BUFFER_BYTES = 2 << 20;

/** Messages to be sent, of each the bytes in packet memory and the size of its datagrams but the last. */
export interface OutgoingMessage {
  at: number;
  bytes: number;
  /** 0 for a message that is one datagram. */
  segment: number;
  datagrams: number;
}

/** One of the messages that the last `receive` brought. The object is used again by the next. */
export interface IncomingMessage {
  readonly at: number;
  readonly bytes: number;
  /** Datagrams that were joined are of this size, but for the last. */
  readonly segment: number;
  /** Where in packet memory the sender's struct sockaddr lies. */
  readonly fromAt: number;
}

export interface UdpSocketStats {
  sentDatagrams: number;
  /** Datagrams that the system refused: its queues full, no route, a filter. */
  refusedDatagrams: number;
  receivedDatagrams: number;
}

// One table for all sockets: no two are at work at once.
const sendTable = reserve(SEND_MESSAGES * (MESSAGE_BYTES + VECTOR_BYTES + SEGMENT_CONTROL_BYTES));
const sendVectors = sendTable + SEND_MESSAGES * MESSAGE_BYTES;
const sendControls = sendVectors + SEND_MESSAGES * VECTOR_BYTES;
const sendNameAt = reserve(SOCKET_ADDRESS_BYTES);
const receiveTable = reserve(
  RECEIVE_MESSAGES * (MESSAGE_BYTES + VECTOR_BYTES + CONTROL_ROOM + SOCKET_ADDRESS_BYTES + 4),
);
const receiveVectors = receiveTable + RECEIVE_MESSAGES * MESSAGE_BYTES;
const receiveControls = receiveVectors + RECEIVE_MESSAGES * VECTOR_BYTES;
const receiveNames = receiveControls + RECEIVE_MESSAGES * CONTROL_ROOM;
/** Behind the last message there is room for readers that read whole vectors. */
const receiveAt = reserve(RECEIVE_MESSAGES * RECEIVE_BYTES + 256);

/** An open UDP socket that takes from and sends to anybody. */
export class UdpSocket {
  readonly fd: number;
  readonly local: SocketAddress;
  readonly stats: UdpSocketStats = { sentDatagrams: 0, refusedDatagrams: 0, receivedDatagrams: 0 };
  /** Datagrams of at least this size are not joined: the kernel has refused it. */
  #segmentLimit = Infinity;
  #isOpen = true;

  private constructor(fd: number, local: SocketAddress) {
    this.fd = fd;
    this.local = local;
  }

  /**
   * Opens a socket on an address of this machine. Port 0 lets the system choose.
   * @throws SystemError, EADDRINUSE for a port that is taken
   */
  static open(local: SocketAddress): UdpSocket {
    const detail = `open UDP port ${local.port}`;
    const family = local.family === 4 ? AF_INET : AF_INET6;
    const fd = check(libc.socket(family, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0), "socket", detail);
    try {
      if (family === AF_INET6) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
      const name = encodeSocketAddress(local);
      check(libc.bind(fd, name, name.length), "bind", detail);
      prepare(fd, family);
      const bound = new Uint8Array(SOCKET_ADDRESS_BYTES);
      check(
        libc.getsockname(fd, bound, new Uint32Array([bound.length])),
        "getsockname",
        "tell the port of a socket",
      );
      return new UdpSocket(fd, decodeSocketAddress(bound)!);
    } catch (thrown) {
      libc.close(fd);
      throw thrown;
    }
  }

  /** The first free port of the range; undefined if all are taken. @throws SystemError for any other reason */
  static openFirst(
    local: Omit<SocketAddress, "port">,
    range: { readonly first: number; readonly last: number },
  ): UdpSocket | undefined {
    for (let port = range.first; port <= range.last; port += 1) {
      try {
        return UdpSocket.open({ ...local, port });
      } catch (thrown) {
        if (!(thrown instanceof SystemError) || thrown.errno !== EADDRINUSE) throw thrown;
      }
    }
    return undefined;
  }

  /** Whether datagrams of this size may share a message. */
  joins(segment: number): boolean {
    return segment < this.#segmentLimit;
  }

  /** Sends the first `count` messages, at most SEND_MESSAGES, to the address in the form of `encodeSocketAddress`. */
  send(messages: readonly OutgoingMessage[], count: number, to: Uint8Array): void {
    PACKET_BYTES.set(to, sendNameAt);
    for (let index = 0; index < count; index += 1) {
      this.#fill(index, messages[index]!, to.length);
    }
    for (let done = 0; done < count;) {
      const at = PACKET_BASE + sendTable + done * MESSAGE_BYTES;
      const sent = libc.sendmmsg(this.fd, at, count - done, 0);
      if (sent > 0) {
        for (const end = done + sent; done < end; done += 1) {
          this.stats.sentDatagrams += messages[done]!.datagrams;
        }
        continue;
      }
      const error = errno();
      if (error === EINTR) continue;
      const message = messages[done]!;
      if (error === EAGAIN || error === ENOBUFS) {
        for (; done < count; done += 1) this.stats.refusedDatagrams += messages[done]!.datagrams;
      } else if (message.datagrams > 1 && isRefusalToCut(error)) {
        // Larger than the device's packets, or by a device that computes no checksums.
        this.#segmentLimit = error === EIO ? 0 : Math.min(this.#segmentLimit, message.segment);
        this.#sendApart(message, to);
        return this.send(messages.slice(done + 1, count), count - done - 1, to);
      } else {
        this.stats.refusedDatagrams += message.datagrams;
        done += 1;
      }
    }
  }

  #sendApart({ at, bytes, segment }: OutgoingMessage, to: Uint8Array): void {
    const apart: OutgoingMessage[] = [];
    for (let from = 0; from < bytes; from += segment) {
      const size = Math.min(segment, bytes - from);
      apart.push({ at: at + from, bytes: size, segment: 0, datagrams: 1 });
    }
    this.send(apart, apart.length, to);
  }

  #fill(
    index: number,
    { at, bytes, segment, datagrams }: OutgoingMessage,
    nameBytes: number,
  ): void {
    const message = sendTable + index * MESSAGE_BYTES;
    const vector = sendVectors + index * VECTOR_BYTES;
    setAddress(vector, at);
    PACKET_VIEW.setUint32(vector + 8, bytes, true);
    PACKET_VIEW.setUint32(vector + 12, 0, true);
    setAddress(message + NAME, sendNameAt);
    PACKET_VIEW.setUint32(message + NAME_BYTES, nameBytes, true);
    setAddress(message + VECTOR, vector);
    PACKET_VIEW.setUint32(message + VECTORS, 1, true);
    const isJoined = datagrams > 1;
    PACKET_VIEW.setUint32(message + CONTROL_BYTES, isJoined ? SEGMENT_CONTROL_BYTES : 0, true);
    if (!isJoined) return;
    const control = sendControls + index * SEGMENT_CONTROL_BYTES;
    setAddress(message + CONTROL, control);
    PACKET_VIEW.setUint32(control, CONTROL_HEADER_BYTES + 2, true);
    PACKET_VIEW.setUint32(control + 8, SOL_UDP, true);
    PACKET_VIEW.setUint32(control + 12, UDP_SEGMENT, true);
    PACKET_VIEW.setUint16(control + CONTROL_HEADER_BYTES, segment, true);
  }

  /**
   * Reads up to RECEIVE_MESSAGES messages into packet memory, where they stay until the next call of any socket, and
   * gives each to `take`, those cut short excepted. Gives how many there were; fewer means that there are no more.
   */
  receive(take: (message: IncomingMessage) => void): number {
    for (let index = 0; index < RECEIVE_MESSAGES; index += 1) {
      const message = receiveTable + index * MESSAGE_BYTES;
      PACKET_VIEW.setUint32(message + NAME_BYTES, SOCKET_ADDRESS_BYTES, true);
      PACKET_VIEW.setUint32(message + CONTROL_BYTES, CONTROL_ROOM, true);
    }
    let count: number;
    do count = libc.recvmmsg(this.fd, PACKET_BASE + receiveTable, RECEIVE_MESSAGES, 0, 0);
    while (count < 0 && errno() === EINTR);
    for (let index = 0; index < count; index += 1) {
      const message = receiveTable + index * MESSAGE_BYTES;
      const bytes = PACKET_VIEW.getUint32(message + LENGTH, true);
      const segment = joinedSegment(message, index) || bytes;
      this.stats.receivedDatagrams += bytes === 0 ? 1 : Math.ceil(bytes / segment);
      if ((PACKET_VIEW.getUint32(message + FLAGS, true) & MSG_TRUNC) !== 0) continue;
      const fromAt = receiveNames + index * (SOCKET_ADDRESS_BYTES + 4);
      take({ at: receiveAt + index * RECEIVE_BYTES, bytes, segment, fromAt });
      // A closed socket brings no more, though it had.
      if (!this.#isOpen) return 0;
    }
    return Math.max(count, 0);
  }

  /** May be called twice. */
  close(): void {
    if (this.#isOpen) libc.close(this.fd);
    this.#isOpen = false;
  }
}

function isRefusalToCut(error: number): boolean {
  return error === EINVAL || error === EIO || error === EMSGSIZE;
}

function prepare(fd: number, family: number): void {
  // Routers may cut what is too large for them: nobody would send it again smaller.
  if (family === AF_INET) setOption(fd, IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DONT);
  else setOption(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DONT);
  // Beyond net.core.*mem_max for those who may, up to it for others.
  if (!setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)) setReceiveBuffer(fd, BUFFER_BYTES);
  if (!setOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES)) setSendBuffer(fd, BUFFER_BYTES);
  // Kernels before 5.0 do not join; datagrams then come one by one.
  setOption(fd, SOL_UDP, UDP_GRO, 1);
  prepareReceiveTable();
}

function setOption(fd: number, level: number, option: number, value: number): boolean {
  return libc.setsockopt(fd, level, option, new Int32Array([value]), 4) === 0;
}

function prepareReceiveTable(): void {
  for (let index = 0; index < RECEIVE_MESSAGES; index += 1) {
    const message = receiveTable + index * MESSAGE_BYTES;
    const vector = receiveVectors + index * VECTOR_BYTES;
    setAddress(vector, receiveAt + index * RECEIVE_BYTES);
    PACKET_VIEW.setUint32(vector + 8, RECEIVE_BYTES, true);
    setAddress(message + NAME, receiveNames + index * (SOCKET_ADDRESS_BYTES + 4));
    setAddress(message + VECTOR, vector);
    PACKET_VIEW.setUint32(message + VECTORS, 1, true);
    setAddress(message + CONTROL, receiveControls + index * CONTROL_ROOM);
  }
}

/** The size of the datagrams that were joined into a message, 0 for one that came alone. */
function joinedSegment(message: number, index: number): number {
  const end = PACKET_VIEW.getUint32(message + CONTROL_BYTES, true);
  const control = receiveControls + index * CONTROL_ROOM;
  if (end < CONTROL_HEADER_BYTES + 4) return 0;
  const isJoined =
    PACKET_VIEW.getUint32(control + 8, true) === SOL_UDP &&
    PACKET_VIEW.getUint32(control + 12, true) === UDP_GRO;
  return isJoined ? PACKET_VIEW.getInt32(control + CONTROL_HEADER_BYTES, true) : 0;
}

/** Writes the address that an offset in packet memory has for the system. */
function setAddress(at: number, offset: number): void {
  const address = PACKET_BASE + offset;
  PACKET_VIEW.setUint32(at, address >>> 0, true);
  PACKET_VIEW.setUint32(at + 4, Math.floor(address / 0x1_0000_0000), true);
}
