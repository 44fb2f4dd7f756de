// ChaCha20-Poly1305 without additional data (RFC 8439 2.8), of bytes in packet memory.
import {
  addStep,
  HASHED_MOST,
  setNonce,
  setState,
  STATE_BYTES,
  STEP_BLOCKS,
  STEP_BYTES,
} from "./chacha20.as";
import { begin, finish, takeBlock, takeBlocks } from "./poly1305.as";

export const NONCE_BYTES: usize = 12;
export const TAG_BYTES: usize = 16;

/* Scratch memory behind the state: the first step of key stream, a block to fill up, a tag. */
const FIRST: usize = STATE_BYTES;
const BLOCK: usize = FIRST + 192;
const TAG: usize = BLOCK + 16;
export const AEAD_BYTES: usize = TAG + TAG_BYTES;

/** The first block is for the one-time key; what the first step makes beyond it is key stream of the text. */
const FIRST_TEXT: usize = 64;
const FIRST_TEXT_BYTES: i32 = <i32>STEP_BYTES - 64;

let scratch: usize = 0;

export function setScratch(at: usize): void {
  scratch = at;
  setState(at);
}

/**
 * Encrypts `bytes` where they lie and writes the tag behind them. What lies behind that may be changed, up to a
 * step of key stream.
 */
export function encrypt(nonce: usize, at: usize, bytes: i32): void {
  makeFirst(nonce);
  addFirst(at, at, bytes);
  // The tag is over what has become of the text, so its blocks come one step later.
  let hashed = 0;
  let counter = STEP_BLOCKS;
  for (let done = FIRST_TEXT_BYTES; done < bytes; done += <i32>STEP_BYTES) {
    const blocks = (done - hashed) >> 4;
    const step = at + <usize>done;
    addStep(step, step, counter, at + <usize>hashed, blocks);
    hashed += blocks << 4;
    counter += STEP_BLOCKS;
  }
  endTag(at, hashed, bytes, at + <usize>bytes);
}

/**
 * Decrypts `bytes` to another place, where as much may be changed behind as by `encrypt`. True if the tag that lies
 * behind them is theirs; what was decrypted is to be forgotten otherwise.
 */
export function decrypt(nonce: usize, to: usize, from: usize, bytes: i32): bool {
  makeFirst(nonce);
  addFirst(to, from, bytes);
  let hashed = 0;
  let counter = STEP_BLOCKS;
  for (let done = FIRST_TEXT_BYTES; done < bytes; done += <i32>STEP_BYTES) {
    const blocks = min<i32>(HASHED_MOST, (bytes - hashed) >> 4);
    addStep(to + <usize>done, from + <usize>done, counter, from + <usize>hashed, blocks);
    hashed += blocks << 4;
    counter += STEP_BLOCKS;
  }
  endTag(from, hashed, bytes, scratch + TAG);
  const given = from + <usize>bytes;
  const low = load<u64>(scratch + TAG) ^ load<u64>(given);
  const high = load<u64>(scratch + TAG, 8) ^ load<u64>(given, 8);
  return (low | high) == 0;
}

function makeFirst(nonce: usize): void {
  setNonce(nonce);
  memory.fill(scratch + FIRST, 0, STEP_BYTES);
  addStep(scratch + FIRST, scratch + FIRST, 0, 0, 0);
  begin(scratch + FIRST);
}

/** What the first step made beyond the one-time key. */
function addFirst(to: usize, from: usize, bytes: i32): void {
  if (ASC_FEATURE_SIMD) {
    const key = scratch + FIRST + FIRST_TEXT;
    const end = min<i32>(bytes, FIRST_TEXT_BYTES);
    for (let n: usize = 0; n < <usize>end; n += 16) {
      v128.store(to + n, v128.xor(v128.load(from + n), v128.load(key + n)));
    }
  }
}

/** Takes what is left of the text from `hashed` on, filled up to a block, and the lengths (RFC 8439 2.8). */
function endTag(at: usize, hashed: i32, bytes: i32, tag: usize): void {
  const left = at + <usize>hashed;
  takeBlocks(left, bytes - hashed);
  const block = scratch + BLOCK;
  const rest = bytes & 15;
  if (rest > 0) {
    store<u64>(block, 0);
    store<u64>(block, 0, 8);
    memory.copy(block, at + <usize>(bytes - rest), rest);
    takeBlock(block);
  }
  store<u64>(block, 0);
  store<u64>(block, <u64>bytes, 8);
  takeBlock(block);
  finish(tag);
}
