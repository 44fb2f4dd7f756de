import { EXIT, ExitError, messageOf, type ExitCode } from "../base/errors.ts";
import type { Clock } from "../base/clock.ts";
import { afterLong } from "../base/long-timer.ts";
import { chooseProxy, resolveAccount } from "../client/account.ts";
import { Capture } from "../client/capture/capture.ts";
import { CaptureFilter, pointAt } from "../client/capture/filter.ts";
import { FilterError } from "../client/capture/filter-token.ts";
import { Monitor } from "../client/monitor.ts";
import { createLog } from "../observe/log.ts";
import { denyDumps } from "../platform/unix.ts";
import { readAccountFlags } from "./account-flags.ts";
import { openSetup } from "./client-setup.ts";
import { jsonView, lineView } from "./client-view.ts";
import { openCredential } from "./credential.ts";
import type { CommandEnvironment } from "./environment.ts";
import { forgetKeptPassword } from "./forget-password.ts";
import { onInterrupt } from "./interrupt.ts";
import {
  checkWrite,
  openFiles,
  originOf,
  ringOf,
  summarize,
  writerOf,
  type MonitorFlags,
} from "./monitor-output.ts";

/** What waits when a capture ends has this long to be taken. */
const FINISH_MS = 10_000;

/** `vpn client monitor [ACCOUNT] --write FILE`: captures until it is told to stop. */
export async function monitor(
  environment: CommandEnvironment,
  flags: MonitorFlags,
  accountName?: string,
): Promise<ExitCode> {
  checkWrite(environment, flags);
  const filter = readFilter(environment, flags);
  const setup = openSetup(environment, flags);
  const { config, stateDir } = setup;
  setup.close();
  const accountFlags = await readAccountFlags({ ...flags, ...NO_ROUTING }, environment);
  const resolved = resolveAccount(config, accountName, accountFlags);
  const { account } = resolved;
  const { totp, totpFile } = flags;
  const code = totp || totpFile !== undefined ? { file: totpFile } : undefined;
  const credential = await openCredential(resolved, environment, code);
  denyDumps();
  const { clock, random } = environment;
  const say = writerOf(environment, flags);
  const talk = { ...environment, stdout: say };
  const view = flags.json ? jsonView(talk) : lineView(talk);
  const log = createLog({
    clock,
    write: (line) => view.log(line),
    level: flags.logLevel ?? config.log.level,
    format: flags.logFormat ?? config.log.format,
  });
  const files = await openFiles(environment, flags);
  const end: { failure?: Error; hasReader: boolean; hasBegun: boolean; monitor?: Monitor } = {
    hasReader: true,
    hasBegun: false,
  };
  const stop = (failure?: Error) => {
    if (failure !== undefined) end.failure ??= failure;
    end.monitor?.stop(failure);
  };
  const interrupts = onInterrupt(
    environment,
    ["SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE"],
    (name) => {
      if (name === "SIGPIPE") end.hasReader = false;
      stop();
    },
  );
  const release = environment.onFault((error) => stop(errorOf(error)));
  const capture = new Capture(
    files,
    {
      origin: originOf(resolved, flags.snaplen ?? 0),
      filter,
      ring: ringOf(flags),
      maxFrames: flags.count ?? Infinity,
      onFull: () => stop(),
      onFailure: (error) => {
        if (isBrokenPipe(error)) end.hasReader = false;
        stop(end.hasReader ? errorOf(error) : undefined);
      },
    },
    clock,
  );
  let timer: { cancel(): void } | undefined;
  try {
    end.monitor = new Monitor(
      {
        account,
        credential,
        proxy: chooseProxy(account, environment.variables),
        stateDir,
        interactive: environment.stderrIsTerminal && !flags.json,
        sink: capture,
        onEvent: (event) => view.event(event),
        onSession: ({ welcome }) => {
          end.hasBegun = true;
          timer ??= afterLong(clock, flags.duration ?? Infinity, () => stop());
          if (!welcome.policy.no_save_password) return;
          const message = forgetPassword(environment, flags, account.name);
          if (message !== undefined)
            view.event({ event: "warning", code: "no_save_password", message });
        },
      },
      { clock, random, log },
    );
    if (interrupts.first !== undefined || end.failure !== undefined || !end.hasReader) {
      stop(end.failure);
    }
    await end.monitor.run();
  } finally {
    timer?.cancel();
    const isWhole = await finishInTime(capture, clock).finally(() => {
      release();
      interrupts.release();
    });
    if (end.hasReader && end.hasBegun) summarize(say, flags, capture.stats);
    if (!isWhole) giveUp(environment);
  }
  return EXIT.ok;
}

/** False if what takes the frames stands still. */
async function finishInTime(capture: Capture, clock: Clock): Promise<boolean> {
  const late = Promise.withResolvers<false>();
  const timer = clock.after(FINISH_MS, () => late.resolve(false));
  const finished = capture.finish().then(() => true);
  return Promise.race([finished, late.promise]).finally(() => timer.cancel());
}

/** A write that never ends would keep the process. */
function giveUp(environment: CommandEnvironment): void {
  environment.stderr(
    "vpn: Cannot finish the capture: what it is written to takes nothing any more\n",
  );
  environment.exit(EXIT.temporary);
}

/** What an account is about besides its session does not matter here. */
const NO_ROUTING = {
  mode: undefined,
  defaultRoute: undefined,
  routes: undefined,
  dns: undefined,
  killSwitch: undefined,
};

/** @throws ExitError 64 that names the column, after a caret was put below it for people */
function readFilter(
  environment: CommandEnvironment,
  flags: MonitorFlags,
): CaptureFilter | undefined {
  const text = flags.filter;
  if (text === undefined) return undefined;
  try {
    return new CaptureFilter(text);
  } catch (error) {
    if (!(error instanceof FilterError)) throw error;
    if (!flags.json) environment.stderr(pointAt(text, error));
    const where = `Cannot use --filter, column ${error.column}`;
    throw new ExitError(EXIT.usage, `${where}: ${error.message}`, { cause: error });
  }
}

function forgetPassword(
  environment: CommandEnvironment,
  flags: MonitorFlags,
  name: string,
): string | undefined {
  try {
    return forgetKeptPassword(environment, flags, name);
  } catch (error) {
    return `Cannot forget the password, which the hub wants: ${messageOf(error)}`;
  }
}

function isBrokenPipe(error: unknown): boolean {
  return error instanceof Error && (error as { code?: unknown }).code === "EPIPE";
}

function errorOf(error: unknown): Error {
  return error instanceof Error ? error : new Error(messageOf(error));
}
