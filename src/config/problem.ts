import { ConfigError, type SourcePosition } from "../base/errors.ts";

/** One fault or doubt about a configuration file. `text` never holds the value of a secret. */
export interface ConfigProblem {
  readonly position: SourcePosition;
  /** Path of the key, `server.listen`; "" for faults of the file as a whole. */
  readonly key: string;
  readonly text: string;
}

/** `config.toml:7:12: server.lisen: unknown key`. */
export function formatProblem(problem: ConfigProblem): string {
  const { file, line, column } = problem.position;
  const key = problem.key === "" ? "" : `${problem.key}: `;
  return `${file}:${line}:${column}: ${key}${problem.text}`;
}

/** Every fault of a configuration at once; the message has one formatted line for each. */
export class ConfigProblemsError extends ConfigError {
  readonly problems: readonly ConfigProblem[];
  constructor(problems: readonly [ConfigProblem, ...ConfigProblem[]]) {
    super(problems.map(formatProblem).join("\n"), {
      position: problems[0].position,
      key: problems[0].key,
    });
    this.problems = problems;
  }
}
