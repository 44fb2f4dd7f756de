import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { EXIT, ExitError, type ExitCode } from "../base/errors.ts";
import { resolveAccount, type AccountFlags, type ResolvedAccount } from "../client/account.ts";
import { openClient, type Client } from "../client/client.ts";
import { openHostSettings } from "../client/host-settings.ts";
import { openTapNic } from "../client/tap-nic.ts";
import type { AccountCredential, ProxySetting } from "../config/client-config.ts";
import { loadClientConfig } from "../config/load.ts";
import { createLog } from "../observe/log.ts";
import { raisePriority } from "../platform/priority.ts";
import { denyDumps } from "../platform/unix.ts";
import type { Credential } from "../session/dial.ts";
import type { CONNECT_FLAGS } from "./catalog.ts";
import { jsonView, lineView, LiveView, type ClientView } from "./client-view.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { onInterrupt } from "./interrupt.ts";
import { readPassword } from "./password.ts";
import { loadOptions, stateDirFor } from "./state-dir.ts";

type ConnectFlags = FlagValues<typeof CONNECT_FLAGS>;

/** `vpn client connect [ACCOUNT]`: connects and stays until it is told to stop. */
export async function connect(
  environment: CommandEnvironment,
  flags: ConnectFlags,
  accountName?: string,
): Promise<ExitCode> {
  const { config } = loadClientConfig(loadOptions(environment, flags.config));
  const proxyPassword = await readProxyPassword(flags.proxyPasswordFile, environment);
  const resolved = resolveAccount(config, accountName, accountFlags(flags, proxyPassword));
  const credential = await credentialOf(resolved, flags, environment);
  raisePriority();
  denyDumps();
  let client: Client | undefined;
  const view = chooseView(environment, flags, () => client?.status());
  const log = createLog({
    clock: environment.clock,
    write: (line) => view.log(line),
    level: flags.logLevel ?? config.log.level,
    format: flags.logFormat ?? config.log.format,
  });
  const interrupts = onInterrupt(
    environment,
    ["SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE"],
    () => void client?.stop(),
  );
  const release = environment.onFault((error) => client?.fail(error));
  try {
    client = await openClient(
      {
        resolved,
        credential,
        stateDir: stateDirFor("client", environment, flags.stateDir, config.client.stateDir),
        tempDir: tmpdir(),
        searchPath: environment.variables["PATH"] ?? "",
        processId: environment.processId,
        interactive: environment.stdoutIsTerminal && !flags.json,
        onEvent: (event) => view.event(event),
      },
      { clock: environment.clock, random: environment.random, log, openNic: openTapNic, openHostSettings },
    );
    if (interrupts.first !== undefined) void client.stop();
    await client.run();
    return interrupts.first === "SIGINT" ? EXIT.interrupted : EXIT.ok;
  } finally {
    view.close();
    release();
    interrupts.release();
  }
}

function accountFlags(flags: ConnectFlags, proxyPassword: string | undefined): AccountFlags {
  if (flags.insecure && flags.verify !== undefined) {
    throw new ExitError(EXIT.usage, "--insecure and --verify exclude each other");
  }
  return {
    ...flags,
    verify: flags.insecure ? { kind: "off" } : flags.verify,
    credential: credentialFlags(flags),
    wishes: { ...flags, intervalMs: flags.interval, lifetimeMs: flags.lifetime },
    proxy: proxyFlags(flags.proxy, proxyPassword),
    retryIntervalMs: flags.retryInterval,
  };
}

function proxyFlags(way: ProxySetting, password: string | undefined): ProxySetting {
  if (password === undefined) return way;
  if (way === undefined || way.kind === "direct" || way.user === undefined) {
    const text = "--proxy-password-file needs --proxy with a user, as in http://USER@HOST:PORT";
    throw new ExitError(EXIT.usage, text);
  }
  if (way.kind === "socks4") throw new ExitError(EXIT.usage, "SOCKS4 knows no passwords");
  return { ...way, password };
}

async function readProxyPassword(
  file: string | undefined,
  environment: CommandEnvironment,
): Promise<string | undefined> {
  if (file === undefined) return undefined;
  return new TextDecoder().decode(await readPassword(file, "", environment));
}

function credentialFlags(flags: ConnectFlags): AccountCredential | undefined {
  const { anonymous, plain, passwordFile, cert, key } = flags;
  const ways = [
    anonymous ? "--anonymous" : "",
    plain || passwordFile !== undefined ? "a password" : "",
    cert !== undefined || key !== undefined ? "--cert" : "",
  ].filter((way) => way !== "");
  if (ways.length > 1) throw new ExitError(EXIT.usage, `${ways.join(" and ")} exclude each other`);
  if (anonymous) return { kind: "anonymous" };
  if (cert !== undefined && key !== undefined) {
    return { kind: "certificate", cert: { path: resolve(cert) }, key: { path: resolve(key) } };
  }
  if (ways[0] === "--cert") throw new ExitError(EXIT.usage, "--cert and --key belong together");
  return ways.length === 1 ? { kind: "password", secret: undefined, plain } : undefined;
}

/** What proves who we are; a password that neither file nor flag names is asked for. */
async function credentialOf(
  { account, name }: ResolvedAccount,
  flags: ConnectFlags,
  environment: CommandEnvironment,
): Promise<Credential> {
  const { credential } = account;
  if (credential.kind === "anonymous") return { kind: "anonymous" };
  if (credential.kind === "certificate") {
    throw new ExitError(EXIT.usage, "No login by certificate is possible yet");
  }
  const { secret, plain } = credential;
  if (secret?.kind === "sha0") return { kind: "password-hash", hash: secret.hash };
  const password =
    secret?.bytes ??
    (await readPassword(
      flags.passwordFile,
      `Password of ${account.user} on ${account.host} (${name}): `,
      environment,
    ));
  return { kind: plain ? "plain-password" : "password", password };
}

function chooseView(
  environment: CommandEnvironment,
  flags: ConnectFlags,
  status: ConstructorParameters<typeof LiveView>[1],
): ClientView {
  if (flags.json) return jsonView(environment);
  const isLive = environment.stdoutIsTerminal && environment.variables["TERM"] !== "dumb";
  return isLive ? new LiveView(environment, status) : lineView(environment);
}
