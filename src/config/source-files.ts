import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readSync,
  statSync,
  type Stats,
} from "node:fs";
import { join, resolve } from "node:path";
import { messageOf } from "../base/errors.ts";

/** What was found at a path. `mode` holds the nine permission bits. */
export type SourceFile =
  | { readonly kind: "file"; readonly bytes: Uint8Array; readonly mode: number }
  | { readonly kind: "missing" }
  /** Not a regular file, too large, or not readable; `reason` completes "PATH ...". */
  | { readonly kind: "refused"; readonly reason: string };

/** The part of the file system that configuration needs. */
export interface SourceFiles {
  /** Reads a regular file of at most `maxBytes`, following symbolic links; nothing else is ever read. */
  read(path: string, maxBytes: number): SourceFile;
  /** The paths that match a pattern, in the order of their names. */
  glob(pattern: string, directory: string): readonly string[];
}

export const systemFiles: SourceFiles = { read: readRegularFile, glob: globFiles };

export const hasWildcard = (pattern: string): boolean => /[*?[{]/.test(pattern);

/** Readable by others than owner and group. */
export const isWorldReadable = (mode: number): boolean => (mode & 0o004) !== 0;
/** Readable by anybody but the owner. */
export const isShared = (mode: number): boolean => (mode & 0o044) !== 0;

function readRegularFile(path: string, maxBytes: number): SourceFile {
  let fd: number | undefined;
  try {
    // The kind is known before the open, which would wait for the writer of a FIFO or wind a tape.
    const before = refuseKind(statSync(path), maxBytes);
    if (before !== undefined) return before;
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = fstatSync(fd);
    return (
      refuseKind(stats, maxBytes) ?? {
        kind: "file",
        bytes: readUpTo(fd, stats.size),
        mode: stats.mode & 0o777,
      }
    );
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") return { kind: "missing" };
    return { kind: "refused", reason: `cannot be read (${code ?? messageOf(error)})` };
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function refuseKind(stats: Stats, maxBytes: number): SourceFile | undefined {
  if (!stats.isFile()) return { kind: "refused", reason: `is ${nameKind(stats)}, not a file` };
  if (stats.size <= maxBytes) return undefined;
  return { kind: "refused", reason: `has ${stats.size} bytes, at most ${maxBytes} are allowed` };
}

function nameKind(stats: Stats): string {
  if (stats.isDirectory()) return "a directory";
  if (stats.isFIFO()) return "a FIFO";
  if (stats.isSocket()) return "a socket";
  return "a device";
}

/** As much as the file had when it was looked at, or less if it was cut meanwhile. */
function readUpTo(fd: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let filled = 0;
  while (filled < size) {
    const count = readSync(fd, bytes, filled, size - filled, filled);
    if (count === 0) break;
    filled += count;
  }
  return bytes.subarray(0, filled);
}

/** The parts without wildcards are resolved like a path, so that "/" and ".." mean what they do elsewhere. */
function globFiles(pattern: string, directory: string): readonly string[] {
  const parts = pattern.split("/");
  const first = parts.findIndex(hasWildcard);
  if (first < 0) {
    const path = resolve(directory, pattern);
    return existsSync(path) ? [path] : [];
  }
  const base = resolve(directory, first === 0 ? "." : `${parts.slice(0, first).join("/")}/`);
  if (!existsSync(base)) return [];
  const glob = new Bun.Glob(parts.slice(first).join("/"));
  return [...glob.scanSync({ cwd: base, onlyFiles: false })].sort().map((name) => join(base, name));
}
