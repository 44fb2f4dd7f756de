// Datagrams that have come for a socket, several a call, those of one size and sender joined (UDP_GRO of udp(7)).
import { errno, libc } from "./libc.ts";
import {
  findControl,
  MESSAGE,
  MESSAGE_BYTES,
  setAddress,
  setOneVector,
  setVector,
  VECTOR_BYTES,
} from "./message-table.ts";
import { PACKET_BASE, PACKET_VIEW, reserve } from "./packet-memory.ts";
import { SOCKET_ADDRESS_BYTES } from "./socket-address.ts";

const SOL_UDP = 17;
const UDP_GRO = 104;
const MSG_TRUNC = 0x20;
const EINTR = 4;
const RECEIVE_MESSAGES = 8;
const RECEIVE_BYTES = 65_536;
/** Of the control messages that come with a datagram: UDP_GRO and what else somebody may have asked for. */
const CONTROL_ROOM = 64;
const NAME_ROOM = SOCKET_ADDRESS_BYTES + 4;
const MESSAGE_HEADROOM_BYTES = 128;

/** One of the messages that the last call brought. The object is used again by the next. */
export interface IncomingMessage {
  /** The 128 bytes before are free to be written: headers for who sends it on. */
  at: number;
  bytes: number;
  /** Datagrams that were joined are of this size, but for the last. */
  segment: number;
  /** Where in packet memory the sender's struct sockaddr lies. */
  fromAt: number;
}

// One table for all sockets: no two are at work at once.
const table = reserve(RECEIVE_MESSAGES * (MESSAGE_BYTES + VECTOR_BYTES + CONTROL_ROOM + NAME_ROOM));
const vectors = table + RECEIVE_MESSAGES * MESSAGE_BYTES;
const controls = vectors + RECEIVE_MESSAGES * VECTOR_BYTES;
const names = controls + RECEIVE_MESSAGES * CONTROL_ROOM;
/** The room before a message is the end of the one before, which has been looked at. Behind the last there is room for readers of whole vectors. */
const receiveAt =
  reserve(MESSAGE_HEADROOM_BYTES + RECEIVE_MESSAGES * RECEIVE_BYTES + 256) + MESSAGE_HEADROOM_BYTES;
const message: IncomingMessage = { at: 0, bytes: 0, segment: 0, fromAt: 0 };
prepareTable();

/**
 * Reads some messages into packet memory, where each stays while `take` looks at it; the next call of any socket
 * overwrites them. `isCut` tells that a message did not fit; `take` gives false to have no more. Gives how many there
 * were; fewer than 8 means that there are no more, 0 also that `take` has refused.
 */
export function receiveMessages(
  fd: number,
  take: (message: IncomingMessage, isCut: boolean) => boolean,
): number {
  for (let index = 0; index < RECEIVE_MESSAGES; index += 1) {
    const at = table + index * MESSAGE_BYTES;
    PACKET_VIEW.setUint32(at + MESSAGE.nameBytes, SOCKET_ADDRESS_BYTES, true);
    PACKET_VIEW.setUint32(at + MESSAGE.controlBytes, CONTROL_ROOM, true);
  }
  let count: number;
  do count = libc.recvmmsg(fd, PACKET_BASE + table, RECEIVE_MESSAGES, 0, 0);
  while (count < 0 && errno() === EINTR);
  for (let index = 0; index < count; index += 1) {
    const at = table + index * MESSAGE_BYTES;
    const bytes = PACKET_VIEW.getUint32(at + MESSAGE.length, true);
    message.at = receiveAt + index * RECEIVE_BYTES;
    message.bytes = bytes;
    message.segment = joinedSegment(at, index) || bytes;
    message.fromAt = names + index * NAME_ROOM;
    const isCut = (PACKET_VIEW.getUint32(at + MESSAGE.flags, true) & MSG_TRUNC) !== 0;
    if (!take(message, isCut)) return 0;
  }
  return Math.max(count, 0);
}

/** Whether the answer of `receiveMessages` says that there may be more. */
export function mayHaveMore(count: number): boolean {
  return count === RECEIVE_MESSAGES;
}

/** The size of the datagrams that were joined into a message, 0 for one that came alone. */
function joinedSegment(at: number, index: number): number {
  const control = controls + index * CONTROL_ROOM;
  const end = control + PACKET_VIEW.getUint32(at + MESSAGE.controlBytes, true);
  const value = findControl(control, end, SOL_UDP, UDP_GRO);
  return value === undefined ? 0 : PACKET_VIEW.getInt32(value, true);
}

function prepareTable(): void {
  for (let index = 0; index < RECEIVE_MESSAGES; index += 1) {
    const at = table + index * MESSAGE_BYTES;
    const vector = vectors + index * VECTOR_BYTES;
    setVector(vector, receiveAt + index * RECEIVE_BYTES, RECEIVE_BYTES);
    setOneVector(at, vector);
    setAddress(at + MESSAGE.name, names + index * NAME_ROOM);
    setAddress(at + MESSAGE.control, controls + index * CONTROL_ROOM);
  }
}
