import { readMac, writeMac, type MacAddress } from "../base/mac.ts";

/** EtherTypes, as assigned by IEEE. */
export const ETHER_TYPE = {
  IPV4: 0x0800,
  ARP: 0x0806,
  VLAN: 0x8100,
  IPV6: 0x86dd,
  QINQ: 0x88a8,
} as const;

export const ETHERNET_HEADER_BYTES = 14;
const TAG_BYTES = 4;
/** Tags that are looked through: a customer's inside a provider's (robustness.md FR-13). */
const MAX_TAGS = 2;
/** Below this the field is the length of an LLC payload (IEEE 802.3 3.2.6). */
const LEAST_ETHER_TYPE = 0x0600;
const MOST_LENGTH = 1500;
const LLC_BYTES = 3;
const SNAP_BYTES = 8;

/** An 802.1Q tag: VID 0 to 4095, priority 0 to 7. */
export interface VlanTag {
  readonly type: typeof ETHER_TYPE.VLAN | typeof ETHER_TYPE.QINQ;
  readonly id: number;
  readonly priority: number;
  readonly isDropEligible: boolean;
}

export interface EthernetFrame {
  readonly dst: MacAddress;
  readonly src: MacAddress;
  /** Outer tag first. */
  readonly tags: readonly VlanTag[];
  /** The type of the payload; below 0x600 the payload is LLC and this its length. */
  readonly etherType: number;
  /** A view of the frame's bytes, without the padding where the length is known. */
  readonly payload: Uint8Array;
}

/** The field behind the addresses of a frame of at least 14 bytes, tag or not. */
export function readEtherType(bytes: Uint8Array, start: number): number {
  return (bytes[start + 12]! << 8) | bytes[start + 13]!;
}

/** Reads the frame from `start` to `end`; undefined for one that is cut or whose LLC length is wrong. */
export function tryParseEthernet(
  bytes: Uint8Array,
  start = 0,
  end = bytes.length,
): EthernetFrame | undefined {
  if (end - start < ETHERNET_HEADER_BYTES) return undefined;
  const dst = readMac(bytes, start);
  const src = readMac(bytes, start + 6);
  const tags: VlanTag[] = [];
  let etherType = readEtherType(bytes, start);
  let at = start + ETHERNET_HEADER_BYTES;
  while (tags.length < MAX_TAGS && isTagType(etherType)) {
    if (end - at < TAG_BYTES) return undefined;
    const control = (bytes[at]! << 8) | bytes[at + 1]!;
    tags.push({
      type: etherType,
      id: control & 0xfff,
      priority: control >>> 13,
      isDropEligible: (control & 0x1000) !== 0,
    });
    etherType = (bytes[at + 2]! << 8) | bytes[at + 3]!;
    at += TAG_BYTES;
  }
  if (etherType >= LEAST_ETHER_TYPE) {
    return { dst, src, tags, etherType, payload: bytes.subarray(at, end) };
  }
  const payload = bytes.subarray(at, Math.min(end, at + etherType));
  const isWhole = payload.length === etherType && etherType <= MOST_LENGTH && isWholeLlc(payload);
  return isWhole ? { dst, src, tags, etherType, payload } : undefined;
}

/** The bytes of a frame; an LLC payload gets its length written. Short frames are not padded. */
export function encodeEthernet(frame: EthernetFrame): Uint8Array {
  const tagged = frame.tags.length * TAG_BYTES;
  const bytes = new Uint8Array(ETHERNET_HEADER_BYTES + tagged + frame.payload.length);
  const view = new DataView(bytes.buffer);
  writeMac(bytes, 0, frame.dst);
  writeMac(bytes, 6, frame.src);
  let at = 12;
  for (const tag of frame.tags) {
    view.setUint16(at, tag.type);
    view.setUint16(at + 2, (tag.priority << 13) | (tag.isDropEligible ? 0x1000 : 0) | tag.id);
    at += TAG_BYTES;
  }
  const isLlc = frame.etherType < LEAST_ETHER_TYPE;
  view.setUint16(at, isLlc ? frame.payload.length : frame.etherType);
  bytes.set(frame.payload, at + 2);
  return bytes;
}

function isTagType(etherType: number): etherType is VlanTag["type"] {
  return etherType === ETHER_TYPE.VLAN || etherType === ETHER_TYPE.QINQ;
}

/** IEEE 802.2 wants two service points and a control byte; SNAP five bytes more. */
function isWholeLlc(payload: Uint8Array): boolean {
  const isSnap = payload[0] === 0xaa && payload[1] === 0xaa;
  return payload.length >= (isSnap ? SNAP_BYTES : LLC_BYTES);
}
