import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { MAX_UNDO_BYTES } from "../base/limits.ts";
import { bootId, tryMarkProcess, type ProcessMark } from "../platform/process-life.ts";
import { controlPath } from "./control-call.ts";
import { encodeStep, outlivesBoot, tryParseStep, type UndoStep } from "./undo-step.ts";

const SUFFIX = ".undo";
const VERSION = 1;

/** The undo file of an account, beside its socket (config-proposal.md 2.1). */
export function undoPath(stateDir: string, name: string): string {
  return controlPath(stateDir, name).replace(/\.sock$/, SUFFIX);
}

/** The undo files in the state directory, in order. */
export function listUndoFiles(stateDir: string): string[] {
  if (!existsSync(stateDir)) return [];
  const names = readdirSync(stateDir).filter((name) => name.endsWith(SUFFIX));
  return names.sort().map((name) => join(stateDir, name));
}

/** What a file holds that a process left, as far as it still stands. */
export interface Leftover {
  readonly path: string;
  /** The account's. */
  readonly name: string;
  readonly owner: ProcessMark;
  readonly steps: readonly UndoStep[];
}

/** Reads an undo file; undefined if there is none, or it is not one: then nothing in it can be trusted. */
export function tryReadLeftover(path: string): Leftover | undefined {
  try {
    if (statSync(path).size > MAX_UNDO_BYTES) return undefined;
    const { version, name, owner, steps } = JSON.parse(readFileSync(path, "utf8")) as {
      version?: unknown;
      name?: unknown;
      owner?: Partial<ProcessMark>;
      steps?: unknown;
    };
    const { pid, startTicks, boot } = owner ?? {};
    if (version !== VERSION || typeof name !== "string" || !Array.isArray(steps)) return undefined;
    if (pid === undefined || startTicks === undefined || boot === undefined) return undefined;
    const parsed = steps.map(tryParseStep);
    const known = parsed.filter((step) => step !== undefined);
    if (known.length !== parsed.length) return undefined;
    const isOtherBoot = boot !== bootId();
    const standing = isOtherBoot ? known.filter(outlivesBoot) : known;
    return { path, name, owner: { pid, startTicks, boot }, steps: standing };
  } catch (error) {
    if (error instanceof SyntaxError || (error as { code?: string }).code === "ENOENT") {
      return undefined;
    }
    throw error;
  }
}

/**
 * What must be taken back when the account ends, on disk before it is done, so that a crash at any moment leaves
 * either nothing to undo or a record of it. A recorded step may therefore never have been done: undoing allows for it.
 */
export class UndoFile {
  readonly #place: Omit<Leftover, "steps">;
  #steps: UndoStep[] = [];

  constructor(stateDir: string, name: string, pid: number) {
    const owner = tryMarkProcess(pid);
    if (owner === undefined) throw new Error(`process ${pid} does not run`);
    const path = undoPath(stateDir, name);
    this.#place = { path, name, owner };
    // What another process of this account left and could not be undone yet is ours from now on.
    this.#replace([...(tryReadLeftover(path)?.steps ?? [])]);
  }

  get steps(): readonly UndoStep[] {
    return this.#steps;
  }

  /** Records steps that are about to be done. @throws where the disk does not take it: then do not do them */
  record(...steps: readonly UndoStep[]): void {
    this.#replace([...this.#steps, ...steps]);
  }

  /** Records a change of what was recorded before; `was` goes. */
  exchange(was: UndoStep, step: UndoStep): void {
    this.#replace(this.#steps.map((each) => (each === was ? step : each)));
  }

  /** Forgets steps that are undone; with the last one the file goes. */
  forget(...steps: readonly UndoStep[]): void {
    this.#replace(this.#steps.filter((each) => !steps.includes(each)));
  }

  #replace(steps: UndoStep[]): void {
    keepLeftover(this.#place, steps);
    this.#steps = steps;
  }
}

/** Writes down what is to be undone, or removes the file where nothing is. */
export function keepLeftover(
  { path, name, owner }: Omit<Leftover, "steps">,
  steps: readonly UndoStep[],
): void {
  if (steps.length === 0) return rmSync(path, { force: true });
  const record = { version: VERSION, name, owner, steps: steps.map(encodeStep) };
  writeDurably(path, `${JSON.stringify(record, null, 1)}\n`);
}

/** On disk, whole, with mode 0600, when this returns. */
function writeDurably(path: string, text: string): void {
  const fd = openSync(`${path}.new`, "w", 0o600);
  try {
    writeFileSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${path}.new`, path);
  const directory = openSync(dirname(path), "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
