// One frame of a run, looked at as a TCP segment. There is one at a time, and what is found stands in these globals.
import { fold, sum, wireWord } from "./checksum.as";
import * as h from "./headers.as";

/** Offsets in the frame of the network and transport headers, and of the payload. */
export let l3: i32 = 0;
export let l4: i32 = 0;
export let headerBytes: i32 = 0;
export let payload: i32 = 0;
export let isV6: bool = false;
/** 6 bits made of addresses and ports. */
export let flowHash: u32 = 0;

/**
 * True for a TCP segment, untagged or with one tag, in an IP packet without fragments, options or extension headers,
 * which ends where the frame ends: padding behind it would be lost by merging.
 */
export function parseSegment(frame: usize, size: i32): bool {
  if (size < h.ETHERNET_BYTES + h.TAG_BYTES) return false;
  l3 = h.ETHERNET_BYTES;
  if (h.isTag(load<u16>(frame + h.ETHERTYPE))) l3 += h.TAG_BYTES;
  const ethertype = load<u16>(frame + l3 - 2);
  const ip = frame + l3;
  let flow: u32 = 0;
  if (ethertype == h.IPV4_WIRE) {
    isV6 = false;
    l4 = l3 + h.IPV4_BYTES;
    if (size < l4 + h.TCP_BYTES || load<u8>(ip) != 0x45) return false;
    if (load<u8>(ip + h.IPV4_PROTOCOL) != h.PROTOCOL_TCP) return false;
    if ((load<u16>(ip + h.IPV4_FRAGMENT) & h.FRAGMENTED_WIRE) != 0) return false;
    if (<i32>bswap<u16>(load<u16>(ip + h.IPV4_LENGTH)) != size - l3) return false;
    flow = load<u32>(ip + h.IPV4_ADDRESSES) ^ load<u32>(ip + h.IPV4_ADDRESSES + 4);
  } else if (ethertype == h.IPV6_WIRE) {
    isV6 = true;
    l4 = l3 + h.IPV6_BYTES;
    if (size < l4 + h.TCP_BYTES || load<u8>(ip) >> 4 != 6) return false;
    if (load<u8>(ip + h.IPV6_NEXT_HEADER) != h.PROTOCOL_TCP) return false;
    if (<i32>bswap<u16>(load<u16>(ip + h.IPV6_LENGTH)) != size - l4) return false;
    flow = load<u32>(ip + h.IPV6_ADDRESSES + 12) ^ load<u32>(ip + h.IPV6_ADDRESSES + 28);
  } else {
    return false;
  }
  const tcp = frame + l4;
  const tcpBytes = (<i32>(load<u8>(tcp + h.TCP_DATA_OFFSET) >> 4)) << 2;
  headerBytes = l4 + tcpBytes;
  payload = size - headerBytes;
  // An odd multiplier spreads ports over the upper bits.
  flowHash = ((load<u32>(tcp) ^ flow) * 0x9e37_79b1) >> 26;
  return tcpBytes >= h.TCP_BYTES && payload >= 0;
}

/** True if header and payload are what the sender summed up (RFC 791, RFC 9293 3.1). */
export function isVerified(frame: usize, size: i32): bool {
  const ip = frame + l3;
  if (!isV6 && fold(sum(ip, h.IPV4_BYTES)) != 0xffff) return false;
  return fold(pseudoSum(ip, size - l4, isV6) + sum(frame + l4, size - l4)) == 0xffff;
}

/** Sum of the pseudo-header of TCP over either version of IP (RFC 9293 3.1, RFC 8200 8.1). */
export function pseudoSum(ip: usize, l4Bytes: i32, v6: bool): u64 {
  const addresses = v6 ? sum(ip + h.IPV6_ADDRESSES, 32) : sum(ip + h.IPV4_ADDRESSES, 8);
  return addresses + <u64>wireWord(h.PROTOCOL_TCP) + <u64>wireWord(l4Bytes);
}
