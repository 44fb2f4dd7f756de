import { type as osType, release, arch, cpus } from "node:os";
import { resolve } from "node:path";
import { formatBytes } from "../cli/figure.ts";
import { EXIT, ExitError, messageOf, type ExitCode } from "../base/errors.ts";
import { afterLong } from "../base/long-timer.ts";
import { VERSION } from "../base/version.ts";
import { chooseProxy, resolveAccount, type ResolvedAccount } from "../client/account.ts";
import { openCaptureFile, openCaptureRing } from "../client/capture/capture-files.ts";
import { Capture, type CaptureFiles, type RingBounds } from "../client/capture/capture.ts";
import { CaptureFilter, pointAt } from "../client/capture/filter.ts";
import { FilterError } from "../client/capture/filter-token.ts";
import { Monitor } from "../client/monitor.ts";
import { formatServerAddress } from "../config/remote.ts";
import { createLog } from "../observe/log.ts";
import { denyDumps } from "../platform/unix.ts";
import type { CaptureOrigin } from "../wire/pcapng.ts";
import { readAccountFlags } from "./account-flags.ts";
import type { MONITOR_FLAGS } from "./client-flags.ts";
import { openSetup } from "./client-setup.ts";
import { jsonView, lineView } from "./client-view.ts";
import { openCredential } from "./credential.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { forgetKeptPassword } from "./forget-password.ts";
import { onInterrupt } from "./interrupt.ts";

type MonitorFlags = FlagValues<typeof MONITOR_FLAGS>;

const STANDARD_OUTPUT = "-";

/** `vpn client monitor [ACCOUNT] --write FILE`: captures until it is told to stop. All it says goes to standard error. */
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
  const { clock, random, stderr } = environment;
  const talk = { ...environment, stdout: stderr };
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
    if (interrupts.first !== undefined || end.failure !== undefined) stop(end.failure);
    await end.monitor.run();
  } finally {
    timer?.cancel();
    await capture.finish();
    if (end.hasReader && end.hasBegun) summarize(environment, flags, capture);
    release();
    interrupts.release();
  }
  return EXIT.ok;
}

/** What an account is about besides its session does not matter here. */
const NO_ROUTING = {
  mode: undefined,
  defaultRoute: undefined,
  routes: undefined,
  dns: undefined,
  killSwitch: undefined,
};

function checkWrite(environment: CommandEnvironment, flags: MonitorFlags): void {
  const { write, ringSize, ringTime, ringFiles } = flags;
  if (write === undefined) {
    throw new ExitError(EXIT.usage, "--write is missing: a FILE, or - for standard output");
  }
  const hasRing = ringSize !== undefined || ringTime !== undefined;
  if (ringFiles !== undefined && !hasRing) {
    throw new ExitError(EXIT.usage, "--ring-files needs --ring-size or --ring-time");
  }
  if (write !== STANDARD_OUTPUT) return;
  if (hasRing) throw new ExitError(EXIT.usage, "Standard output is one file: no ring of them");
  if (environment.stdoutIsTerminal) {
    throw new ExitError(
      EXIT.usage,
      "Standard output is a terminal: pipe it to a program, as in `--write - | tcpdump -r -`",
    );
  }
}

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

function openFiles(environment: CommandEnvironment, flags: MonitorFlags): Promise<CaptureFiles> {
  const { write = "", ringFiles, json } = flags;
  const { clock, stderr } = environment;
  if (write === STANDARD_OUTPUT) {
    return Promise.resolve({
      write: environment.writeBytes,
      next: () => Promise.reject(new Error("standard output is one file")),
      close: () => Promise.resolve(),
    });
  }
  const path = resolve(write);
  if (ringOf(flags) === undefined) return openCaptureFile(path);
  const onFile = (file: string) => {
    if (json) stderr(`${JSON.stringify({ event: "file", file })}\n`);
  };
  return openCaptureRing(path, ringFiles ?? Infinity, { clock, onFile });
}

function ringOf({ ringSize, ringTime }: MonitorFlags): RingBounds | undefined {
  if (ringSize === undefined && ringTime === undefined) return undefined;
  return { maxBytes: ringSize ?? Infinity, maxMs: ringTime ?? Infinity };
}

function originOf({ account }: ResolvedAccount, snapLength: number): Omit<CaptureOrigin, "filter"> {
  const server = formatServerAddress(account);
  return {
    application: `Patchbay vpn ${VERSION}`,
    hardware: `${cpus()[0]?.model ?? "unknown"} (${arch()})`,
    os: `${osType()} ${release()}`,
    name: account.hub,
    description: `Hub ${account.hub} of ${server}, monitored as ${account.user}`,
    snapLength,
  };
}

function summarize(
  environment: CommandEnvironment,
  { json, filter, write }: MonitorFlags,
  { stats }: Capture,
): void {
  if (json) {
    environment.stderr(`${JSON.stringify({ event: "summary", write, ...stats })}\n`);
    return;
  }
  const { received, accepted, dropped, written, bytes, files } = stats;
  const lines = [
    `${written} frames captured, ${formatBytes(bytes)}${files > 1 ? ` in ${files} files` : ""}`,
    `${received} frames came${filter === undefined ? "" : `, the filter let ${accepted} pass`}`,
    `${dropped} frames were dropped: the disk or the reader was too slow`,
  ];
  environment.stderr(`${lines.join("\n")}\n`);
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
