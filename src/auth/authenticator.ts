import { WIRE_ERROR } from "../base/errors.ts";
import type { Policy } from "../config/policy.ts";
import { equalSecrets, hashUserPassword, securePassword } from "../crypto/password.ts";

/** What a presented proof is held against. */
export type Verifier =
  | { readonly kind: "anonymous" }
  /** SHA-0 of password and user name, 20 bytes (protocol.md 19.1). */
  | { readonly kind: "password"; readonly hash: Uint8Array };

/** A user as authentication and admission need it. */
export interface Account {
  /** As configured; look-ups ignore case. */
  readonly name: string;
  readonly isEnabled: boolean;
  /** Wall-clock milliseconds. */
  readonly expires: number | undefined;
  readonly policy: Policy;
  readonly verifier: Verifier;
}

/** What somebody presents, whichever door he stands at. */
export type Presented =
  | { readonly kind: "anonymous" }
  | {
      readonly kind: "hashed-password";
      readonly secure: Uint8Array;
      readonly challenge: Uint8Array;
    }
  | { readonly kind: "plain-password"; readonly password: Uint8Array }
  | {
      readonly kind: "certificate";
      readonly der: Uint8Array;
      readonly signature: Uint8Array;
      readonly challenge: Uint8Array;
    };

/** Stands in for users that do not exist, so that they take as long as those that do. */
const NOBODY_HASH = crypto.getRandomValues(new Uint8Array(20));

/**
 * The one judge of all doors: the account whose proof holds, or undefined for anything else. Unknown hub
 * (`accounts` undefined), unknown user and wrong proof do the same work (robustness.md HS-03).
 */
export function authenticate(
  accounts: ReadonlyMap<string, Account> | undefined,
  user: string,
  presented: Presented,
  hashedLogin: boolean,
): Account | undefined {
  const account = accounts?.get(user.toLowerCase());
  const verifier = account?.verifier;
  const proven = provesPassword(verifier, user, presented, hashedLogin);
  // A user without a password is let in whatever is presented (protocol.md 7.2).
  return account !== undefined && (verifier!.kind === "anonymous" || proven) ? account : undefined;
}

function provesPassword(
  verifier: Verifier | undefined,
  user: string,
  presented: Presented,
  hashedLogin: boolean,
): boolean {
  const known = verifier?.kind === "password" ? verifier.hash : undefined;
  const hash = known ?? NOBODY_HASH;
  switch (presented.kind) {
    case "anonymous":
    case "certificate":
      return false;
    case "hashed-password": {
      const equal = equalSecrets(presented.secure, securePassword(hash, presented.challenge));
      return equal && known !== undefined && hashedLogin;
    }
    case "plain-password": {
      const equal = equalSecrets(hashUserPassword(user, presented.password), hash);
      return equal && known !== undefined;
    }
  }
}

/** Error number when the account itself may not enter now, whoever he is (hub.md 5.1 steps 5 and 9). */
export function barAccount(account: Account, wall: number): number | undefined {
  const expired = account.expires !== undefined && account.expires <= wall;
  return account.isEnabled && !expired && account.policy.access
    ? undefined
    : WIRE_ERROR.ACCESS_DENIED;
}
