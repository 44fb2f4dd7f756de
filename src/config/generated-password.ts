import type { Random } from "../base/random.ts";
import { hashUserPassword } from "../crypto/password.ts";
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

/**
 * The verifier of a user for whom the file names no way of login: the one of state.db, or that of a password which is
 * made, told to `announce` and kept from then on (config-proposal.md 2).
 * @throws VpnError `state_write` if it cannot be kept
 */
export function generatedHash(
  store: SecretStore,
  deps: { readonly random: Random; readonly announce: (made: MadePassword) => void },
  hub: string,
  user: string,
): Uint8Array {
  const path = joinKeys("hub", hub.toLowerCase(), "user", user.toLowerCase(), "password");
  const known = store.secret(path);
  if (known !== undefined) return known;
  const password = generatePassword(deps.random);
  const hash = hashUserPassword(user, new TextEncoder().encode(password));
  // Told before it is kept: after a crash in between another one is made, where else nobody would know this one.
  deps.announce({ hub, user, password });
  store.setSecret(path, hash);
  return hash;
}
