// Poly1305 (RFC 8439 2.5), in words of 32 bits held in 64.
//
// The key's r has its four highest bits of each word clear and, but for the first word, the two lowest as well
// (RFC 8439 2.5.1). So a product that reaches 2^128 comes back as 5/4 of itself without a remainder, 20
// multiplications make a block, and no sum of five products overflows though carries are not taken up before.

let h0: u64 = 0;
let h1: u64 = 0;
let h2: u64 = 0;
let h3: u64 = 0;
let h4: u64 = 0;
let keyAt: usize = 0;

const WORD: u64 = 0xffff_ffff;

/** Begins anew under the 32 bytes of a one-time key, which must stay until `finish`. */
export function begin(key: usize): void {
  keyAt = key;
  h0 = 0;
  h1 = 0;
  h2 = 0;
  h3 = 0;
  h4 = 0;
}

/** Takes the whole blocks of 16 bytes among `bytes`. */
export function takeBlocks(at: usize, bytes: i32): void {
  const r0 = (<u64>load<u32>(keyAt)) & 0x0fff_ffff;
  const r1 = (<u64>load<u32>(keyAt, 4)) & 0x0fff_fffc;
  const r2 = (<u64>load<u32>(keyAt, 8)) & 0x0fff_fffc;
  const r3 = (<u64>load<u32>(keyAt, 12)) & 0x0fff_fffc;
  const s1 = r1 + (r1 >> 2);
  const s2 = r2 + (r2 >> 2);
  const s3 = r3 + (r3 >> 2);
  let a0 = h0;
  let a1 = h1;
  let a2 = h2;
  let a3 = h3;
  let a4 = h4;
  for (const end = at + (bytes & ~15); at < end; at += 16) {
    a0 += <u64>load<u32>(at);
    a1 += <u64>load<u32>(at, 4);
    a2 += <u64>load<u32>(at, 8);
    a3 += <u64>load<u32>(at, 12);
    a4 += 1;
    const d0 = a0 * r0 + a1 * s3 + a2 * s2 + a3 * s1;
    const d1 = a0 * r1 + a1 * r0 + a2 * s3 + a3 * s2 + a4 * s1 + (d0 >> 32);
    const d2 = a0 * r2 + a1 * r1 + a2 * r0 + a3 * s3 + a4 * s2 + (d1 >> 32);
    const d3 = a0 * r3 + a1 * r2 + a2 * r1 + a3 * r0 + a4 * s3 + (d2 >> 32);
    const d4 = a4 * r0 + (d3 >> 32);
    // 2^130 is 5: what is above it comes back as four times and once.
    a0 = (d0 & WORD) + (d4 & ~3) + (d4 >> 2);
    a1 = d1 & WORD;
    a2 = d2 & WORD;
    a3 = d3 & WORD;
    a4 = d4 & 3;
  }
  h0 = a0;
  h1 = a1;
  h2 = a2;
  h3 = a3;
  h4 = a4;
}

/** Writes the 16 bytes of the tag. */
export function finish(tag: usize): void {
  h1 += h0 >> 32;
  h2 += h1 >> 32;
  h3 += h2 >> 32;
  h4 += h3 >> 32;
  h0 = (h0 & WORD) + (h4 >> 2) * 5;
  h4 &= 3;
  h1 = (h1 & WORD) + (h0 >> 32);
  h2 = (h2 & WORD) + (h1 >> 32);
  h3 = (h3 & WORD) + (h2 >> 32);
  h4 += h3 >> 32;
  h0 &= WORD;
  h1 &= WORD;
  h2 &= WORD;
  h3 &= WORD;

  // With 5 added it reaches 2^130 if it is not below the prime: then that, less 2^130, is the remainder.
  const g0 = h0 + 5;
  const g1 = h1 + (g0 >> 32);
  const g2 = h2 + (g1 >> 32);
  const g3 = h3 + (g2 >> 32);
  const reduce = -((h4 + (g3 >> 32)) >> 2);
  const keep = ~reduce;
  h0 = (h0 & keep) | (g0 & WORD & reduce);
  h1 = (h1 & keep) | (g1 & WORD & reduce);
  h2 = (h2 & keep) | (g2 & WORD & reduce);
  h3 = (h3 & keep) | (g3 & WORD & reduce);

  const t0 = h0 + <u64>load<u32>(keyAt, 16);
  const t1 = h1 + <u64>load<u32>(keyAt, 20) + (t0 >> 32);
  const t2 = h2 + <u64>load<u32>(keyAt, 24) + (t1 >> 32);
  const t3 = h3 + <u64>load<u32>(keyAt, 28) + (t2 >> 32);
  store<u32>(tag, <u32>t0);
  store<u32>(tag, <u32>t1, 4);
  store<u32>(tag, <u32>t2, 8);
  store<u32>(tag, <u32>t3, 12);
}
