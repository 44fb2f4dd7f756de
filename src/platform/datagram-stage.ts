// Datagrams on their way to sockets, gathered so that one call sends many (sendmmsg(2)), and those of one size to one
// peer as a piece that the kernel cuts (UDP_SEGMENT of udp(7)). There is one stage: whoever comes with another socket
// has it emptied first.
import type { DatagramSocket } from "./datagram-socket.ts";
import { errno, libc } from "./libc.ts";
import {
  CONTROL_HEADER_BYTES,
  MESSAGE,
  MESSAGE_BYTES,
  setAddress,
  setControl,
  setOneVector,
  setVector,
  VECTOR_BYTES,
} from "./message-table.ts";
import { PACKET_BASE, PACKET_BYTES, PACKET_VIEW, reserve } from "./packet-memory.ts";
import { SOCKET_ADDRESS_BYTES } from "./socket-address.ts";

const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const IPPROTO_IP = 0;
const IP_TOS = 1;
const IP_TTL = 2;
const IPPROTO_IPV6 = 41;
const IPV6_HOPLIMIT = 52;
const IPV6_TCLASS = 67;

const EINTR = 4;
const EIO = 5;
const EAGAIN = 11;
const EINVAL = 22;
const EMSGSIZE = 90;
const ENOBUFS = 105;

const MAX_MESSAGES = 64;
/** Datagrams of one piece: the bound of older kernels; and the bytes of one, which is an IP packet for the kernel. */
const MAX_SEGMENTS = 64;
const MAX_PIECE_BYTES = 65_000;
const AREA_BYTES = 196_608;
/** A control message with a number. */
const CONTROL_BYTES = CONTROL_HEADER_BYTES + 8;
const CONTROL_ROOM = 3 * CONTROL_BYTES;
const NAME_ROOM = SOCKET_ADDRESS_BYTES + 4;
/** Before the bytes of the first datagram: headers for who quotes it. */
const HEADROOM_BYTES = 64;
/** News of earlier datagrams that a call reports instead of sending, one after another. */
const MAX_TRIES = 3;

const table = reserve(MAX_MESSAGES * (MESSAGE_BYTES + VECTOR_BYTES + CONTROL_ROOM + NAME_ROOM));
const vectors = table + MAX_MESSAGES * MESSAGE_BYTES;
const controls = vectors + MAX_MESSAGES * VECTOR_BYTES;
const names = controls + MAX_MESSAGES * CONTROL_ROOM;
const areaAt = reserve(HEADROOM_BYTES + AREA_BYTES) + HEADROOM_BYTES;
const areaEnd = areaAt + AREA_BYTES;

/** Whom staged datagrams belong to. */
export interface DatagramOwner {
  /** Where they go, as `encodeSocketAddress` tells it. */
  readonly name: Uint8Array;
  /** The socket has errors to read, which may say why something was not sent. */
  readErrors(): void;
  /** A datagram could not go: the errno, and its bytes, before which 64 are free to be written. Errors were read. */
  refused(error: number, at: number, bytes: number): void;
  /** The system had no room for so many datagrams. */
  overflowed(datagrams: number): void;
}

/** One message of the table. The objects are used again. */
interface Staged {
  owner: DatagramOwner | undefined;
  at: number;
  bytes: number;
  ttl: number;
  trafficClass: number;
  /** Size of its datagrams but the last. */
  segment: number;
  datagrams: number;
}

class DatagramStage {
  readonly #staged: Staged[] = [];
  #count = 0;
  #socket: DatagramSocket | undefined;
  #mayFragment = false;
  #next = areaAt;
  #isFlushing = false;

  /** Takes a copy of the bytes at `at`, which go as one datagram. */
  add(
    socket: DatagramSocket,
    owner: DatagramOwner,
    datagram: {
      readonly at: number;
      readonly bytes: number;
      readonly ttl: number;
      readonly trafficClass: number;
      readonly mayFragment: boolean;
    },
  ): void {
    const { at, bytes, ttl, trafficClass, mayFragment } = datagram;
    const isOther = socket !== this.#socket || mayFragment !== this.#mayFragment;
    if (isOther || this.#count === MAX_MESSAGES || this.#next + bytes > areaEnd) this.flush();
    this.#socket = socket;
    this.#mayFragment = mayFragment;
    const to = this.#next;
    this.#next = to + bytes;
    PACKET_BYTES.copyWithin(to, at, at + bytes);
    const last = this.#count > 0 ? this.#staged[this.#count - 1]! : undefined;
    const joins =
      last !== undefined &&
      last.owner === owner &&
      last.ttl === ttl &&
      last.trafficClass === trafficClass &&
      socket.kind === "udp" &&
      bytes > 0 &&
      bytes <= last.segment &&
      // A shorter one was the last.
      last.bytes === last.segment * last.datagrams &&
      last.datagrams < MAX_SEGMENTS &&
      last.bytes + bytes <= MAX_PIECE_BYTES &&
      last.segment < socket.segmentLimit;
    if (joins) {
      last.bytes += bytes;
      last.datagrams += 1;
      return;
    }
    const entry = (this.#staged[this.#count] ??= emptyEntry());
    entry.owner = owner;
    entry.at = to;
    entry.bytes = entry.segment = bytes;
    entry.ttl = ttl;
    entry.trafficClass = trafficClass;
    entry.datagrams = 1;
    this.#count += 1;
  }

  /** Sends what is there. To be called at the end of each event in which something was added. */
  flush(): void {
    const socket = this.#socket;
    if (socket === undefined || this.#isFlushing) return;
    this.#isFlushing = true;
    try {
      if (socket.isOpen) this.#send(socket);
    } finally {
      for (let index = 0; index < this.#count; index += 1) this.#staged[index]!.owner = undefined;
      this.#count = 0;
      this.#next = areaAt;
      this.#socket = undefined;
      this.#isFlushing = false;
    }
  }

  #send(socket: DatagramSocket): void {
    socket.setMayFragment(this.#mayFragment);
    const count = this.#count;
    for (let index = 0; index < count; index += 1) fill(index, this.#staged[index]!, socket);
    let tries = 0;
    for (let done = 0; done < count && socket.isOpen;) {
      const at = PACKET_BASE + table + done * MESSAGE_BYTES;
      const sent = libc.sendmmsg(socket.fd, at, count - done, 0);
      if (sent > 0) {
        done += sent;
        tries = 0;
        continue;
      }
      const error = errno();
      const entry = this.#staged[done]!;
      if (error === EINTR) continue;
      if (error === EAGAIN || error === ENOBUFS) {
        for (; done < count; done += 1) {
          const { owner, datagrams } = this.#staged[done]!;
          owner?.overflowed(datagrams);
        }
        return;
      }
      if (entry.datagrams > 1 && isRefusalToCut(error)) {
        // Larger than the path's packets, or by a device that computes no checksums.
        const limit = error === EIO ? 0 : entry.segment;
        socket.segmentLimit = Math.min(socket.segmentLimit, limit);
        this.#sendApart(socket, entry, done);
        done += 1;
        continue;
      }
      // An error of an earlier datagram stands in the way of this one until it is read.
      entry.owner?.readErrors();
      if (error !== EMSGSIZE && ++tries < MAX_TRIES) continue;
      entry.owner?.refused(error, entry.at, Math.min(entry.segment, entry.bytes));
      tries = 0;
      done += 1;
    }
  }

  #sendApart(socket: DatagramSocket, entry: Staged, index: number): void {
    const { at, bytes, segment } = entry;
    const vector = vectors + index * VECTOR_BYTES;
    const message = table + index * MESSAGE_BYTES;
    entry.datagrams = 1;
    fill(index, entry, socket);
    for (let from = 0; from < bytes && socket.isOpen; from += segment) {
      setVector(vector, at + from, Math.min(segment, bytes - from));
      if (libc.sendmmsg(socket.fd, PACKET_BASE + message, 1, 0) > 0) continue;
      const error = errno();
      if (error === EAGAIN || error === ENOBUFS) {
        entry.owner?.overflowed(1);
        continue;
      }
      entry.owner?.readErrors();
      if (error === EMSGSIZE) {
        entry.owner?.refused(error, at + from, Math.min(segment, bytes - from));
      }
    }
  }
}

function emptyEntry(): Staged {
  return { owner: undefined, at: 0, bytes: 0, ttl: 0, trafficClass: 0, segment: 0, datagrams: 0 };
}

function isRefusalToCut(error: number): boolean {
  return error === EINVAL || error === EIO || error === EMSGSIZE;
}

function fill(index: number, entry: Staged, socket: DatagramSocket): void {
  const { owner, at, bytes, ttl, trafficClass, segment, datagrams } = entry;
  const message = table + index * MESSAGE_BYTES;
  const vector = vectors + index * VECTOR_BYTES;
  const name = names + index * NAME_ROOM;
  const control = controls + index * CONTROL_ROOM;
  setVector(vector, at, bytes);
  setOneVector(message, vector);
  PACKET_BYTES.set(owner!.name, name);
  setAddress(message + MESSAGE.name, name);
  PACKET_VIEW.setUint32(message + MESSAGE.nameBytes, owner!.name.length, true);
  let end = control;
  const isV4 = socket.family === 4;
  const level = isV4 ? IPPROTO_IP : IPPROTO_IPV6;
  if (ttl !== socket.ttl) {
    PACKET_VIEW.setInt32(setControl(end, level, isV4 ? IP_TTL : IPV6_HOPLIMIT, 4), ttl, true);
    end += CONTROL_BYTES;
  }
  if (trafficClass !== 0) {
    const value = setControl(end, level, isV4 ? IP_TOS : IPV6_TCLASS, 4);
    PACKET_VIEW.setInt32(value, trafficClass, true);
    end += CONTROL_BYTES;
  }
  if (datagrams > 1) {
    PACKET_VIEW.setUint16(setControl(end, SOL_UDP, UDP_SEGMENT, 2), segment, true);
    end += CONTROL_BYTES;
  }
  setAddress(message + MESSAGE.control, control);
  PACKET_VIEW.setUint32(message + MESSAGE.controlBytes, end - control, true);
}

/** The one of the process. */
export const datagramStage = new DatagramStage();
