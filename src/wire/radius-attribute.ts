import { readIpv4, tryParseAddress, type Ipv4 } from "../base/ip.ts";
import { MAX_RADIUS_VALUE_BYTES, type RadiusAttribute, type RadiusPacket } from "./radius.ts";
import { decodeText } from "./text.ts";

/** Attribute types: RFC 2865, 2866 (40 to 52), 2868 (64 to 66, 81), 2869 (52 to 55, 80, 85), 6911 (168). */
export const RADIUS_ATTRIBUTE = {
  USER_NAME: 1,
  USER_PASSWORD: 2,
  NAS_PORT: 5,
  SERVICE_TYPE: 6,
  FRAMED_IP_ADDRESS: 8,
  FILTER_ID: 11,
  REPLY_MESSAGE: 18,
  CLASS: 25,
  SESSION_TIMEOUT: 27,
  IDLE_TIMEOUT: 28,
  CALLED_STATION_ID: 30,
  CALLING_STATION_ID: 31,
  NAS_IDENTIFIER: 32,
  PROXY_STATE: 33,
  ACCT_STATUS_TYPE: 40,
  ACCT_DELAY_TIME: 41,
  ACCT_INPUT_OCTETS: 42,
  ACCT_OUTPUT_OCTETS: 43,
  ACCT_SESSION_ID: 44,
  ACCT_AUTHENTIC: 45,
  ACCT_SESSION_TIME: 46,
  ACCT_INPUT_PACKETS: 47,
  ACCT_OUTPUT_PACKETS: 48,
  ACCT_TERMINATE_CAUSE: 49,
  ACCT_INPUT_GIGAWORDS: 52,
  ACCT_OUTPUT_GIGAWORDS: 53,
  EVENT_TIMESTAMP: 55,
  NAS_PORT_TYPE: 61,
  TUNNEL_TYPE: 64,
  TUNNEL_MEDIUM_TYPE: 65,
  TUNNEL_CLIENT_ENDPOINT: 66,
  MESSAGE_AUTHENTICATOR: 80,
  TUNNEL_PRIVATE_GROUP_ID: 81,
  ACCT_INTERIM_INTERVAL: 85,
  FRAMED_IPV6_ADDRESS: 168,
} as const;

/** A tag of RFC 2868 3.6: an octet above this is the first of the text. */
const MAX_TUNNEL_TAG = 0x1f;

/** Text as UTF-8, cut between two characters where it is too long; undefined for empty text, which must not be sent. */
export function textAttribute(type: number, text: string): RadiusAttribute | undefined {
  const room = new Uint8Array(MAX_RADIUS_VALUE_BYTES);
  const { written } = new TextEncoder().encodeInto(text, room);
  return written === 0 ? undefined : { type, value: room.subarray(0, written) };
}

/** An unsigned number of 32 bits; what is beyond them is cut off. */
export function numberAttribute(type: number, value: number): RadiusAttribute {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return { type, value: bytes };
}

/** A number of RFC 2868 3.1, 3.2: three octets behind a tag, here 0. */
export function taggedNumberAttribute(type: number, value: number): RadiusAttribute {
  return numberAttribute(type, value & 0xff_ffff);
}

/** Framed-IP-Address or Framed-IPv6-Address, by the family; undefined for text that is no address. */
export function framedAddressAttribute(text: string): RadiusAttribute | undefined {
  const address = tryParseAddress(text);
  if (address === undefined) return undefined;
  const { FRAMED_IP_ADDRESS, FRAMED_IPV6_ADDRESS } = RADIUS_ATTRIBUTE;
  return {
    type: address.family === 4 ? FRAMED_IP_ADDRESS : FRAMED_IPV6_ADDRESS,
    value: address.bytes,
  };
}

/** Values of all attributes of this type, in their order. */
export function readAll(packet: RadiusPacket, type: number): Uint8Array[] {
  return packet.attributes.filter((found) => found.type === type).map(({ value }) => value);
}

/** The first text of this type that is not empty. */
export function readText(packet: RadiusPacket, type: number): string | undefined {
  const value = readAll(packet, type).find(({ length }) => length > 0);
  return value === undefined ? undefined : decodeText(value);
}

/** The first number of this type; undefined where its length is not 4. */
export function readNumber(packet: RadiusPacket, type: number): number | undefined {
  const value = readAll(packet, type)[0];
  return value?.length === 4 ? readIpv4(value, 0) : undefined;
}

/** The first address of this type; undefined where its length is not 4. */
export function readIpv4Attribute(packet: RadiusPacket, type: number): Ipv4 | undefined {
  return readNumber(packet, type) as Ipv4 | undefined;
}

/** The first text of this type without its tag. */
export function readTunnelText(packet: RadiusPacket, type: number): string | undefined {
  const value = readAll(packet, type).find(({ length }) => length > 0);
  if (value === undefined) return undefined;
  return decodeText(value[0]! <= MAX_TUNNEL_TAG ? value.subarray(1) : value);
}
