// ChaCha20 (RFC 8439 2.3, 2.4): the key stream, three blocks at a time where there are vector instructions.
//
// A block's four rows are four vectors, so three blocks leave room in sixteen registers for one temporary, and rounds
// over diagonals are lane rotations. Four blocks of sixteen vectors are slower: the compiler keeps them on the stack.

/** Bytes of key stream that one step makes, and the blocks that they are. */
export const STEP_BYTES: usize = ASC_FEATURE_SIMD ? 192 : 64;
export const STEP_BLOCKS: u32 = ASC_FEATURE_SIMD ? 3 : 1;

/* The state: four rows of four words, and for the scalar form as much again to work in. */
const KEY: usize = 16;
const COUNTER: usize = 48;
const NONCE: usize = 52;
const WORK: usize = 64;
export const STATE_BYTES: usize = 128;

let state: usize = 0;

/** Names the memory of the state and writes the constants "expand 32-byte k" to it. */
export function setState(at: usize): void {
  state = at;
  store<u32>(at, 0x61707865);
  store<u32>(at, 0x3320646e, 4);
  store<u32>(at, 0x79622d32, 8);
  store<u32>(at, 0x6b206574, 12);
}

/** Takes the 32 bytes of the key. */
export function setKey(at: usize): void {
  memory.copy(state + KEY, at, 32);
}

/** Takes the 12 bytes of the nonce. */
export function setNonce(at: usize): void {
  store<u64>(state + NONCE, load<u64>(at));
  store<u32>(state + NONCE, load<u32>(at, 8), 8);
}

/** Adds `bytes` of key stream from block `counter` on, in whole steps: up to a step less one byte more is changed. */
export function addKeyStream(to: usize, from: usize, bytes: i32, counter: u32): void {
  for (let left = bytes; left > 0; left -= <i32>STEP_BYTES) {
    if (ASC_FEATURE_SIMD) addThreeBlocks(to, from, counter);
    else addBlock(to, from, counter);
    to += STEP_BYTES;
    from += STEP_BYTES;
    counter += STEP_BLOCKS;
  }
}

/* Vectors: a, b, c, d are the rows of the first block, e to h of the second, p to s of the third. */

function addThreeBlocks(to: usize, from: usize, counter: u32): void {
  const last = i32x4.replace_lane(v128.load(state, 48), 0, counter);
  let a = v128.load(state);
  let b = v128.load(state, 16);
  let c = v128.load(state, 32);
  let d = last;
  let e = a;
  let f = b;
  let g = c;
  let h = i32x4.add(last, i32x4(1, 0, 0, 0));
  let p = a;
  let q = b;
  let r = c;
  let s = i32x4.add(last, i32x4(2, 0, 0, 0));
  for (let n = 0; n < 10; n += 1) {
    a = i32x4.add(a, b);
    d = left16(v128.xor(d, a));
    e = i32x4.add(e, f);
    h = left16(v128.xor(h, e));
    p = i32x4.add(p, q);
    s = left16(v128.xor(s, p));
    c = i32x4.add(c, d);
    b = left12(v128.xor(b, c));
    g = i32x4.add(g, h);
    f = left12(v128.xor(f, g));
    r = i32x4.add(r, s);
    q = left12(v128.xor(q, r));
    a = i32x4.add(a, b);
    d = left8(v128.xor(d, a));
    e = i32x4.add(e, f);
    h = left8(v128.xor(h, e));
    p = i32x4.add(p, q);
    s = left8(v128.xor(s, p));
    c = i32x4.add(c, d);
    b = left7(v128.xor(b, c));
    g = i32x4.add(g, h);
    f = left7(v128.xor(f, g));
    r = i32x4.add(r, s);
    q = left7(v128.xor(q, r));

    // Diagonals become columns.
    b = lanes1(b);
    f = lanes1(f);
    q = lanes1(q);
    c = lanes2(c);
    g = lanes2(g);
    r = lanes2(r);
    d = lanes3(d);
    h = lanes3(h);
    s = lanes3(s);

    a = i32x4.add(a, b);
    d = left16(v128.xor(d, a));
    e = i32x4.add(e, f);
    h = left16(v128.xor(h, e));
    p = i32x4.add(p, q);
    s = left16(v128.xor(s, p));
    c = i32x4.add(c, d);
    b = left12(v128.xor(b, c));
    g = i32x4.add(g, h);
    f = left12(v128.xor(f, g));
    r = i32x4.add(r, s);
    q = left12(v128.xor(q, r));
    a = i32x4.add(a, b);
    d = left8(v128.xor(d, a));
    e = i32x4.add(e, f);
    h = left8(v128.xor(h, e));
    p = i32x4.add(p, q);
    s = left8(v128.xor(s, p));
    c = i32x4.add(c, d);
    b = left7(v128.xor(b, c));
    g = i32x4.add(g, h);
    f = left7(v128.xor(f, g));
    r = i32x4.add(r, s);
    q = left7(v128.xor(q, r));

    b = lanes3(b);
    f = lanes3(f);
    q = lanes3(q);
    c = lanes2(c);
    g = lanes2(g);
    r = lanes2(r);
    d = lanes1(d);
    h = lanes1(h);
    s = lanes1(s);
  }
  // Loaded anew: kept in registers they would push the rows out of them.
  const row0 = v128.load(state);
  addRow(to, from, i32x4.add(a, row0));
  addRow(to + 64, from + 64, i32x4.add(e, row0));
  addRow(to + 128, from + 128, i32x4.add(p, row0));
  const row1 = v128.load(state, 16);
  addRow(to + 16, from + 16, i32x4.add(b, row1));
  addRow(to + 80, from + 80, i32x4.add(f, row1));
  addRow(to + 144, from + 144, i32x4.add(q, row1));
  const row2 = v128.load(state, 32);
  addRow(to + 32, from + 32, i32x4.add(c, row2));
  addRow(to + 96, from + 96, i32x4.add(g, row2));
  addRow(to + 160, from + 160, i32x4.add(r, row2));
  const row3 = i32x4.replace_lane(v128.load(state, 48), 0, counter);
  addRow(to + 48, from + 48, i32x4.add(d, row3));
  addRow(to + 112, from + 112, i32x4.add(h, i32x4.add(row3, i32x4(1, 0, 0, 0))));
  addRow(to + 176, from + 176, i32x4.add(s, i32x4.add(row3, i32x4(2, 0, 0, 0))));
}

function addRow(to: usize, from: usize, row: v128): void {
  v128.store(to, v128.xor(v128.load(from), row));
}

/* Rotations of words by whole bytes are one instruction as `swizzle`, and three as shifts. */

function left16(v: v128): v128 {
  return i8x16.swizzle(v, i8x16(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
}

function left8(v: v128): v128 {
  return i8x16.swizzle(v, i8x16(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14));
}

function left12(v: v128): v128 {
  return v128.or(i32x4.shl(v, 12), i32x4.shr_u(v, 20));
}

function left7(v: v128): v128 {
  return v128.or(i32x4.shl(v, 7), i32x4.shr_u(v, 25));
}

/* Rotations of the lanes of a row, in the form that the compiler knows for it. */

function lanes1(v: v128): v128 {
  return i8x16.shuffle(v, v, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3);
}

function lanes2(v: v128): v128 {
  return i8x16.shuffle(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
}

function lanes3(v: v128): v128 {
  return i8x16.shuffle(v, v, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
}

/* Without vectors: one block, worked on in memory. */

function addBlock(to: usize, from: usize, counter: u32): void {
  store<u32>(state + COUNTER, counter);
  memory.copy(state + WORK, state, 64);
  for (let n = 0; n < 10; n += 1) {
    quarterRound(0, 16, 32, 48);
    quarterRound(4, 20, 36, 52);
    quarterRound(8, 24, 40, 56);
    quarterRound(12, 28, 44, 60);
    quarterRound(0, 20, 40, 60);
    quarterRound(4, 24, 44, 48);
    quarterRound(8, 28, 32, 52);
    quarterRound(12, 16, 36, 56);
  }
  for (let n: usize = 0; n < 64; n += 4) {
    const word = load<u32>(state + WORK + n) + load<u32>(state + n);
    store<u32>(to + n, load<u32>(from + n) ^ word);
  }
}

function quarterRound(atA: usize, atB: usize, atC: usize, atD: usize): void {
  const work = state + WORK;
  let a = load<u32>(work + atA);
  let b = load<u32>(work + atB);
  let c = load<u32>(work + atC);
  let d = load<u32>(work + atD);
  a += b;
  d = rotl<u32>(d ^ a, 16);
  c += d;
  b = rotl<u32>(b ^ c, 12);
  a += b;
  d = rotl<u32>(d ^ a, 8);
  c += d;
  b = rotl<u32>(b ^ c, 7);
  store<u32>(work + atA, a);
  store<u32>(work + atB, b);
  store<u32>(work + atC, c);
  store<u32>(work + atD, d);
}
