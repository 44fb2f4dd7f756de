import { sign } from "node:crypto";
import { VpnError } from "../base/errors.ts";
import { hashUserPassword, securePassword } from "../crypto/password.ts";
import type { OutgoingProof } from "./login.ts";

/** What a user has to show at login. */
export type Credential =
  | { readonly kind: "anonymous" }
  | { readonly kind: "password"; readonly password: Uint8Array }
  /** SHA-0 of password and user name (protocol.md 19.1). */
  | { readonly kind: "password-hash"; readonly hash: Uint8Array }
  /** Sent as it is, inside TLS: for servers that ask another authority. */
  | { readonly kind: "plain-password"; readonly password: Uint8Array }
  /** DER of an X.509 certificate with an RSA key, and that key in PEM. */
  | { readonly kind: "certificate"; readonly certificate: Uint8Array; readonly key: string };

/**
 * Answers a server's challenge.
 * @throws VpnError `bad_key` where the key of the certificate cannot sign
 */
export function prove(credential: Credential, user: string, challenge: Uint8Array): OutgoingProof {
  switch (credential.kind) {
    case "anonymous":
      return { kind: "anonymous" };
    case "plain-password":
      return { kind: "plain-password", password: credential.password };
    case "password":
      return hashed(hashUserPassword(user, credential.password), challenge);
    case "password-hash":
      return hashed(credential.hash, challenge);
    case "certificate":
      return {
        kind: "certificate",
        der: credential.certificate,
        signature: signed(credential.key, challenge),
      };
  }
}

function hashed(hash: Uint8Array, challenge: Uint8Array): OutgoingProof {
  return { kind: "hashed-password", secure: securePassword(hash, challenge) };
}

/** SHA-1 is what the protocol has (7.3): the challenge is fresh, so no collision made beforehand is of use. */
function signed(key: string, challenge: Uint8Array): Uint8Array {
  try {
    return new Uint8Array(sign("sha1", challenge, key));
  } catch (error) {
    throw new VpnError("bad_key", "The key of the certificate cannot sign: it must be RSA", {
      cause: error,
    });
  }
}
