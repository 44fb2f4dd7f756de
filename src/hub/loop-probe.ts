// The frame by which a hub finds out that two of its ports are joined outside (hub.md 2.11).
import { MAC_BROADCAST, type MacAddress, writeMac } from "../base/mac.ts";

/** For local experiments (IEEE 802, table of EtherTypes). */
export const ETHER_TYPE_PROBE = 0x88b5;
const ETHER_TYPE_VLAN = 0x8100;
const TAG_BYTES = 4;
const PROBE_BYTES = 60;
export const HUB_ID_BYTES = 16;
/** After the type: the id of the hub, what the port alone knows, a number, and how often a port was shut there. */
const HUB_ID_AT = 14;
const TOKEN_AT = HUB_ID_AT + HUB_ID_BYTES;
export const TOKEN_BYTES = 8;
const SEQUENCE_AT = TOKEN_AT + TOKEN_BYTES;
const CHANGES_AT = SEQUENCE_AT + 4;
const END_AT = CHANGES_AT + 2;

export interface LoopProbe {
  /** Hexadecimal digits. */
  readonly token: string;
  readonly sequence: number;
}

export function encodeLoopProbe(of: {
  readonly mac: MacAddress;
  readonly hubId: Uint8Array;
  readonly token: Uint8Array;
  readonly sequence: number;
  readonly changes: number;
}): Uint8Array {
  const frame = new Uint8Array(PROBE_BYTES);
  const view = new DataView(frame.buffer);
  writeMac(frame, 0, MAC_BROADCAST);
  writeMac(frame, 6, of.mac);
  view.setUint16(12, ETHER_TYPE_PROBE);
  frame.set(of.hubId, HUB_ID_AT);
  frame.set(of.token, TOKEN_AT);
  view.setUint32(SEQUENCE_AT, of.sequence);
  view.setUint16(CHANGES_AT, of.changes);
  return frame;
}

/** A probe of the hub with this id, tagged on its way or not; undefined for any other frame. */
export function tryParseLoopProbe(frame: Uint8Array, hubId: Uint8Array): LoopProbe | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const shift = view.getUint16(12) === ETHER_TYPE_VLAN ? TAG_BYTES : 0;
  if (frame.length < END_AT + shift) return undefined;
  if (view.getUint16(12 + shift) !== ETHER_TYPE_PROBE) return undefined;
  const id = frame.subarray(HUB_ID_AT + shift, TOKEN_AT + shift);
  if (Buffer.compare(id, hubId) !== 0) return undefined;
  return {
    token: frame.subarray(TOKEN_AT + shift, SEQUENCE_AT + shift).toHex(),
    sequence: view.getUint32(SEQUENCE_AT + shift),
  };
}

/** Of which hub a probe without a tag is, in hexadecimal digits, and how often it has shut a port. */
export function tryParseChanges(
  frame: Uint8Array,
): { readonly hub: string; readonly changes: number } | undefined {
  if (frame.length < END_AT) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  return {
    hub: frame.subarray(HUB_ID_AT, TOKEN_AT).toHex(),
    changes: view.getUint16(CHANGES_AT),
  };
}
