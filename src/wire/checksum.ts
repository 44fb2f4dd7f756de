import type { Ipv4 } from "../base/ip.ts";

/**
 * Adds 16-bit words to a running sum (RFC 1071); an odd last byte counts as the high half of a word. The sum
 * is exact up to 2^53, so folding waits until the end.
 */
export function sumWords(bytes: Uint8Array, start: number, end: number, sum = 0): number {
  const even = end - ((end - start) & 1);
  let total = sum;
  for (let at = start; at < even; at += 2) total += (bytes[at]! << 8) | bytes[at + 1]!;
  return even === end ? total : total + (bytes[even]! << 8);
}

/** The checksum of a sum: carries folded in, and the complement taken. */
export function finishChecksum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x1_0000) + Math.floor(folded / 0x1_0000);
  return ~folded & 0xffff;
}

/** The internet checksum of a range: 0 where the range holds its own right checksum. */
export function internetChecksum(bytes: Uint8Array, start: number, end: number): number {
  return finishChecksum(sumWords(bytes, start, end));
}

/** The part of the sum that TCP and UDP take from the IPv4 header (RFC 768, RFC 9293 3.1). */
export function pseudoHeaderSum(src: Ipv4, dst: Ipv4, protocol: number, length: number): number {
  return (src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff) + protocol + length;
}
