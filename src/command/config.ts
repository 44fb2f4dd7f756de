import { hostname } from "node:os";
import { EXIT, type ExitCode } from "../base/errors.ts";
import { loadServerConfig } from "../config/load.ts";
import { formatProblem, type ConfigProblem } from "../config/problem.ts";
import type { CHECK_FLAGS } from "./catalog.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";

/** `vpn config check [FILE]`: ends with 0, or with 78 and a line for every fault. */
export async function check(
  environment: CommandEnvironment,
  flags: FlagValues<typeof CHECK_FLAGS>,
  file?: string,
): Promise<ExitCode> {
  const warnings: ConfigProblem[] = [];
  const loaded = loadServerConfig(
    {
      path: file,
      env: environment.variables,
      isRoot: environment.userId === 0,
      hostName: hostname(),
      warn: (problem) => warnings.push(problem),
    },
    flags.bridge ? "bridge" : "server",
  );
  const { config, files, usedDefaults } = loaded;
  if (flags.json) {
    environment.stdout(`${JSON.stringify({ files, usedDefaults, warnings })}\n`);
    return EXIT.ok;
  }
  for (const problem of warnings) environment.stderr(`${formatProblem(problem)} (warning)\n`);
  const users = config.hubs.reduce((sum, hub) => sum + hub.users.length, 0);
  const where = usedDefaults
    ? "No file is there, so the defaults hold"
    : `${files.join(", ")} is good`;
  environment.stdout(
    `${where}: ${count(config.hubs.length, "hub")}, ${count(users, "user")}, ${count(warnings.length, "warning")}\n`,
  );
  return EXIT.ok;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
