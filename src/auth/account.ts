import { WIRE_ERROR } from "../base/errors.ts";
import type { Policy } from "../config/policy.ts";
import type { UserCredential } from "../config/server-config.ts";

/** What a presented proof is held against. */
export type Verifier =
  | { readonly kind: "anonymous" }
  /** SHA-0 of password and user name, 20 bytes (protocol.md 19.1). */
  | { readonly kind: "password"; readonly hash: Uint8Array }
  /** Of a plain password only, in the usual text form. */
  | { readonly kind: "argon2id"; readonly encoded: string }
  /** Whatever needs no more than the configuration says. */
  | Exclude<UserCredential, { readonly kind: "anonymous" | "password" | "generated" }>;

/** A user as authentication and admission need it. */
export interface Account {
  /** As configured; look-ups ignore case. */
  readonly name: string;
  readonly isEnabled: boolean;
  /** Wall-clock milliseconds. */
  readonly expires: number | undefined;
  readonly group: string | undefined;
  readonly policy: Policy;
  readonly verifier: Verifier;
  /** Secret of the codes that go with the password. */
  readonly totp: Uint8Array | undefined;
}

/** Error number when the account itself may not enter now, whoever he is (hub.md 5.1 steps 5 and 9). */
export function barAccount(account: Account, wall: number): number | undefined {
  const expired = account.expires !== undefined && account.expires <= wall;
  return account.isEnabled && !expired && account.policy.access
    ? undefined
    : WIRE_ERROR.ACCESS_DENIED;
}
