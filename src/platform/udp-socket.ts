// UDP sockets by FFI: many datagrams a call, which the runtime's own sockets have no way for (udp(7), sendmmsg(2)).
//
// Datagrams of one size go down to the network card, or up from it, as one piece that the kernel cuts and joins
// (UDP_SEGMENT, UDP_GRO). A full queue loses datagrams, as the network does; nobody waits and nothing is kept.
import { SystemError } from "../base/errors.ts";
import { AF_INET, AF_INET6 } from "./ip-address.ts";
import { check, errno, libc } from "./libc.ts";
import {
  MESSAGE,
  MESSAGE_BYTES,
  setAddress,
  setControl,
  setOneVector,
  setVector,
  VECTOR_BYTES,
} from "./message-table.ts";
import { PACKET_BASE, PACKET_BYTES, PACKET_VIEW, reserve } from "./packet-memory.ts";
import { type IncomingMessage, receiveMessages } from "./receive-messages.ts";
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

const EINTR = 4;
const EIO = 5;
const EAGAIN = 11;
const EINVAL = 22;
const EADDRINUSE = 98;
const EMSGSIZE = 90;
const ENOBUFS = 105;

const SEGMENT_CONTROL_BYTES = 24;

/** Datagrams that one message may hold: the bound of older kernels. */
export const MAX_SEGMENTS = 64;
/** Bytes of one message: what an IP packet holds. */
export const MAX_MESSAGE_BYTES = 65_487;
/** Messages of one call. */
export const SEND_MESSAGES = 64;
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
    setVector(vector, at, bytes);
    setOneVector(message, vector);
    setAddress(message + MESSAGE.name, sendNameAt);
    PACKET_VIEW.setUint32(message + MESSAGE.nameBytes, nameBytes, true);
    const isJoined = datagrams > 1;
    const controlBytes = isJoined ? SEGMENT_CONTROL_BYTES : 0;
    PACKET_VIEW.setUint32(message + MESSAGE.controlBytes, controlBytes, true);
    if (!isJoined) return;
    const control = sendControls + index * SEGMENT_CONTROL_BYTES;
    setAddress(message + MESSAGE.control, control);
    PACKET_VIEW.setUint16(setControl(control, SOL_UDP, UDP_SEGMENT, 2), segment, true);
  }

  /**
   * Reads up to 8 messages into packet memory, where they stay until the next call of any socket, and gives each to
   * `take`, those cut short excepted. Gives how many there were; fewer means that there are no more.
   */
  receive(take: (message: IncomingMessage) => void): number {
    return receiveMessages(this.fd, (message, isCut) => {
      const { bytes, segment } = message;
      this.stats.receivedDatagrams += bytes === 0 ? 1 : Math.ceil(bytes / segment);
      if (!isCut) take(message);
      // A closed socket brings no more, though it had.
      return this.#isOpen;
    });
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
}

function setOption(fd: number, level: number, option: number, value: number): boolean {
  return libc.setsockopt(fd, level, option, new Int32Array([value]), 4) === 0;
}
