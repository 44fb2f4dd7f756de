// Tables for sendmmsg(2) and recvmmsg(2) in packet memory: struct mmsghdr, struct iovec and struct cmsghdr of 64-bit
// systems.
import { PACKET_BASE, PACKET_VIEW } from "./packet-memory.ts";

export const MESSAGE_BYTES = 64;
/** Fields of a message. */
export const MESSAGE = {
  name: 0,
  nameBytes: 8,
  vector: 16,
  vectors: 24,
  control: 32,
  controlBytes: 40,
  flags: 48,
  length: 56,
} as const;
export const VECTOR_BYTES = 16;
/** Length, level and type; the value lies behind. */
export const CONTROL_HEADER_BYTES = 16;
const CONTROL_LEVEL = 8;
const CONTROL_TYPE = 12;

/** Writes the address that an offset in packet memory has for the system. */
export function setAddress(at: number, offset: number): void {
  const address = PACKET_BASE + offset;
  PACKET_VIEW.setUint32(at, address >>> 0, true);
  PACKET_VIEW.setUint32(at + 4, Math.floor(address / 0x1_0000_0000), true);
}

/** Writes a struct iovec for bytes in packet memory. */
export function setVector(at: number, offset: number, bytes: number): void {
  setAddress(at, offset);
  PACKET_VIEW.setUint32(at + 8, bytes, true);
  PACKET_VIEW.setUint32(at + 12, 0, true);
}

/** Lets the message at `message` have one vector, at `vector`. */
export function setOneVector(message: number, vector: number): void {
  setAddress(message + MESSAGE.vector, vector);
  PACKET_VIEW.setUint32(message + MESSAGE.vectors, 1, true);
}

/** Writes the header of a control message; gives where its value belongs. */
export function setControl(at: number, level: number, type: number, valueBytes: number): number {
  PACKET_VIEW.setUint32(at, CONTROL_HEADER_BYTES + valueBytes, true);
  PACKET_VIEW.setUint32(at + 4, 0, true);
  PACKET_VIEW.setUint32(at + CONTROL_LEVEL, level, true);
  PACKET_VIEW.setUint32(at + CONTROL_TYPE, type, true);
  return at + CONTROL_HEADER_BYTES;
}

/** Where the value of a control message of this kind lies among those from `at` to `end`; undefined without one. */
export function findControl(
  at: number,
  end: number,
  level: number,
  type: number,
): number | undefined {
  for (let control = at; control + CONTROL_HEADER_BYTES <= end;) {
    const isIt =
      PACKET_VIEW.getUint32(control + CONTROL_LEVEL, true) === level &&
      PACKET_VIEW.getUint32(control + CONTROL_TYPE, true) === type;
    if (isIt) return control + CONTROL_HEADER_BYTES;
    const bytes = PACKET_VIEW.getUint32(control, true);
    if (bytes < CONTROL_HEADER_BYTES) return undefined;
    control += (bytes + 7) & ~7;
  }
  return undefined;
}
