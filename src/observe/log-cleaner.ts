import type { Clock, Timer } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import { LOG_CLEAN_MS, MAX_LOG_FILES } from "../base/limits.ts";
import type { Log } from "./log.ts";
import { isLogFileName } from "./log-name.ts";
import type { LogStorage } from "./log-storage.ts";

export interface CleanerSettings {
  /** Absolute. */
  readonly dir: string;
  /** Files that were last written to longer ago go; 0 keeps them. */
  readonly keepMs: number;
  /** With less room than this the oldest go. */
  readonly minFreeBytes: number;
}

/** Where the logs of one kind are, below the folder of logs. */
export const LOG_FOLDERS = {
  server: { folder: "server_log", prefix: "vpn", isByHub: false },
  security: { folder: "security_log", prefix: "sec", isByHub: true },
  packet: { folder: "packet_log", prefix: "pkt", isByHub: true },
} as const;

interface OldFile {
  readonly path: string;
  readonly changed: number;
}

/** Removes old log files, the oldest first (hub.md 10): only what is named as ours, and never a file that is open. */
export class LogCleaner {
  removed = 0;
  readonly #deps: {
    readonly clock: Clock;
    readonly storage: LogStorage;
    readonly log: Log;
    readonly isOpen: (path: string) => boolean;
  };
  #settings: CleanerSettings;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #isShort = false;

  constructor(
    settings: CleanerSettings,
    deps: {
      readonly clock: Clock;
      readonly storage: LogStorage;
      readonly log: Log;
      readonly isOpen: (path: string) => boolean;
    },
  ) {
    this.#settings = settings;
    this.#deps = deps;
    this.#timer = deps.clock.every(LOG_CLEAN_MS, () => void this.clean());
  }

  reconfigure(settings: CleanerSettings): void {
    this.#settings = settings;
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Looks now. Resolves when it is done; a second look waits for the first. */
  clean(): Promise<void> {
    this.#running ??= this.#clean()
      .catch((error: unknown) =>
        this.#deps.log.warn("log_clean_failed", `Old log files stay: ${messageOf(error)}`),
      )
      .finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #clean(): Promise<void> {
    const { clock, storage, log } = this.#deps;
    const { dir, keepMs, minFreeBytes } = this.#settings;
    const files = await this.#oldestFirst();
    let count = 0;
    let refusal: string | undefined;
    const remove = async (path: string) => {
      try {
        await storage.remove(path);
        count += 1;
      } catch (error) {
        refusal = messageOf(error);
      }
    };
    const oldest = keepMs === 0 ? -Infinity : clock.wall() - keepMs;
    const rest = files.filter(({ changed }) => changed >= oldest);
    for (const { path } of files.slice(0, files.length - rest.length)) await remove(path);
    let free = await storage.freeBytes(dir).catch(() => Infinity);
    for (const { path } of rest) {
      if (free >= minFreeBytes) break;
      await remove(path);
      free = await storage.freeBytes(dir);
    }
    if (refusal !== undefined) log.warn("log_clean_failed", `Old log files stay: ${refusal}`);
    this.removed += count;
    if (count > 0) log.info("logs_removed", "Old log files were removed", { count, dir });
    const isShort = free < minFreeBytes;
    if (isShort && !this.#isShort) {
      const text = "There is less room for logs than log.min_free, and no old file to remove";
      log.warn("log_room", text, { dir, free });
    }
    this.#isShort = isShort;
  }

  async #oldestFirst(): Promise<OldFile[]> {
    const { storage, isOpen } = this.#deps;
    const found: OldFile[] = [];
    for (const { folder, prefix, isByHub } of Object.values(LOG_FOLDERS)) {
      const root = `${this.#settings.dir}/${folder}`;
      const folders = isByHub
        ? (await storage.folders(root)).map((name) => `${root}/${name}`)
        : [root];
      for (const each of folders) {
        for (const { name, changed } of await storage.files(each)) {
          const path = `${each}/${name}`;
          if (!isLogFileName(name, prefix) || isOpen(path)) continue;
          if (found.length < MAX_LOG_FILES) found.push({ path, changed });
        }
      }
    }
    return found.toSorted((a, b) => a.changed - b.changed);
  }
}
