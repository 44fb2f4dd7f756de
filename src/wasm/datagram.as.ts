// Datagrams of UDP acceleration in version 2 (protocol.md 17.4), in packet memory: a run of frames is sealed in one
// call, into datagrams of one size that the kernel takes as a whole.
//
//   nonce[12]  sealed: cookie u32, sender's tick u64, echoed tick u64, size u16, flag u8, frame, zeros  tag[16]
//
// Compiled by compile.ts; `crypto/chacha20poly1305.ts` gives it a face in TypeScript.
import { decrypt, encrypt, NONCE_BYTES, setScratch, TAG_BYTES, verify } from "./aead.as";
export { setKey } from "./chacha20.as";

/* Specification constants. */
const HEADER_BYTES: usize = 23;
const HEADER_COOKIE: usize = 0;
const HEADER_SIZE: usize = 20;
const HEADER_FLAG: usize = 22;
const MAX_PADDING: i32 = 31;
const OVERHEAD: i32 = <i32>(NONCE_BYTES + HEADER_BYTES + TAG_BYTES);

const SIZE_BYTES: usize = 4;
/** The largest block (protocol.md 13). */
const MAX_PAYLOAD: i32 = 3200;
/** No datagram that holds a block is longer, however it is padded. */
const MAX_DATAGRAM: i32 = 4096;

/* Answers of `open` that are no size. */
const TOO_SHORT: i32 = -1;
const WRONG_TAG: i32 = -2;
const WRONG_COOKIE: i32 = -3;
const WRONG_SIZE: i32 = -4;
const TOO_LONG: i32 = -5;

let envelope: usize = 0;
let opened: usize = 0;
/** Frames that the last `seal` sealed, and those that it left out for their length. */
let sealedFrames: i32 = 0;
let refusedFrames: i32 = 0;
/** Where in the run the last `seal` stopped, and the size of its datagrams. */
let sealedTo: usize = 0;
let segmentBytes: i32 = 0;

/**
 * @param at of memory for the state, at least AEAD_BYTES
 * @param envelopeAt of the next nonce and the header of what is sent: 35 bytes
 * @param headerAt of the header of what was opened last: 32 bytes
 */
export function init(at: usize, envelopeAt: usize, headerAt: usize): void {
  setScratch(at);
  envelope = envelopeAt;
  opened = headerAt;
}

export function openedAt(): usize {
  return opened;
}

export function frames(): i32 {
  return sealedFrames;
}

export function refused(): i32 {
  return refusedFrames;
}

export function stoppedAt(): usize {
  return sealedTo;
}

export function segment(): i32 {
  return segmentBytes;
}

/**
 * Seals frames of the run from `at` on into datagrams of one size at `out`, and gives the bytes of all. It ends
 * with the run, before a frame that is too long for the size or too short for its padding to make up for, or when
 * `most` frames or `room` are used up. Up to 191 bytes behind may be changed.
 *
 * @param size of the datagrams, from those before; 0 to take it from the first frame
 * @param padding of the first frame, 0 to 31
 * @param whole what a datagram should not exceed because of its padding
 * @param flag of all of them
 */
export function seal(
  at: usize,
  end: usize,
  out: usize,
  room: i32,
  most: i32,
  size: i32,
  padding: i32,
  whole: i32,
  flag: u32,
): i32 {
  const start = out;
  sealedFrames = 0;
  refusedFrames = 0;
  segmentBytes = size;
  while (at + SIZE_BYTES <= end && sealedFrames < most) {
    const frameBytes = <i32>bswap<u32>(load<u32>(at));
    const frame = at + SIZE_BYTES;
    if (<u32>frameBytes > <u32>(end - frame)) break;
    if (frameBytes == 0 || frameBytes > MAX_PAYLOAD) {
      refusedFrames += 1;
      at = frame + <usize>frameBytes;
      continue;
    }
    const bare = OVERHEAD + frameBytes;
    if (segmentBytes == 0) segmentBytes = bare + min<i32>(padding, max<i32>(0, whole - bare));
    const missing = segmentBytes - bare;
    if (missing < 0 || missing > MAX_PADDING) break;
    if (<i32>(out - start) + segmentBytes > room) break;
    sealOne(out, frame, frameBytes, segmentBytes, flag);
    sealedFrames += 1;
    out += <usize>segmentBytes;
    at = frame + <usize>frameBytes;
  }
  sealedTo = at;
  return <i32>(out - start);
}

/** Seals a keep-alive, which has no payload, into a datagram of `bytes`, of which padding is what it does not need. */
export function sealKeepalive(out: usize, bytes: i32): void {
  sealOne(out, out, 0, max<i32>(bytes, OVERHEAD), 0);
}

function sealOne(out: usize, payload: usize, size: i32, bytes: i32, flag: u32): void {
  copy(out, envelope, <i32>(NONCE_BYTES + HEADER_BYTES));
  const text = out + NONCE_BYTES;
  store<u16>(text + HEADER_SIZE, bswap<u16>(<u16>size));
  store<u8>(text + HEADER_FLAG, <u8>flag);
  copy(text + HEADER_BYTES, payload, size);
  const textBytes = bytes - <i32>(NONCE_BYTES + TAG_BYTES);
  const used = <i32>HEADER_BYTES + size;
  memory.fill(text + <usize>used, 0, <usize>(textBytes - used));
  encrypt(out, text, textBytes);
  // The next nonce is the first of what was sealed, so each datagram looks like nothing but noise.
  store<u64>(envelope, load<u64>(text));
  store<u32>(envelope, load<u32>(text, 8), 8);
}

/**
 * Opens a datagram for the receiver `cookie`: its payload goes to `out` + 4 and the size of that to `out`, as in a
 * run, and its header to the place of `init`. Gives the size, 0 for a keep-alive, or why it is nobody's business.
 * Up to 214 bytes behind the payload may be changed, nothing before `out` is.
 */
export function open(at: usize, bytes: i32, out: usize, cookie: u32): i32 {
  const textBytes = bytes - <i32>(NONCE_BYTES + TAG_BYTES);
  if (textBytes < <i32>HEADER_BYTES) return TOO_SHORT;
  if (bytes > MAX_DATAGRAM) return TOO_LONG;
  const from = at + NONCE_BYTES;
  if (!verify(at, from, textBytes)) return WRONG_TAG;
  // The payload shall end up behind its size, so the header goes over the end of the frame before, for a moment.
  const to = out + SIZE_BYTES - HEADER_BYTES;
  const before = load<u64>(to);
  const before2 = load<u64>(to, 8);
  const before3 = load<u32>(to, 16);
  decrypt(to, from, textBytes);
  copy(opened, to, 32);
  store<u64>(to, before);
  store<u64>(to, before2, 8);
  store<u32>(to, before3, 16);
  if (bswap<u32>(load<u32>(opened + HEADER_COOKIE)) != cookie) return WRONG_COOKIE;
  const size = <i32>bswap<u16>(load<u16>(opened + HEADER_SIZE));
  if (<i32>HEADER_BYTES + size > textBytes || size > MAX_PAYLOAD) return WRONG_SIZE;
  store<u32>(out, bswap<u32>(<u32>size));
  return size;
}

/** Copies in steps of 16 bytes where there are vectors, so up to 15 more: quicker than the instruction for it. */
function copy(to: usize, from: usize, bytes: i32): void {
  if (ASC_FEATURE_SIMD) {
    for (let n: usize = 0; n < <usize>bytes; n += 16) v128.store(to + n, v128.load(from + n));
  } else {
    memory.copy(to, from, bytes);
  }
}
