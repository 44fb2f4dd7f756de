import { AccountBook } from "../client/account-book.ts";
import { objectPath } from "../config/state-objects.ts";
import { openWritableSetup } from "./client-setup.ts";
import type { CommandEnvironment } from "./environment.ts";

/**
 * Takes away the password that we keep of an account whose hub does not want any kept (hub.md 15.4); gives what to
 * tell its user, undefined where there is none. One that a file holds is its owner's to take away.
 */
export function forgetKeptPassword(
  environment: CommandEnvironment,
  flags: { readonly config: string | undefined; readonly stateDir: string | undefined },
  name: string,
): string | undefined {
  const setup = openWritableSetup(environment, flags);
  try {
    const account = setup.config.accounts.find((entry) => entry.name === name);
    if (account?.credential.kind !== "password") return undefined;
    if (account.credential.secret === undefined) return undefined;
    if (setup.store.secret(objectPath("account", name, "password")) === undefined) {
      return "The hub wants no password to be kept: take it out of client.toml";
    }
    new AccountBook({ ...setup, clock: environment.clock }).forgetPassword(name);
    return "The hub wants no password to be kept: it is forgotten, and asked for at the next login";
  } finally {
    setup.close();
  }
}
