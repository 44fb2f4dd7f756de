import { finishChecksum, sumWords } from "./checksum.ts";
import { ICMPV6 } from "./router-advertisement.ts";
import { ByteWriter } from "./writer.ts";

/* RFC 3810 5.1 and 5.2, RFC 2711 2.1. */
export const MLD_QUERY = 130;
const REPORT = 143;
const IPV6_HEADER_BYTES = 40;
const SOURCE_AT = 8;
/** Routers and switches that want reports: ff02::16. */
export const ALL_REPORT_LISTENERS = Uint8Array.of(
  0xff,
  2,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0x16,
);
const HOP_BY_HOP = 0;
/** A router alert for MLD, padded to eight bytes, before an ICMPv6 message. */
const ROUTER_ALERT = Uint8Array.of(ICMPV6, 0, 5, 2, 0, 0, 1, 0);
const MIN_QUERY_BYTES = 24;
/** A response time from here on is a float. */
const FIRST_FLOAT = 0x8000;

/** What is said of groups: that they are listened to, as before or from now on, or no more. */
export const MLD_RECORD = { IS_JOINED: 2, LEAVE: 3, JOIN: 4 } as const;

/** The IPv6 packet of a report about groups of 16 octets each, to ALL_REPORT_LISTENERS. */
export function encodeMldReport(
  source: Uint8Array,
  record: (typeof MLD_RECORD)[keyof typeof MLD_RECORD],
  groups: readonly Uint8Array[],
): Uint8Array {
  const writer = new ByteWriter();
  writer.writeU32(0x6000_0000).writeU16(0).writeU8(HOP_BY_HOP).writeU8(1);
  writer.writeBytes(source).writeBytes(ALL_REPORT_LISTENERS).writeBytes(ROUTER_ALERT);
  writer.writeU8(REPORT).writeU8(0).writeU16(0).writeU16(0).writeU16(groups.length);
  for (const group of groups) writer.writeU8(record).writeU8(0).writeU16(0).writeBytes(group);
  const packet = writer.finish();
  const view = new DataView(packet.buffer);
  const messageAt = IPV6_HEADER_BYTES + ROUTER_ALERT.length;
  const bytes = packet.length - messageAt;
  view.setUint16(4, packet.length - IPV6_HEADER_BYTES);
  const addresses = sumWords(packet, SOURCE_AT, IPV6_HEADER_BYTES, bytes + ICMPV6);
  view.setUint16(
    messageAt + 2,
    finishChecksum(sumWords(packet, messageAt, packet.length, addresses)),
  );
  return packet;
}

/** The milliseconds within which a query wants its answer, from the ICMPv6 message; undefined if it is none. */
export function tryReadMldQuery(message: Uint8Array): number | undefined {
  if (message.length < MIN_QUERY_BYTES || message[0] !== MLD_QUERY || message[1] !== 0)
    return undefined;
  const code = (message[4]! << 8) | message[5]!;
  // Queries of the first version are of exactly this length, and have milliseconds as they are.
  if (code < FIRST_FLOAT || message.length === MIN_QUERY_BYTES) return code;
  return ((code & 0xfff) | 0x1000) << (((code >> 12) & 7) + 3);
}
