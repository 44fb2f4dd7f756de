import { tmpdir } from "node:os";
import { EXIT, type ExitCode } from "../base/errors.ts";
import { chooseProxy, resolveAccount } from "../client/account.ts";
import { AccountBook } from "../client/account-book.ts";
import { openClient, type Client } from "../client/client.ts";
import { openHostSettings } from "../client/host-settings.ts";
import { openTapNic } from "../client/tap-nic.ts";
import { objectPath } from "../config/state-objects.ts";
import { createLog } from "../observe/log.ts";
import { raisePriority } from "../platform/priority.ts";
import { denyDumps } from "../platform/unix.ts";
import { readAccountFlags } from "./account-flags.ts";
import type { CONNECT_FLAGS } from "./client-flags.ts";
import { openSetup, openWritableSetup } from "./client-setup.ts";
import { jsonView, lineView, LiveView, type ClientView } from "./client-view.ts";
import { openCredential } from "./credential.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { onInterrupt } from "./interrupt.ts";

type ConnectFlags = FlagValues<typeof CONNECT_FLAGS>;

/** `vpn client connect [ACCOUNT]`: connects and stays until it is told to stop. */
export async function connect(
  environment: CommandEnvironment,
  flags: ConnectFlags,
  accountName?: string,
): Promise<ExitCode> {
  const setup = openSetup(environment, flags);
  const { config, stateDir } = setup;
  setup.close();
  const accountFlags = { ...flags, ...(await readAccountFlags(flags, environment)) };
  const resolved = resolveAccount(config, accountName, accountFlags);
  const { totp, totpFile } = flags;
  const code = totp || totpFile !== undefined ? { file: totpFile } : undefined;
  const credential = await openCredential(resolved, environment, code);
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
        proxy: chooseProxy(resolved.account, environment.variables),
        stateDir,
        tempDir: tmpdir(),
        searchPath: environment.variables["PATH"] ?? "",
        processId: environment.processId,
        interactive: environment.stdoutIsTerminal && !flags.json,
        onEvent: (event) => view.event(event),
        forgetPassword: () => forgetPassword(environment, flags, resolved.account.name),
      },
      {
        clock: environment.clock,
        random: environment.random,
        log,
        openNic: openTapNic,
        openHostSettings,
      },
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

/**
 * Takes away the password that we keep of an account whose hub does not want any kept (hub.md 15.4). One that a
 * file holds is its owner's to take away.
 */
function forgetPassword(
  environment: CommandEnvironment,
  flags: Pick<ConnectFlags, "config" | "stateDir">,
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

function chooseView(
  environment: CommandEnvironment,
  flags: ConnectFlags,
  status: ConstructorParameters<typeof LiveView>[1],
): ClientView {
  if (flags.json) return jsonView(environment);
  const isLive = environment.stdoutIsTerminal && environment.variables["TERM"] !== "dumb";
  return isLive ? new LiveView(environment, status) : lineView(environment);
}
