/**
 * A secret after its reference was followed. `sha0` is the verifier of protocol.md 19: SHA-0 over the password and the
 * user name in upper case, 20 bytes.
 */
export type ResolvedSecret =
  | { readonly kind: "plain"; readonly bytes: Uint8Array }
  | { readonly kind: "sha0"; readonly hash: Uint8Array };
