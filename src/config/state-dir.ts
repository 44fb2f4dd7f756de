import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { join, resolve } from "node:path";
import { ConfigError, EXIT, ExitError, messageOf } from "../base/errors.ts";
import { tryLockFile } from "../platform/unix.ts";

/**
 * The directory for what is made or learned while running (config-proposal.md 2.1): the flag, else the file's key, else
 * systemd's, else that of the system for root and that of the user for others. Absolute; nothing is created.
 */
export function resolveStateDir(
  program: "server" | "bridge" | "client",
  from: {
    readonly flag: string | undefined;
    readonly configured: string | undefined;
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly isRoot: boolean;
  },
): string {
  // systemd.exec(5): several directories are separated by colons.
  const given = from.flag ?? from.configured ?? from.env["STATE_DIRECTORY"]?.split(":")[0];
  if (given !== undefined && given !== "") return resolve(given);
  if (from.isRoot) return join("/var/lib/vpn", program);
  const home = from.env["HOME"];
  const base = from.env["XDG_STATE_HOME"] || (home ? join(home, ".local/state") : undefined);
  if (base !== undefined) return join(resolve(base), "vpn", program);
  throw new ConfigError("Cannot choose a state directory: HOME is not set, use --state-dir");
}

/** Makes the directory, for its owner alone, if it is not there. @throws ExitError 73 */
export function createStateDir(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (error) {
    const text = `Cannot create the state directory ${dir}: ${messageOf(error)}`;
    throw new ExitError(EXIT.cannotCreate, text, { cause: error });
  }
}

/** Held by a running program. */
export interface StateLock {
  /** May be called twice. */
  release(): void;
}

/**
 * Takes the directory for this process. The kernel drops the lock with the process, however it ends, so a file
 * that a crash left behind is in nobody's way.
 * @throws ExitError 75 with the id of the process that holds it; 73 if the file cannot be made
 */
export function lockStateDir(dir: string, pid: number): StateLock {
  const path = join(dir, "lock");
  let fd: number | undefined = openLock(path);
  if (!tryLockFile(fd)) {
    closeSync(fd);
    const holder = readFileSync(path, "latin1").trim();
    const who = /^\d+$/.test(holder) ? `process ${holder}` : "another process";
    throw new ExitError(EXIT.temporary, `Cannot use ${dir}: ${who} runs on it`);
  }
  ftruncateSync(fd);
  writeSync(fd, `${pid}\n`, 0);
  return {
    release() {
      if (fd === undefined) return;
      // The file stays: to remove it would let two others lock two files of one name.
      ftruncateSync(fd);
      closeSync(fd);
      fd = undefined;
    },
  };
}

function openLock(path: string): number {
  try {
    return openSync(path, "a+", 0o600);
  } catch (error) {
    throw new ExitError(EXIT.cannotCreate, `Cannot open ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
