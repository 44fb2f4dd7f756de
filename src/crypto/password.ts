import { timingSafeEqual } from "node:crypto";
import { sha0 } from "./sha0.ts";

/** Length of a hashed password and of a login proof. */
export const PASSWORD_HASH_BYTES = 20;

/**
 * The hash that a user's password is known by: SHA-0 of password and upper-case name (protocol.md 19.1). It
 * is enough to log in with, so it is as secret as the password.
 */
export function hashUserPassword(user: string, password: Uint8Array): Uint8Array {
  return sha0(concat(password, new TextEncoder().encode(upperCaseAscii(user))));
}

/** The hash of a server's or hub's administrator password: no name in it (protocol.md 19.2). */
export function hashAdminPassword(password: Uint8Array): Uint8Array {
  return sha0(password);
}

/** The proof that travels in a login: SHA-0 of hash and the random bytes of the hello (protocol.md 7, 19.1). */
export function securePassword(hash: Uint8Array, random: Uint8Array): Uint8Array {
  return sha0(concat(hash, random));
}

/** Compares without telling by its time where two values differ; values of unlike length are unequal. */
export function equalSecrets(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Only the 26 letters: `toUpperCase` would also change letters that the peer leaves alone. */
function upperCaseAscii(text: string): string {
  return text.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
