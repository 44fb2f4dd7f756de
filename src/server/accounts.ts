import type { Account, Verifier } from "../auth/account.ts";
import type { GeneratedVerifier } from "../config/generated-password.ts";
import type { UserSecret } from "../config/secret.ts";
import { effectivePolicy, type HubConfig, type UserConfig } from "../config/server-config.ts";
import { hashUserPassword } from "../crypto/password.ts";

/** Gives the verifier that state.db keeps for a user without a configured way of login. */
export type GeneratedVerifierOf = (of: {
  readonly hub: string;
  readonly user: string;
  readonly hashedLogin: boolean;
}) => GeneratedVerifier;

/** The users of a hub as they are judged, by lower-case name. */
export function accountsOf(
  config: HubConfig,
  generated: GeneratedVerifierOf,
): ReadonlyMap<string, Account> {
  return new Map(
    config.users.map((user) => [
      user.name.toLowerCase(),
      {
        name: user.name,
        isEnabled: user.enable,
        expires: user.expires,
        group: user.group,
        policy: effectivePolicy(config, user),
        verifier: verifierOf(config, user, generated),
        totp: user.totp,
      },
    ]),
  );
}

function verifierOf(hub: HubConfig, user: UserConfig, generated: GeneratedVerifierOf): Verifier {
  const { credential } = user;
  switch (credential.kind) {
    case "generated": {
      const { hashedLogin } = hub;
      return secretVerifier(user, generated({ hub: hub.name, user: user.name, hashedLogin }));
    }
    case "password":
      return secretVerifier(user, credential.secret);
    default:
      return credential;
  }
}

function secretVerifier(user: UserConfig, secret: UserSecret): Verifier {
  switch (secret.kind) {
    case "argon2id":
      return secret;
    case "sha0":
      return { kind: "password", hash: secret.hash };
    case "plain":
      return { kind: "password", hash: hashUserPassword(user.name, secret.bytes) };
  }
}

/** False where who has proven himself to the one has not to the other. */
export function isSameCredential(a: Account, b: Account): boolean {
  return Bun.deepEquals(a.verifier, b.verifier, true) && Bun.deepEquals(a.totp, b.totp, true);
}
