import { EXIT, ExitError } from "../base/errors.ts";
import type { ResolvedAccount } from "../client/account.ts";
import { knownCredential } from "../session/known-credential.ts";
import type { Credential } from "../session/proof.ts";
import type { CommandEnvironment } from "./environment.ts";
import { readPassword } from "./password.ts";

/** Where the code of a second factor comes from: the person at the terminal, or a file. */
export interface CodeSource {
  /** Undefined: asked for. */
  readonly file: string | undefined;
}

/**
 * What proves who we are, for one login after the other; a password that the account does not keep is asked for
 * once, a code of a second factor each time, because it is good for one login only.
 * @throws ExitError 65 where nobody can be asked, or for a certificate that cannot be used; 66 for files that are not
 * there; 64 for a code without `plain`
 */
export async function openCredential(
  { account, name }: ResolvedAccount,
  environment: CommandEnvironment,
  code?: CodeSource,
): Promise<(signal: AbortSignal) => Promise<Credential>> {
  const { credential } = account;
  if (code !== undefined && (credential.kind !== "password" || !credential.plain)) {
    const text =
      "A code is sent behind the password: --totp needs --plain, and an account with a password";
    throw new ExitError(EXIT.usage, text);
  }
  const known = knownCredential(credential);
  if (known !== undefined && known.kind !== "plain-password") return always(known);
  const question = `Password of ${account.user} on ${account.host} (${name}): `;
  const password = known?.password ?? (await readPassword(undefined, question, environment));
  const isPlain = credential.kind === "password" && credential.plain;
  if (!isPlain) return always({ kind: "password", password });
  if (code === undefined) return always({ kind: "plain-password", password });
  const prompt = `Code for ${account.user} (${name}): `;
  return async (signal) => ({
    kind: "plain-password",
    password: Buffer.concat([password, await readPassword(code.file, prompt, environment, signal)]),
  });
}

function always(credential: Credential): () => Promise<Credential> {
  return () => Promise.resolve(credential);
}
