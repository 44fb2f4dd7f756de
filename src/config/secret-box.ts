import { createCipheriv, createDecipheriv } from "node:crypto";
import type { Random } from "../base/random.ts";

/** Bytes of the key of AES-256. */
export const BOX_KEY_BYTES = 32;
/** NIST SP 800-38D 8.2.2: random nonces of 96 bits, far below 2^32 of them for one key. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Encrypts for the owner of the key: nonce, tag, ciphertext. `label` is not stored, but what was sealed under one
 * label does not open under another.
 */
export function seal(
  key: Uint8Array,
  label: string,
  plain: Uint8Array,
  random: Random,
): Uint8Array {
  const nonce = random.bytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(new TextEncoder().encode(label));
  const body = [cipher.update(plain), cipher.final()];
  return concat([nonce, cipher.getAuthTag(), ...body]);
}

/** Undefined where key or label are others, or a bit was changed. */
export function tryUnseal(key: Uint8Array, label: string, box: Uint8Array): Uint8Array | undefined {
  if (box.length < NONCE_BYTES + TAG_BYTES) return undefined;
  const nonce = box.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(new TextEncoder().encode(label));
  decipher.setAuthTag(box.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
  const body = decipher.update(box.subarray(NONCE_BYTES + TAG_BYTES));
  try {
    return concat([body, decipher.final()]);
  } catch {
    // The one way in which the runtime tells that the tag does not fit.
    return undefined;
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
