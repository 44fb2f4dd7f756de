// Where `vpn client monitor` writes: its files, what it tells beside them, and what stands in them.
import { arch, cpus, release, type as osType } from "node:os";
import { resolve } from "node:path";
import { formatBytes } from "../cli/figure.ts";
import { EXIT, ExitError } from "../base/errors.ts";
import { VERSION } from "../base/version.ts";
import type { ResolvedAccount } from "../client/account.ts";
import { openCaptureFile, openCaptureRing } from "../client/capture/capture-files.ts";
import type { CaptureFiles, CaptureStats, RingBounds } from "../client/capture/capture.ts";
import { formatServerAddress } from "../config/remote.ts";
import type { CaptureOrigin } from "../wire/pcapng.ts";
import type { MONITOR_FLAGS } from "./client-flags.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";

export type MonitorFlags = FlagValues<typeof MONITOR_FLAGS>;

const STANDARD_OUTPUT = "-";

/** @throws ExitError 64 for flags that do not go together */
export function checkWrite(environment: CommandEnvironment, flags: MonitorFlags): void {
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

/** For events and the summary: what people read goes to standard error, and JSON too where standard output has frames. */
export function writerOf(
  { stdout, stderr }: CommandEnvironment,
  { json, write }: MonitorFlags,
): (text: string) => void {
  return json && write !== STANDARD_OUTPUT ? stdout : stderr;
}

/** @throws what the file system says of files that cannot be made */
export function openFiles(
  environment: CommandEnvironment,
  flags: MonitorFlags,
): Promise<CaptureFiles> {
  const { write = "", ringFiles, json } = flags;
  const { clock } = environment;
  if (write === STANDARD_OUTPUT) {
    return Promise.resolve({
      write: environment.writeBytes,
      next: () => Promise.reject(new Error("standard output is one file")),
      close: () => Promise.resolve(),
    });
  }
  const say = writerOf(environment, flags);
  const path = resolve(write);
  if (ringOf(flags) === undefined) return openCaptureFile(path, clock);
  const onFile = (file: string) => {
    if (json) say(`${JSON.stringify({ event: "file", file })}\n`);
  };
  return openCaptureRing(path, ringFiles ?? Infinity, { clock, onFile });
}

export function ringOf({ ringSize, ringTime }: MonitorFlags): RingBounds | undefined {
  if (ringSize === undefined && ringTime === undefined) return undefined;
  return { maxBytes: ringSize ?? Infinity, maxMs: ringTime ?? Infinity };
}

/** What the file tells of where it was made. */
export function originOf(
  { account }: ResolvedAccount,
  snapLength: number,
): Omit<CaptureOrigin, "filter"> {
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

export function summarize(
  say: (text: string) => void,
  { json, filter, write }: MonitorFlags,
  stats: CaptureStats,
): void {
  if (json) {
    say(`${JSON.stringify({ event: "summary", write, ...stats })}\n`);
    return;
  }
  const { received, accepted, dropped, written, bytes, files } = stats;
  const lines = [
    `${written} frames captured, ${formatBytes(bytes)}${files > 1 ? ` in ${files} files` : ""}`,
    `${received} frames came${filter === undefined ? "" : `, the filter let ${accepted} pass`}`,
    `${dropped} frames were dropped${dropped === 0 ? "" : ": the disk or the reader did not take them in time"}`,
  ];
  say(`${lines.join("\n")}\n`);
}
