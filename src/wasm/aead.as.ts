// ChaCha20-Poly1305 without additional data (RFC 8439 2.8), of bytes in packet memory.
import {
  addKeyStream,
  setNonce,
  setState,
  STATE_BYTES,
  STEP_BLOCKS,
  STEP_BYTES,
} from "./chacha20.as";
import { begin, finish, takeBlocks } from "./poly1305.as";

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
  addText(at, at, bytes);
  writeTag(at, bytes, at + <usize>bytes);
}

/** True if the tag that lies behind `bytes` at `from` is theirs. Then `decrypt` may follow. */
export function verify(nonce: usize, from: usize, bytes: i32): bool {
  makeFirst(nonce);
  writeTag(from, bytes, scratch + TAG);
  const given = from + <usize>bytes;
  const low = load<u64>(scratch + TAG) ^ load<u64>(given);
  const high = load<u64>(scratch + TAG, 8) ^ load<u64>(given, 8);
  return (low | high) == 0;
}

/** Decrypts what `verify` has just found good to another place, where as much may be changed behind as by `encrypt`. */
export function decrypt(to: usize, from: usize, bytes: i32): void {
  addText(to, from, bytes);
}

function makeFirst(nonce: usize): void {
  setNonce(nonce);
  memory.fill(scratch + FIRST, 0, STEP_BYTES);
  addKeyStream(scratch + FIRST, scratch + FIRST, <i32>STEP_BYTES, 0);
}

function addText(to: usize, from: usize, bytes: i32): void {
  if (ASC_FEATURE_SIMD) {
    const key = scratch + FIRST + FIRST_TEXT;
    const end = min<i32>(bytes, FIRST_TEXT_BYTES);
    for (let n: usize = 0; n < <usize>end; n += 16) {
      v128.store(to + n, v128.xor(v128.load(from + n), v128.load(key + n)));
    }
  }
  const done = <usize>FIRST_TEXT_BYTES;
  addKeyStream(to + done, from + done, bytes - FIRST_TEXT_BYTES, STEP_BLOCKS);
}

function writeTag(at: usize, bytes: i32, tag: usize): void {
  begin(scratch + FIRST);
  takeBlocks(at, bytes);
  const block = scratch + BLOCK;
  const rest = bytes & 15;
  if (rest > 0) {
    store<u64>(block, 0);
    store<u64>(block, 0, 8);
    memory.copy(block, at + <usize>(bytes - rest), rest);
    takeBlocks(block, 16);
  }
  store<u64>(block, 0);
  store<u64>(block, <u64>bytes, 8);
  takeBlocks(block, 16);
  finish(tag);
}
