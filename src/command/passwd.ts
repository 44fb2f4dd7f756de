import { EXIT, ExitError, type ExitCode } from "../base/errors.ts";
import { hashArgon2 } from "../crypto/argon2.ts";
import { equalSecrets, hashUserPassword } from "../crypto/password.ts";
import type { PASSWD_FLAGS } from "./catalog.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { parseName } from "./flag.ts";
import { readPassword } from "./password.ts";

/** `vpn passwd USER`: prints a verifier of a password for `password = "..."` of that user (config-proposal.md 2). */
export async function passwd(
  environment: CommandEnvironment,
  flags: FlagValues<typeof PASSWD_FLAGS>,
  user = "",
): Promise<ExitCode> {
  const name = checkedName(user);
  const password = await readPassword(flags.passwordFile, `Password for ${name}: `, environment);
  if (flags.passwordFile === undefined) {
    const again = await readPassword(undefined, "The same again: ", environment);
    if (!equalSecrets(password, again)) throw new ExitError(EXIT.data, "The two passwords differ");
  }
  const hash =
    flags.hash === "argon2id"
      ? `hash:argon2id:${await hashArgon2(password)}`
      : `hash:sha0:${hashUserPassword(name, password).toBase64()}`;
  password.fill(0);
  environment.stdout(`${flags.json ? JSON.stringify({ user: name, hash }) : hash}\n`);
  return EXIT.ok;
}

function checkedName(user: string): string {
  try {
    return parseName(user);
  } catch (error) {
    throw new ExitError(EXIT.usage, `Cannot use the user name: ${(error as Error).message}`);
  }
}
