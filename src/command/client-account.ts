import { EXIT, ExitError, type ExitCode } from "../base/errors.ts";
import { accountOfFlags, withFlags, type AccountFlags } from "../client/account.ts";
import type { AccountBook } from "../client/account-book.ts";
import type { AccountConfig } from "../config/client-config.ts";
import { readAccountFlags } from "./account-flags.ts";
import { changeBook } from "./client-change.ts";
import type { CLIENT_FLAGS, STORE_FLAGS } from "./client-flags.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { readPassword } from "./password.ts";

type ClientFlags = FlagValues<typeof CLIENT_FLAGS>;
type StoreFlags = FlagValues<typeof STORE_FLAGS>;

/** `vpn client account add NAME --server ... --hub ... --user ...`. */
export async function add(
  environment: CommandEnvironment,
  flags: StoreFlags,
  name = "",
): Promise<ExitCode> {
  const wanted = await readStoreFlags(environment, flags, name);
  const base = { ...accountOfFlags(wanted), name };
  return changeBook(environment, flags, (book) => {
    book.addAccount(withKnownNic(book, withFlags(base, wanted)));
    return { text: `Added the account ${name}`, json: { added: name } };
  });
}

/** `vpn client account set NAME ...`: changes what the flags name, of an account that is not connected. */
export async function set(
  environment: CommandEnvironment,
  flags: StoreFlags,
  name = "",
): Promise<ExitCode> {
  const wanted = await readStoreFlags(environment, flags, name);
  const change = (book: AccountBook) => {
    const before = book.account(name);
    const next = forgetful(withKnownNic(book, withFlags(before, wanted)), flags.forgetPassword);
    if (hasPassword(before) && !hasPassword(next) && !flags.forgetPassword) {
      environment.stderr(
        "vpn: The kept password is of no use any more: it is asked for from now on\n",
      );
    }
    book.changeAccount(next);
    return { text: `Changed the account ${before.name}`, json: { changed: before.name } };
  };
  return changeBook(environment, flags, change, name);
}

/** `vpn client account remove NAME`, of an account that is not connected. */
export function remove(
  environment: CommandEnvironment,
  flags: ClientFlags,
  name = "",
): Promise<ExitCode> {
  const change = (book: AccountBook) => {
    const known = book.removeAccount(name);
    return { text: `Removed the account ${known}`, json: { removed: known } };
  };
  return changeBook(environment, flags, change, name);
}

/** `vpn client account rename NAME NEW`, of an account that was made by a command and is not connected. */
export function rename(
  environment: CommandEnvironment,
  flags: ClientFlags,
  name = "",
  fresh = "",
): Promise<ExitCode> {
  const change = (book: AccountBook) => {
    const known = book.account(name).name;
    book.renameAccount(known, fresh);
    const json = { renamed: known, name: fresh };
    return { text: `The account ${known} is called ${fresh} now`, json };
  };
  return changeBook(environment, flags, change, name);
}

/** `vpn client account reset NAME`: back to what client.toml says. */
export function reset(
  environment: CommandEnvironment,
  flags: ClientFlags,
  name = "",
): Promise<ExitCode> {
  const change = (book: AccountBook) => {
    book.reset("account", name);
    return { text: `The account ${name} is as client.toml has it`, json: { reset: name } };
  };
  return changeBook(environment, flags, change, name);
}

async function readStoreFlags(
  environment: CommandEnvironment,
  flags: StoreFlags,
  name: string,
): Promise<AccountFlags> {
  const { askPassword, forgetPassword, passwordFile, autostart, nic } = flags;
  const ways = [
    askPassword ? "--ask-password" : "",
    forgetPassword ? "--forget-password" : "",
    passwordFile === undefined ? "" : "--password-file",
  ].filter((way) => way !== "");
  if (ways.length > 1) throw new ExitError(EXIT.usage, `${ways.join(" and ")} exclude each other`);
  const asked = askPassword
    ? await readPassword(undefined, `Password of the account ${name}: `, environment)
    : undefined;
  return { ...(await readAccountFlags(flags, environment, asked)), autostart, nic };
}

/** The NIC as it is spelt where it stands. @throws ExitError 64 where there is none of this name */
function withKnownNic(book: AccountBook, account: AccountConfig): AccountConfig {
  return account.nic === undefined ? account : { ...account, nic: book.nic(account.nic).name };
}

function forgetful(account: AccountConfig, isAsked: boolean): AccountConfig {
  const { credential } = account;
  if (!isAsked || credential.kind !== "password") return account;
  return { ...account, credential: { ...credential, secret: undefined } };
}

function hasPassword({ credential }: AccountConfig): boolean {
  return credential.kind === "password" && credential.secret !== undefined;
}
