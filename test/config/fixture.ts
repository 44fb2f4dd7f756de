import { dirname, join } from "node:path";
import { loadClientConfig, loadServerConfig } from "../../src/config/load.ts";
import type { LoadOptions } from "../../src/config/load-options.ts";
import { type ConfigProblem, formatProblem } from "../../src/config/problem.ts";
import type { SourceFile, SourceFiles } from "../../src/config/source-files.ts";

type Content = string | Uint8Array | Exclude<SourceFile, { kind: "file" }>;

/** Files that exist in the test alone, all with mode 0600 unless told otherwise. */
export function memoryFiles(
  contents: Readonly<Record<string, Content>>,
  modes: Readonly<Record<string, number>> = {},
): SourceFiles {
  return {
    read(path, maxBytes) {
      const found = contents[path];
      if (found === undefined) return { kind: "missing" };
      if (typeof found !== "string" && !(found instanceof Uint8Array)) return found;
      const bytes = typeof found === "string" ? new TextEncoder().encode(found) : found;
      if (bytes.length > maxBytes) return { kind: "refused", reason: "is too large" };
      return { kind: "file", bytes, mode: modes[path] ?? 0o600 };
    },
    glob: (pattern, directory) =>
      Object.keys(contents)
        .filter((path) => new Bun.Glob(join(directory, pattern)).match(path))
        .sort(),
  };
}

export interface Attempt {
  readonly files?: Readonly<Record<string, Content>>;
  readonly modes?: Readonly<Record<string, number>>;
  readonly env?: LoadOptions["env"];
}

/** The file under test is `/etc/vpn/config.toml` for both programs. */
export const CONFIG_PATH = "/etc/vpn/config.toml";

function optionsOf(content: Content, attempt: Attempt, warnings: string[]): LoadOptions {
  return {
    path: CONFIG_PATH,
    env: { HOME: "/home/alice", ...attempt.env },
    isRoot: false,
    hostName: "host.example",
    files: memoryFiles({ [CONFIG_PATH]: content, ...attempt.files }, attempt.modes),
    warn: (problem: ConfigProblem) => warnings.push(shorten(formatProblem(problem))),
  };
}

export function readServer(content: Content, attempt: Attempt = {}) {
  const warnings: string[] = [];
  const loaded = loadServerConfig(optionsOf(content, attempt, warnings));
  return { ...loaded, warnings };
}

export function readClient(content: Content, attempt: Attempt = {}) {
  const warnings: string[] = [];
  const loaded = loadClientConfig(optionsOf(content, attempt, warnings));
  return { ...loaded, warnings };
}

/** The lines of the error that loading throws, with the folder cut from the name of the file. */
export function faultsOf(load: () => unknown): string[] {
  try {
    load();
  } catch (error) {
    if (error instanceof Error) return error.message.split("\n").map(shorten);
  }
  throw new Error("the configuration was accepted");
}

function shorten(line: string): string {
  return line.replaceAll(`${dirname(CONFIG_PATH)}/`, "");
}

/** Processor time that `run` takes: what others do on the machine meanwhile is not counted. */
export function cpuMsOf(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
