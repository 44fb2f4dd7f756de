import { dirname } from "node:path";
import { MAX_CONFIG_BYTES } from "../base/limits.ts";
import type { ConfigProblem } from "./problem.ts";
import { joinKeys } from "./shape.ts";
import { hasWildcard, type SourceFiles } from "./source-files.ts";
import { parseToml } from "./toml.ts";
import { fault } from "./toml-scan.ts";
import { emptyTable, type TomlNode, type TomlTable } from "./toml-tree.ts";

/** All files of one configuration, merged. */
export interface Sources {
  readonly root: TomlTable;
  readonly files: readonly { readonly path: string; readonly mode: number }[];
}

/**
 * Reads a file and those that its `include` names, in the order of their names.
 * @returns undefined if the file itself does not exist
 * @throws ConfigProblemsError for what cannot be read or is not TOML
 */
export function readSources(
  path: string,
  files: SourceFiles,
  fail: (problem: ConfigProblem) => void,
): Sources | undefined {
  const read = readOne(path, files, MAX_CONFIG_BYTES);
  if (read === undefined) return undefined;
  const { root, mode } = read;
  const all = [{ path, mode }];
  let left = MAX_CONFIG_BYTES - read.size;
  for (const { found, named } of includedPaths(root, files)) {
    const part = readOne(found, files, left);
    if (part === undefined) throw fault(named.at, `${found} does not exist`);
    left -= part.size;
    all.push({ path: found, mode: part.mode });
    merge(root, part.root, "", fail);
  }
  return { root, files: all };
}

/** What a program runs on where there is no file. */
export function noSources(): Sources {
  return { root: emptyTable({ file: "defaults", line: 1, column: 1 }), files: [] };
}

function readOne(path: string, files: SourceFiles, maxBytes: number) {
  const start = { file: path, line: 1, column: 1 };
  const file = files.read(path, maxBytes);
  if (file.kind === "missing") return undefined;
  if (file.kind === "refused") throw fault(start, `the file ${file.reason}`);
  return { root: parseToml(path, file.bytes), size: file.bytes.length, mode: file.mode };
}

/** Wrong kinds of values are left to the schema, which tells all of them. */
function includedPaths(root: TomlTable, files: SourceFiles): { found: string; named: TomlNode }[] {
  const include = root.entries.get("include")?.value;
  const patterns = include?.kind === "array" ? include.items : [];
  return patterns.flatMap((named) => {
    if (named.kind !== "string") return [];
    const directory = dirname(named.at.file);
    const matches = files.glob(named.value, directory);
    // A plain name is a promise that the file exists; a pattern may match nothing.
    if (matches.length === 0 && !hasWildcard(named.value)) {
      throw fault(named.at, `${JSON.stringify(named.value)} does not exist`);
    }
    return matches.map((found) => ({ found, named }));
  });
}

/** Adds the entries of an included file. A table that is defined has its one file (config-proposal.md 3). */
function merge(
  into: TomlTable,
  from: TomlTable,
  path: string,
  fail: (problem: ConfigProblem) => void,
): void {
  for (const [name, entry] of from.entries) {
    const key = joinKeys(path, name);
    const complain = (text: string) => fail({ position: entry.keyAt, key, text });
    const own = into.entries.get(name);
    if (path === "" && (name === "include" || name === "schema")) {
      complain("belongs in the main file");
    } else if (own === undefined) {
      into.entries.set(name, entry);
    } else if (
      own.value.kind === "table" &&
      entry.value.kind === "table" &&
      !(own.value.defined && entry.value.defined)
    ) {
      own.value.defined ||= entry.value.defined;
      merge(own.value, entry.value, key, fail);
    } else {
      const first = own.value.at;
      complain(`defined a second time, first in ${first.file}, line ${own.keyAt.line}`);
    }
  }
}
