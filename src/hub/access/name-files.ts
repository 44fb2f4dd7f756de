import { readFileSync, statSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import type { Clock, Timer } from "../../base/clock.ts";
import { MAX_ACCESS_FILE_BYTES } from "../../base/limits.ts";
import type { Log } from "../../observe/log.ts";
import { plainName } from "./user-terms.ts";

/** Reads files of names, at most MAX_ACCESS_FILE_BYTES of each; throws where that is not possible. */
export interface NameFileReader {
  /** Before the first frame is judged by it. */
  read(path: string): string;
  /** Later on. */
  reread(path: string): Promise<string>;
}

export const systemNameFiles: NameFileReader = {
  read(path) {
    refuseLarge(path, statSync(path).size);
    return readFileSync(path, "utf8");
  },
  async reread(path) {
    refuseLarge(path, (await stat(path)).size);
    return readFile(path, "utf8");
  },
};

function refuseLarge(path: string, size: number): void {
  if (size > MAX_ACCESS_FILE_BYTES)
    throw new RangeError(`Cannot read ${path}: ${size} bytes, at most ${MAX_ACCESS_FILE_BYTES}`);
}

/** The names in a file: one a line, comments begin with "#", "//" or ";" (hub.md 7.2). */
export function parseNames(text: string): ReadonlySet<string> {
  const names = new Set<string>();
  for (const line of text.split(/\r\n|\r|\n/)) {
    const name = line.trim();
    if (name !== "" && !/^(?:#|\/\/|;)/.test(name)) names.add(plainName(name));
  }
  return names;
}

/**
 * The files that the rules of a hub refer to. They are read when the list is compiled, and again by a timer: so the
 * frame path never waits for a disk nor looks at a clock, and what it knows is never older than the lifetime, not
 * even on a hub that was silent for hours. A file that cannot be read counts as what it was before, or as empty.
 */
export class NameFiles {
  readonly #names = new Map<string, ReadonlySet<string>>();
  readonly #texts = new Map<string, string>();
  readonly #broken = new Set<string>();
  readonly #reader: NameFileReader;
  readonly #log: Log;
  readonly #onChange: () => void;
  readonly #timer: Timer | undefined;
  #isReading = false;
  #isClosed = false;

  /** @param lifetimeMs 0 reads each file once */
  constructor(
    paths: readonly string[],
    deps: {
      readonly reader: NameFileReader;
      readonly clock: Clock;
      readonly log: Log;
      readonly lifetimeMs: number;
      readonly onChange: () => void;
    },
  ) {
    this.#reader = deps.reader;
    this.#log = deps.log;
    this.#onChange = deps.onChange;
    for (const path of paths) {
      try {
        this.#take(path, this.#reader.read(path));
      } catch (thrown) {
        this.#complain(path, thrown);
      }
    }
    if (paths.length > 0 && deps.lifetimeMs > 0)
      this.#timer = deps.clock.every(deps.lifetimeMs, () => void this.refresh(paths));
  }

  /** `name` as plainName() gives it. */
  has(path: string, name: string): boolean {
    return this.#names.get(path)?.has(name) ?? false;
  }

  /** Reads them again, one after the other; not while that goes on already. */
  async refresh(paths: readonly string[]): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    let isNew = false;
    for (const path of paths) {
      if (this.#isClosed) return;
      try {
        if (this.#take(path, await this.#reader.reread(path))) isNew = true;
      } catch (thrown) {
        this.#complain(path, thrown);
      }
    }
    this.#isReading = false;
    if (isNew && !this.#isClosed) this.#onChange();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  /** True if it says something else than before. */
  #take(path: string, text: string): boolean {
    this.#broken.delete(path);
    if (this.#texts.get(path) === text) return false;
    this.#texts.set(path, text);
    this.#names.set(path, parseNames(text));
    return true;
  }

  #complain(path: string, thrown: unknown): void {
    if (this.#broken.has(path)) return;
    this.#broken.add(path);
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    this.#log.warn("access_file_unreadable", `Cannot read names of an access rule: ${why}`, {
      path,
    });
  }
}
