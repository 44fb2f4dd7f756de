// Decisions about the first bytes of a frame. Its addresses come as three signed words, read big-endian:
// destination 0..3 | destination 4..5, source 0..1 | source 2..5.
import { ETHERTYPE, MIN_ETHERTYPE } from "./frame-view.ts";

/** What vlanIdOf() answers for a header that ends too early. */
export const CUT = -1;

const UNTAGGED_BYTES = 14;
const TAGGED_BYTES = 18;
const LLC_BYTES = 3;
const SNAP_BYTES = 8;
const SNAP_SAPS = 0xaaaa;
const BPDU_SAPS = 0x4242;
const BPDU_BYTES = 35;
/** The address of the bridge identifier behind the start of the LLC header. */
const BRIDGE_ID_AT = LLC_BYTES + 19;

/**
 * The VLAN id of a frame that is tagged (IEEE 802.1Q) or has a length field (IEEE 802.3), 0 without a tag,
 * or CUT if tag, payload, LLC or SNAP header are not all there (robustness.md FR-13, FR-14).
 * @param tagType another type field that tags begin with, besides that of IEEE 802.1Q
 */
export function vlanIdOf(
  view: DataView,
  start: number,
  size: number,
  type: number,
  tagType: number = ETHERTYPE.VLAN,
): number {
  let vlanId = 0;
  let headerBytes = UNTAGGED_BYTES;
  let typeOrLength = type;
  if (type === ETHERTYPE.VLAN || type === tagType) {
    if (size < TAGGED_BYTES) return CUT;
    vlanId = view.getUint16(start + 14) & 0xfff;
    typeOrLength = view.getUint16(start + 16);
    headerBytes = TAGGED_BYTES;
  }
  if (typeOrLength >= MIN_ETHERTYPE) return vlanId;
  if (typeOrLength < LLC_BYTES || headerBytes + typeOrLength > size) return CUT;
  const isSnap = view.getUint16(start + headerBytes) === SNAP_SAPS;
  return isSnap && typeOrLength < SNAP_BYTES ? CUT : vlanId;
}

/** Broadcast or multicast destination: the I/G bit of the first octet. */
export function isGroup(word0: number): boolean {
  return (word0 & 0x01000000) !== 0;
}

/**
 * A source that is a group, zero or the destination itself (hub.md 2.5 step 3, 2.7 c).
 * @param allowsGroups all groups but broadcast are good, as the reference has it
 */
export function isBadSource(
  word0: number,
  word1: number,
  word2: number,
  allowsGroups = false,
): boolean {
  const high = word1 & 0xffff;
  if ((high & 0x0100) !== 0 && !(allowsGroups && (high !== 0xffff || word2 !== -1))) return true;
  if (high === 0 && word2 === 0) return true;
  return word2 === lowerDestination(word0, word1) && high === word0 >>> 16;
}

/** 01-80-C2-00-00-01, which no bridge forwards (IEEE 802.3 31B); the other reserved groups pass (FR-15). */
export function isPause(word0: number, word1: number): boolean {
  return word0 === (0x0180c200 | 0) && word1 >>> 16 === 0x0001;
}

/**
 * Where the address lies that a frame of the spanning tree is learnt by: that of the bridge identifier in a
 * configuration or rapid BPDU behind LLC 42 42 (IEEE 802.1D 9.3). -1 if the frame is none, ends before it, or tells of
 * a bridge without an address of its own: such a frame is learnt by its source.
 * @param length the length field of the frame (IEEE 802.3)
 */
export function bridgeIdAt(view: DataView, start: number, length: number): number {
  const isBpdu = view.getUint16(start + UNTAGGED_BYTES) === BPDU_SAPS;
  if (!isBpdu || length < LLC_BYTES + BPDU_BYTES) return -1;
  const at = start + UNTAGGED_BYTES + BRIDGE_ID_AT;
  const isNobody = view.getUint16(at) === 0 && view.getUint32(at + 2) === 0;
  return isNobody || (view.getUint8(at) & 1) !== 0 ? -1 : at;
}

/** The last 32 bits of the destination. */
export function lowerDestination(word0: number, word1: number): number {
  return (word0 << 16) | (word1 >>> 16);
}
