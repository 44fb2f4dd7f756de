// The Internet checksum (RFC 1071) over packet memory.
//
// Sums are true sums of little-endian 16-bit words, not folded: as the sum is the same in either byte order, words are
// added as they lie, and a field is taken out of a sum by plain subtraction. `fold` comes last.

/** Sum of `bytes` bytes at `at`. An odd last byte counts as the first of its word. At most 1 MiB, or lanes overflow. */
export function sum(at: usize, bytes: i32): u64 {
  let total: u64 = 0;
  if (ASC_FEATURE_SIMD) {
    let lanes = i32x4.splat(0);
    let lanes2 = i32x4.splat(0);
    for (const end = at + (bytes & ~31); at < end; at += 32) {
      lanes = i32x4.add(lanes, i32x4.extadd_pairwise_i16x8_u(v128.load(at)));
      lanes2 = i32x4.add(lanes2, i32x4.extadd_pairwise_i16x8_u(v128.load(at, 16)));
    }
    total = addLanes(i32x4.add(lanes, lanes2));
    bytes &= 31;
  }
  return total + sumTail(at, bytes);
}

/** Copies while it sums: one pass over the payload instead of two. */
export function copyAndSum(to: usize, at: usize, bytes: i32): u64 {
  let total: u64 = 0;
  if (ASC_FEATURE_SIMD) {
    let lanes = i32x4.splat(0);
    let lanes2 = i32x4.splat(0);
    for (const end = at + (bytes & ~31); at < end; at += 32, to += 32) {
      const first = v128.load(at);
      const second = v128.load(at, 16);
      v128.store(to, first);
      v128.store(to, second, 16);
      lanes = i32x4.add(lanes, i32x4.extadd_pairwise_i16x8_u(first));
      lanes2 = i32x4.add(lanes2, i32x4.extadd_pairwise_i16x8_u(second));
    }
    total = addLanes(i32x4.add(lanes, lanes2));
    bytes &= 31;
  }
  for (; bytes >= 4; bytes -= 4, at += 4, to += 4) {
    const words = load<u32>(at);
    store<u32>(to, words);
    total += <u64>(words & 0xffff) + <u64>(words >> 16);
  }
  for (let n = 0; n < bytes; n += 1) store<u8>(to + n, load<u8>(at + n));
  return total + sumTail(at, bytes);
}

/** Copies headers, of at least 16 bytes: for so few bytes the instruction for copying memory costs too much. */
export function copyHeaders(to: usize, at: usize, bytes: i32): void {
  if (ASC_FEATURE_SIMD) {
    const last = bytes - 16;
    for (let n = 0; n < last; n += 16) v128.store(to + n, v128.load(at + n));
    v128.store(to + last, v128.load(at + last));
  } else {
    memory.copy(to, at, bytes);
  }
}

/** The sum with its carries added in again, as 16 bits. The checksum field holds the complement of it. */
export function fold(total: u64): u16 {
  total = (total & 0xffff_ffff) + (total >> 32);
  total = (total & 0xffff) + (total >> 16);
  total = (total & 0xffff) + (total >> 16);
  total = (total & 0xffff) + (total >> 16);
  return <u16>total;
}

/** The folded sum of a range as a number in network order, for those outside who go on adding. At most 1 MiB. */
export function rangeSum(at: usize, bytes: i32): i32 {
  return <i32>bswap<u16>(fold(sum(at, bytes)));
}

/** A number as the word that it is on the wire, for adding to a sum or storing. */
export function wireWord(value: i32): u16 {
  return bswap<u16>(<u16>value);
}

function sumTail(at: usize, bytes: i32): u64 {
  let total: u64 = 0;
  for (; bytes >= 4; bytes -= 4, at += 4) {
    const words = load<u32>(at);
    total += <u64>(words & 0xffff) + <u64>(words >> 16);
  }
  if (bytes >= 2) {
    total += <u64>load<u16>(at);
    at += 2;
    bytes -= 2;
  }
  return bytes > 0 ? total + <u64>load<u8>(at) : total;
}

function addLanes(lanes: v128): u64 {
  return (
    <u64>(<u32>i32x4.extract_lane(lanes, 0)) +
    <u64>(<u32>i32x4.extract_lane(lanes, 1)) +
    <u64>(<u32>i32x4.extract_lane(lanes, 2)) +
    <u64>(<u32>i32x4.extract_lane(lanes, 3))
  );
}
