import {
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
  type Stats,
} from "node:fs";
import { dirname, isAbsolute, join } from "node:path";

/** sockaddr_un of Linux has 108 bytes for the path and its NUL. */
const MAX_PATH_BYTES = 107;

export interface SocketPath {
  /** Where to bind. */
  readonly path: string;
  /** Removes the socket and what was made for it. May be called twice. */
  release(): void;
}

/**
 * A path that a Unix socket can be bound to, known to others as `wanted`: that path, or, where it is too long,
 * one in a fresh private folder below `tempDir`, with its text in a file at `wanted` (config-proposal.md 2.1).
 * Whatever was left there by a dead process is removed: the caller knows that nobody listens.
 */
export function prepareSocketPath(wanted: string, tempDir: string): SocketPath {
  removeFile(wanted);
  if (Buffer.byteLength(wanted) <= MAX_PATH_BYTES) {
    return { path: wanted, release: () => removeFile(wanted) };
  }
  const folder = mkdtempSync(join(tempDir, "vpn-"));
  const path = join(folder, "socket");
  writeFileSync(wanted, path, { mode: 0o600, flag: "wx" });
  return {
    path,
    release() {
      removeFile(path);
      if (tryStat(folder) !== undefined) rmdirSync(folder);
      removeFile(wanted);
    },
  };
}

/** Where the socket known as `wanted` is bound; undefined if there is none. */
export function findSocket(wanted: string): string | undefined {
  const found = tryStat(wanted);
  if (found === undefined) return undefined;
  if (found.isSocket()) return wanted;
  if (!found.isFile() || found.size > MAX_PATH_BYTES) return undefined;
  const path = readFileSync(wanted, "utf8");
  if (!isAbsolute(path) || tryStat(path)?.isSocket() !== true) return undefined;
  // The folder for temporary files is everybody's: a folder of somebody else in the place of ours is a trap.
  return tryStat(dirname(path))?.uid === found.uid ? path : undefined;
}

function tryStat(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

function removeFile(path: string): void {
  if (tryStat(path) !== undefined) unlinkSync(path);
}
