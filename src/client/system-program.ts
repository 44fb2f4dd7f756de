import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { VpnError } from "../base/errors.ts";

/** Where such programs are, also for users whose PATH leaves it out. */
const SYSTEM_FOLDERS = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/** They set a value and end; one that hangs must not hold the client. */
const DEADLINE_MS = 10_000;
/** The same for one that everything else waits for. */
const AT_ONCE_DEADLINE_MS = 2_000;
/** Of what a program says, so much goes into an error. */
const MAX_TOLD_CHARS = 400;

/** The path of a program in PATH or where the system has its own; undefined where it is not installed. */
export function tryFindProgram(name: string, searchPath: string): string | undefined {
  for (const folder of [...searchPath.split(delimiter), ...SYSTEM_FOLDERS]) {
    const file = join(folder || ".", name);
    if (isExecutable(file)) return file;
  }
  return undefined;
}

/** Runs a program to its end. @throws VpnError `program_failed` with what it said */
export async function runProgram(command: readonly string[], stdin?: string): Promise<string> {
  const child = Bun.spawn([...command], {
    stdin: stdin === undefined ? "ignore" : new TextEncoder().encode(stdin),
    stdout: "pipe",
    stderr: "pipe",
    timeout: DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const code = await child.exited;
  if (code !== 0) throw failure(command, errors, code);
  return output;
}

/** The same while everything else waits. @throws VpnError `program_failed` with what it said */
export function runProgramAtOnce(command: readonly string[], stdin: string): void {
  const { success, stderr, exitCode } = Bun.spawnSync([...command], {
    stdin: new TextEncoder().encode(stdin),
    stdout: "ignore",
    stderr: "pipe",
    timeout: AT_ONCE_DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  if (!success) throw failure(command, stderr.toString(), exitCode);
}

function failure(command: readonly string[], errors: string, code: number | null): VpnError {
  const said = errors.trim().slice(0, MAX_TOLD_CHARS) || `exit code ${code ?? "none"}`;
  return new VpnError("program_failed", `Cannot run ${command.join(" ")}: ${said}`);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
