import { watch, type FSWatcher } from "node:fs";
import { dirname } from "node:path";
import type { Clock, Timer } from "../base/clock.ts";

/** Programs empty a file before they write it: what stands there after this time is what they meant. */
const SETTLE_MS = 200;

/** Notices that somebody has written or replaced a file. */
export class FileWatch {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #onChange: () => void;
  #watchers: FSWatcher[] = [];
  #timer: Timer | undefined;

  constructor(path: string, clock: Clock, onChange: () => void) {
    this.#path = path;
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /**
   * Begins to watch the file that stands there now, and its folder for another in its place: a file that is a mount of
   * its own is written without the folder's knowledge. Replaces the watch of before. The first look is due without any
   * change: somebody may have written before the watch stood.
   */
  start(): void {
    this.stop();
    for (const place of [dirname(this.#path), this.#path]) {
      try {
        const watcher = watch(place, { persistent: false }, () => this.#notice());
        // A file that goes away ends its own watch; the folder's tells of the next one.
        watcher.on("error", () => watcher.close());
        this.#watchers.push(watcher);
      } catch (error) {
        // No watches left (fs.inotify.max_user_watches), or no such file: then nothing is noticed.
        if (!(error instanceof Error && "code" in error)) throw error;
      }
    }
    this.#notice();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
  }

  #notice(): void {
    this.#timer ??= this.#clock.after(SETTLE_MS, () => {
      this.#timer = undefined;
      this.#onChange();
    });
  }
}
