import { ByteReader } from "./reader.ts";
import { ByteWriter } from "./writer.ts";

// A RADIUS packet (RFC 2865 3): code, identifier, length, authenticator, attributes.

export const RADIUS_CODE = {
  ACCESS_REQUEST: 1,
  ACCESS_ACCEPT: 2,
  ACCESS_REJECT: 3,
  ACCOUNTING_REQUEST: 4,
  ACCOUNTING_RESPONSE: 5,
  ACCESS_CHALLENGE: 11,
} as const;

const RADIUS_HEADER_BYTES = 20;
export const RADIUS_AUTHENTICATOR_BYTES = 16;
const MAX_RADIUS_PACKET_BYTES = 4096;
/** An attribute's one octet of length counts its type and itself. */
export const MAX_RADIUS_VALUE_BYTES = 253;
/** Type and length. */
export const ATTRIBUTE_HEADER_BYTES = 2;

export interface RadiusAttribute {
  readonly type: number;
  readonly value: Uint8Array;
}

export interface RadiusPacket {
  readonly code: number;
  readonly identifier: number;
  /** 16 octets. */
  readonly authenticator: Uint8Array;
  /** In their order, which matters between attributes of one type. */
  readonly attributes: readonly RadiusAttribute[];
}

/**
 * Reads a datagram; values are views of it. Undefined for one that is cut, longer than a packet may be, or has an
 * attribute whose length is below 2 or runs past the end. What follows the packet's own length is padding.
 */
export function tryParseRadius(datagram: Uint8Array): RadiusPacket | undefined {
  if (datagram.length < RADIUS_HEADER_BYTES) return undefined;
  const length = (datagram[2]! << 8) | datagram[3]!;
  if (length < RADIUS_HEADER_BYTES || length > MAX_RADIUS_PACKET_BYTES) return undefined;
  if (length > datagram.length) return undefined;
  const reader = new ByteReader(datagram.subarray(0, length), "radius_short");
  const code = reader.readU8();
  const identifier = reader.readU8();
  reader.readU16();
  const authenticator = reader.readBytes(RADIUS_AUTHENTICATOR_BYTES);
  const attributes: RadiusAttribute[] = [];
  while (reader.remaining > 0) {
    if (reader.remaining < ATTRIBUTE_HEADER_BYTES) return undefined;
    const type = reader.readU8();
    const valueBytes = reader.readU8() - ATTRIBUTE_HEADER_BYTES;
    if (valueBytes < 0 || valueBytes > reader.remaining) return undefined;
    attributes.push({ type, value: reader.readBytes(valueBytes) });
  }
  return { code, identifier, authenticator, attributes };
}

/** The bytes of a packet; those of a parsed one come back as they were. What does not fit is a RangeError. */
export function encodeRadius(packet: RadiusPacket): Uint8Array {
  if (packet.authenticator.length !== RADIUS_AUTHENTICATOR_BYTES) {
    throw new RangeError(`Cannot encode an authenticator of ${packet.authenticator.length} bytes`);
  }
  const length = packet.attributes.reduce(
    (sum, { value }) => sum + ATTRIBUTE_HEADER_BYTES + value.length,
    RADIUS_HEADER_BYTES,
  );
  if (length > MAX_RADIUS_PACKET_BYTES) {
    throw new RangeError(`Cannot encode a RADIUS packet of ${length} bytes`);
  }
  const writer = new ByteWriter(length)
    .writeU8(packet.code)
    .writeU8(packet.identifier)
    .writeU16(length)
    .writeBytes(packet.authenticator);
  for (const { type, value } of packet.attributes) {
    if (value.length > MAX_RADIUS_VALUE_BYTES) {
      throw new RangeError(`Cannot encode ${value.length} bytes as the RADIUS attribute ${type}`);
    }
    writer
      .writeU8(type)
      .writeU8(ATTRIBUTE_HEADER_BYTES + value.length)
      .writeBytes(value);
  }
  return writer.finish();
}
