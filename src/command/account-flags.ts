import { resolve } from "node:path";
import { EXIT, ExitError } from "../base/errors.ts";
import type { AccountFlags, LoginFlags } from "../client/account.ts";
import type { ProxySetting } from "../config/client-config.ts";
import type { ResolvedSecret } from "../config/secret.ts";
import type { ACCOUNT_FLAGS } from "./client-flags.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { readPassword } from "./password.ts";

type Flags = FlagValues<typeof ACCOUNT_FLAGS>;

/**
 * What the flags say of an account, with the files that they name read. `password` is one that was asked for.
 * @throws ExitError 64 for flags that exclude each other, 65 and 66 for files that cannot be used
 */
export async function readAccountFlags(
  flags: Flags,
  environment: CommandEnvironment,
  password?: Uint8Array,
): Promise<AccountFlags> {
  if (flags.insecure && flags.verify !== undefined) throw exclude("--insecure", "--verify");
  const { server, hub, user, mode, family, retry, defaultRoute, routes, dns, killSwitch } = flags;
  return {
    server,
    hub,
    user,
    mode,
    family,
    retry,
    defaultRoute,
    routes,
    dns,
    killSwitch,
    login: await readLogin(flags, environment, password),
    verify: flags.insecure ? { kind: "off" } : flags.verify,
    wishes: { ...flags, intervalMs: flags.interval, lifetimeMs: flags.lifetime },
    proxy: await readProxy(flags, environment),
    retryIntervalMs: flags.retryInterval,
  };
}

async function readLogin(
  flags: Flags,
  environment: CommandEnvironment,
  asked: Uint8Array | undefined,
): Promise<LoginFlags | undefined> {
  const { anonymous, plain, passwordFile, cert, key } = flags;
  const hasPassword = plain === true || passwordFile !== undefined || asked !== undefined;
  const ways = [
    anonymous ? "--anonymous" : "",
    hasPassword ? "a password" : "",
    cert !== undefined || key !== undefined ? "--cert" : "",
  ].filter((way) => way !== "");
  if (ways.length > 1) throw exclude(...ways);
  if (anonymous) return { kind: "anonymous" };
  if (cert !== undefined && key !== undefined) {
    return { kind: "certificate", cert: { path: resolve(cert) }, key: { path: resolve(key) } };
  }
  if (ways[0] === "--cert") throw new ExitError(EXIT.usage, "--cert and --key belong together");
  if (!hasPassword && plain === undefined) return undefined;
  const bytes =
    asked ??
    (passwordFile === undefined ? undefined : await readPassword(passwordFile, "", environment));
  const secret: ResolvedSecret | undefined =
    bytes === undefined ? undefined : { kind: "plain", bytes };
  return { kind: "password", secret, plain };
}

async function readProxy(flags: Flags, environment: CommandEnvironment): Promise<ProxySetting> {
  const { proxy: way, proxyPasswordFile: file } = flags;
  if (file === undefined) return way;
  if (way === undefined || way.kind === "direct" || way.user === undefined) {
    const text = "--proxy-password-file needs --proxy with a user, as in http://USER@HOST:PORT";
    throw new ExitError(EXIT.usage, text);
  }
  if (way.kind === "socks4") throw new ExitError(EXIT.usage, "SOCKS4 knows no passwords");
  return { ...way, password: await readPassword(file, "", environment) };
}

function exclude(...ways: string[]): ExitError {
  return new ExitError(EXIT.usage, `${ways.join(" and ")} exclude each other`);
}
