import type { Certificate } from "../crypto/certificate.ts";
import type { Account } from "./account.ts";
import type { Authority, OutsideGrants } from "./authority.ts";
import type { TrustStore } from "./trust.ts";

// What a login is judged by, and what comes of it.

/** Who may enter one hub, and whom else it asks. */
export interface Directory {
  readonly hubName: string;
  /** By lower-case name. */
  readonly accounts: ReadonlyMap<string, Account>;
  readonly hashedLogin: boolean;
  readonly trust: TrustStore;
  /** Undefined where nobody is configured to be asked. */
  authority(kind: "radius" | "nt"): Authority | undefined;
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

/** One try to log in. */
export interface Attempt {
  /** As the peer named them. */
  readonly hub: string;
  readonly user: string;
  readonly presented: Presented;
  /** Where the peer connects from, as text. */
  readonly address: string;
  /** For the log of those outside. */
  readonly sessionInfo: string;
}

/** Somebody whose proof holds. */
export interface Admitted {
  readonly kind: "admitted";
  /** What sessions, logs and lists call him: the name that was typed where the account is that of everybody. */
  readonly name: string;
  readonly account: Account;
  /** The certificate that proved it. */
  readonly certificate?: Certificate;
  /** What an outside authority gave along. */
  readonly grants?: OutsideGrants;
}

/**
 * `busy`, `held` and `unavailable` were not looked at, and whoever has `gone` waits for no answer. What is a mark against
 * the source is said in `authenticate()`.
 */
export interface Refused {
  readonly kind: "refused";
  readonly reason: "credentials" | "held" | "busy" | "unavailable" | "gone";
  /** For the log. */
  readonly detail?: string;
}

export type Verdict = Admitted | Refused;

/** A proof that holds, with what it brought along; or why there is none. */
export type Proven =
  | { readonly kind: "proven"; readonly certificate?: Certificate; readonly grants?: OutsideGrants }
  | Refused;

export const WRONG: Refused = { kind: "refused", reason: "credentials" };
