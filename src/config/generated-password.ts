import type { Random } from "../base/random.ts";
import { hashArgon2Sync } from "../crypto/argon2.ts";
import { hashUserPassword, PASSWORD_HASH_BYTES } from "../crypto/password.ts";
import type { UserSecret } from "./secret.ts";
import { joinKeys } from "./shape.ts";
import type { SecretStore } from "./state-store.ts";

/** 32 letters that are told apart when read aloud or copied by hand: no i, l, o, u. */
const LETTERS = "0123456789abcdefghjkmnpqrstvwxyz";
const GROUPS = 5;
const GROUP_LETTERS = 5;

/** `k7m2q-...`: 25 letters of 5 bits, 125 bits in all, in five groups. */
export function generatePassword(random: Random): string {
  const bytes = random.bytes(GROUPS * GROUP_LETTERS);
  // 256 is a multiple of 32, so the low bits of a byte are as even as the byte.
  const letters = Array.from(bytes, (byte) => LETTERS[byte & 31]!);
  return Array.from({ length: GROUPS }, (_, group) =>
    letters.slice(group * GROUP_LETTERS, (group + 1) * GROUP_LETTERS).join(""),
  ).join("-");
}

/** A password that was just made. It is told once and kept nowhere. */
export interface MadePassword {
  readonly hub: string;
  readonly user: string;
  readonly password: string;
}

/** What state.db keeps of a password: enough to verify it, never itself. */
export type GeneratedVerifier = Exclude<UserSecret, { readonly kind: "plain" }>;

/**
 * The verifier of a user for whom the file names no way of login: the one of state.db, or that of a password which is
 * made, told to `announce` and kept from then on (config-proposal.md 2). Where nobody logs in by hash, argon2id alone is
 * kept.
 * @throws VpnError `state_write` if it cannot be kept
 */
export function generatedVerifier(
  store: SecretStore,
  deps: { readonly random: Random; readonly announce: (made: MadePassword) => void },
  of: { readonly hub: string; readonly user: string; readonly hashedLogin: boolean },
): GeneratedVerifier {
  const { hub, user } = of;
  const path = joinKeys("hub", hub.toLowerCase(), "user", user.toLowerCase(), "password");
  const known = store.secret(path);
  if (known !== undefined) return parseVerifier(known);
  const password = generatePassword(deps.random);
  const bytes = new TextEncoder().encode(password);
  const kept = of.hashedLogin
    ? hashUserPassword(user, bytes)
    : new TextEncoder().encode(hashArgon2Sync(bytes));
  // Told before it is kept: after a crash in between another one is made, where else nobody would know this one.
  deps.announce({ hub, user, password });
  store.setSecret(path, kept);
  return parseVerifier(kept);
}

function parseVerifier(kept: Uint8Array): GeneratedVerifier {
  return kept.length === PASSWORD_HASH_BYTES
    ? { kind: "sha0", hash: kept }
    : { kind: "argon2id", encoded: new TextDecoder().decode(kept) };
}
