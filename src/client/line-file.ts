import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** These files hold a line for each server or interface: more than this is not one of them. */
const MAX_FILE_BYTES = 1 << 20;

/** The lines of a small text file that are not empty; none where there is no file. */
export function readLines(path: string): string[] {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return [];
    throw error;
  }
  if (bytes.length > MAX_FILE_BYTES) return [];
  return new TextDecoder()
    .decode(bytes)
    .split("\n")
    .filter((line) => line.trim() !== "");
}

/** Writes the file with mode 0600, whole or not at all: another client of the same user may read it meanwhile. */
export function writeLines(path: string, lines: readonly string[]): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, `${lines.join("\n")}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** The words after the first in the line whose first word is `key`, ignoring case. */
export function findLine(lines: readonly string[], key: string): string[] | undefined {
  const line = lines.find((text) => isOf(text, key));
  return line?.trim().split(/\s+/).slice(1);
}

/** The lines without those of `key`. */
export function withoutLine(lines: readonly string[], key: string): string[] {
  return lines.filter((text) => !isOf(text, key));
}

function isOf(line: string, key: string): boolean {
  return line.trim().split(/\s+/, 1)[0]!.toLowerCase() === key.toLowerCase();
}
