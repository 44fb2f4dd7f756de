import { tmpdir } from "node:os";
import { EXIT, type ExitCode } from "../base/errors.ts";
import { chooseProxy, resolveAccount } from "../client/account.ts";
import type { Client } from "../client/client.ts";
import { openClient } from "../client/open-client.ts";
import { openHostSettings } from "../client/host-settings.ts";
import { openTapNic } from "../client/tap-nic.ts";
import { createLog } from "../observe/log.ts";
import { raisePriority } from "../platform/priority.ts";
import { denyDumps } from "../platform/unix.ts";
import { readAccountFlags } from "./account-flags.ts";
import type { CONNECT_FLAGS } from "./client-flags.ts";
import { openSetup } from "./client-setup.ts";
import { jsonView, lineView, LiveView, type ClientView } from "./client-view.ts";
import { openCredential } from "./credential.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { forgetKeptPassword } from "./forget-password.ts";
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
        credential: (signal) => withoutDrawing(view, () => credential(signal)),
        proxy: chooseProxy(resolved.account, environment.variables),
        stateDir,
        tempDir: tmpdir(),
        searchPath: environment.variables["PATH"] ?? "",
        processId: environment.processId,
        interactive: environment.stdoutIsTerminal && !flags.json,
        onEvent: (event) => view.event(event),
        forgetPassword: () => forgetKeptPassword(environment, flags, resolved.account.name),
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

/** A question stands on the line that the view draws. */
async function withoutDrawing<T>(view: ClientView, ask: () => Promise<T>): Promise<T> {
  const release = view.hold();
  try {
    return await ask();
  } finally {
    release();
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
