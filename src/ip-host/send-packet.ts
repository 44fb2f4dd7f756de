import type { MacAddress } from "../base/mac.ts";
import { PACKET_BYTES, reserve } from "../platform/packet-memory.ts";
import { IPV4_HEADER_BYTES } from "../wire/ipv4.ts";
import { sendCut } from "./fragment.ts";
import {
  beginIp,
  endIp,
  finishIpHeader,
  type IpHeader,
  type PayloadSum,
  writeIpHeader,
  writePayloadSum,
} from "./ip-writer.ts";
import type { HostLink } from "./link.ts";
import { IPV6_HEADER_BYTES } from "./packet-view.ts";

const MAX_PAYLOAD_BYTES = 65_535;

/** Packets that are larger than a link takes, before they are cut. */
const wholeAt = reserve(IPV6_HEADER_BYTES + MAX_PAYLOAD_BYTES + 1);

/**
 * Puts an IP packet with a payload that lies in packet memory into the outbox, cut to the link's MTU if need be. Its
 * checksum is written on the way. False if there was no room, or it is more than a packet holds.
 */
export function sendPacket(
  link: HostLink,
  to: MacAddress,
  header: IpHeader,
  payload: { readonly at: number; readonly bytes: number; readonly sum: PayloadSum },
): boolean {
  const headerBytes = header.source.family === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
  const { at, bytes, sum } = payload;
  if (headerBytes + bytes <= link.mtu) {
    const room = beginIp(link, to, header, bytes);
    if (room < 0) return false;
    PACKET_BYTES.copyWithin(room, at, at + bytes);
    endIp(bytes, sum);
    return true;
  }
  const most = header.source.family === 4 ? MAX_PAYLOAD_BYTES - headerBytes : MAX_PAYLOAD_BYTES;
  if (bytes > most) return false;
  const payloadAt = writeIpHeader(wholeAt, header, bytes);
  PACKET_BYTES.copyWithin(payloadAt, at, at + bytes);
  finishIpHeader(wholeAt, bytes);
  writePayloadSum(wholeAt, bytes, sum);
  return sendCut(link, to, wholeAt, payloadAt + bytes);
}
