import { hostname } from "node:os";
import { ConfigError } from "../base/errors.ts";
import { loadClientConfig, loadServerConfig } from "../config/load.ts";
import type { LoadOptions } from "../config/load-options.ts";
import { formatProblem } from "../config/problem.ts";
import { resolveStateDir } from "../config/state-dir.ts";
import type { CommandEnvironment } from "./environment.ts";

export type Program = "server" | "bridge" | "client";

interface PlaceFlags {
  readonly config: string | undefined;
  readonly stateDir: string | undefined;
}

/** How a configuration is loaded for a command; doubts about it go to standard error. */
export function loadOptions(
  environment: CommandEnvironment,
  path: string | undefined,
): LoadOptions {
  return {
    path,
    env: environment.variables,
    isRoot: environment.userId === 0,
    hostName: hostname(),
    warn: (problem) => environment.stderr(`${formatProblem(problem)} (warning)\n`),
  };
}

/** The state directory of a program that starts, with what its file says. */
export function stateDirFor(
  program: Program,
  environment: CommandEnvironment,
  flag: string | undefined,
  configured: string | undefined,
): string {
  return resolveStateDir(program, {
    flag,
    configured,
    env: environment.variables,
    isRoot: environment.userId === 0,
  });
}

/** Where `program` keeps its state, for commands that only look for its socket there. */
export function stateDirOf(
  program: Program,
  environment: CommandEnvironment,
  flags: PlaceFlags,
): string {
  const configured =
    flags.stateDir === undefined ? configuredDir(program, environment, flags.config) : undefined;
  return stateDirFor(program, environment, flags.stateDir, configured);
}

function configuredDir(
  program: Program,
  environment: CommandEnvironment,
  path: string | undefined,
): string | undefined {
  const options = { ...loadOptions(environment, path), warn: () => undefined };
  try {
    return program === "client"
      ? loadClientConfig(options).config.client.stateDir
      : loadServerConfig(options, program).config.server.stateDir;
  } catch (error) {
    // A file that is being edited, or that names secrets of others, does not hide the program that runs.
    if (path === undefined && error instanceof ConfigError) return undefined;
    throw error;
  }
}
