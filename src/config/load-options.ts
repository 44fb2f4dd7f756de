import type { ConfigProblem } from "./problem.ts";
import type { SourceFiles } from "./source-files.ts";

export interface LoadOptions {
  /** What `--config` named; else the default place is looked at. */
  readonly path?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly isRoot: boolean;
  /** For `server.name`. */
  readonly hostName: string;
  /** By default the file system of this machine. */
  readonly files?: SourceFiles;
  /** Called for each doubt that does not stop the start; the text is ready for people by `formatProblem()`. */
  readonly warn: (problem: ConfigProblem) => void;
}

export interface Loaded<T> {
  readonly config: T;
  /** The main file first, then those that `include` named; what a watcher looks at. Empty where there is no file. */
  readonly files: readonly string[];
  /** No file was named and none is at the default place: these are the defaults of the empty file. */
  readonly usedDefaults: boolean;
}
