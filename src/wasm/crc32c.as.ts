// CRC32c (RFC 9260 appendix A) over packet memory, bit by bit: few frames are SCTP, and fewer come without it.

/** The polynomial 0x1EDC6F41, its bits reversed. */
const POLYNOMIAL: u32 = 0x82f63b78;

/** As SCTP carries it: stored in the order of a little-endian word. */
export function crc32c(at: usize, bytes: i32): u32 {
  let crc: u32 = 0xffff_ffff;
  for (const end = at + <usize>bytes; at < end; at += 1) {
    crc ^= <u32>load<u8>(at);
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >> 1) ^ (POLYNOMIAL & (0 - (crc & 1)));
  }
  return ~crc;
}
