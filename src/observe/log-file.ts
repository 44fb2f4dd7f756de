// One log in files: put() -> queue -> one write per burst -> the file of the moment, or the next part of it.
import type { Clock, Timer } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import {
  LOG_CALM_MS,
  LOG_CLOSE_MS,
  LOG_FLUSH_MS,
  LOG_IDLE_MS,
  LOG_RETRY_MS,
  MAX_LOG_QUEUE_BYTES,
  MAX_LOG_WRITE_BYTES,
} from "../base/limits.ts";
import { logFileName, type LogRotation, rotationSuffix } from "./log-name.ts";
import type { LogHandle, LogStorage } from "./log-storage.ts";

export interface LogFileSettings {
  /** Absolute. */
  readonly folder: string;
  readonly prefix: string;
  readonly rotation: LogRotation;
  /** A file of this size goes on as `~01`. */
  readonly maxBytes: number;
}

export interface LogFileDeps {
  readonly clock: Clock;
  readonly storage: LogStorage;
  /** Writing has become impossible, which is told once, or works again. */
  readonly onTrouble: (trouble: LogTrouble) => void;
}

export type LogTrouble =
  | { readonly kind: "failed"; readonly path: string; readonly why: string }
  | { readonly kind: "full"; readonly path: string }
  | { readonly kind: "recovered"; readonly path: string; readonly lost: number };

/** So much is written at once, however young it is. */
const EAGER_BYTES = MAX_LOG_QUEUE_BYTES / 4;

interface Line {
  readonly text: string;
  readonly suffix: string;
  readonly bytes: number;
}

/**
 * Takes lines and never waits: they stand in a queue that is bounded in bytes until a write takes them. What finds no room
 * there, or cannot be written, is lost and counted (robustness.md FR-25, FI-07).
 */
export class LogFile {
  written = 0;
  lost = 0;
  readonly #deps: LogFileDeps;
  #settings: LogFileSettings;
  #queue: Line[] = [];
  #queuedBytes = 0;
  #timer: Timer | undefined;
  #idle: Timer | undefined;
  #writing: Promise<void> | undefined;
  #handle: LogHandle | undefined;
  #path = "";
  #suffix = "";
  #part = 0;
  #size = 0;
  /** The file may end within a line. */
  #isTorn = false;
  #mustReopen = false;
  #isClosed = false;
  /** Writing begins with the next turn, or is being tried again. */
  #isLate = false;
  /** Count of lost lines when the present trouble began. */
  #troubleSince: number | undefined;
  #lastLoss = 0;

  constructor(settings: LogFileSettings, deps: LogFileDeps) {
    this.#settings = settings;
    this.#deps = deps;
  }

  /** The file that is open now, which nobody should remove. */
  get path(): string | undefined {
    return this.#handle === undefined ? undefined : this.#path;
  }

  /** Lines from now on go where these say. */
  reconfigure(settings: LogFileSettings): void {
    const { folder, prefix } = this.#settings;
    if (folder !== settings.folder || prefix !== settings.prefix) this.#mustReopen = true;
    this.#settings = settings;
  }

  /** Opens the file anew with the next line: whoever moved the old one away gets it whole. */
  reopen(): void {
    this.#mustReopen = true;
  }

  /** `text` is one line without its end; `wall` is when it happened. */
  put(text: string, wall: number): void {
    const bytes = Buffer.byteLength(text) + 2;
    if (this.#isClosed || this.#queuedBytes + bytes > MAX_LOG_QUEUE_BYTES) {
      this.lost += 1;
      this.#lastLoss = this.#deps.clock.now();
      if (this.#isClosed || this.#troubleSince !== undefined) return;
      this.#troubleSince = this.lost - 1;
      this.#deps.onTrouble({ kind: "full", path: this.#path });
      return;
    }
    const suffix = rotationSuffix(this.#settings.rotation, wall);
    this.#queue.push({ text, suffix, bytes });
    this.#queuedBytes += bytes;
    if (this.#queuedBytes < EAGER_BYTES || this.#writing !== undefined || this.#isLate) {
      return this.#schedule(LOG_FLUSH_MS);
    }
    // A burst that would fill the queue before its time.
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#isLate = true;
    this.#schedule(0);
  }

  /** Writes what waits, within LOG_CLOSE_MS, and closes the file. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    const done = Promise.withResolvers<void>();
    const limit = this.#deps.clock.after(LOG_CLOSE_MS, done.resolve);
    await Promise.race([this.#drain(), done.promise]);
    limit.cancel();
    this.lost += this.#queue.length;
    this.#queue = [];
  }

  async #drain(): Promise<void> {
    await this.#writing;
    if (this.#queue.length > 0) await this.#write();
    await this.#release();
  }

  #schedule(ms: number): void {
    if (this.#timer !== undefined || this.#writing !== undefined || this.#isClosed) return;
    this.#timer = this.#deps.clock.after(ms, () => {
      this.#timer = undefined;
      this.#isLate = false;
      this.#writing = this.#write().then((isGood) => {
        this.#writing = undefined;
        if (this.#queue.length === 0) return;
        // What a disk refuses is not tried again sooner because there is more of it.
        this.#isLate = true;
        this.#schedule(isGood ? 0 : LOG_RETRY_MS);
      });
    });
  }

  /** Writes what is queued now; false if it could not. */
  async #write(): Promise<boolean> {
    this.#idle?.cancel();
    let left = this.#queue.length;
    while (left > 0) {
      let lines: readonly Line[] = [];
      try {
        await this.#openFor(this.#queue[0]!);
        lines = this.#take(left);
        left -= lines.length;
        await this.#append(lines);
        this.written += lines.length;
      } catch (error) {
        // A file that cannot be opened loses nothing yet: the lines wait, as long as there is room for them.
        this.#fail(lines.length, error);
        return false;
      }
      this.#recover();
    }
    this.#armIdle();
    return true;
  }

  /** Opens the file for a line, or the next part of it where that is full. */
  async #openFor({ suffix, bytes }: Line): Promise<void> {
    const { folder, prefix, maxBytes } = this.#settings;
    const isFull = () => this.#size > 0 && this.#size + bytes > maxBytes;
    if (this.#mustReopen || suffix !== this.#suffix) {
      await this.#release();
      this.#part = 0;
    } else if (this.#handle !== undefined && isFull()) {
      await this.#release();
      this.#part += 1;
    }
    this.#mustReopen = false;
    this.#suffix = suffix;
    while (this.#handle === undefined) {
      this.#path = `${folder}/${logFileName(prefix, suffix, this.#part)}`;
      const handle = await this.#deps.storage.open(this.#path);
      this.#size = handle.size;
      if (isFull()) {
        await handle.close();
        this.#part += 1;
      } else {
        this.#handle = handle;
      }
    }
  }

  /** Lines from the head of the queue that go into the open file in one write; at least one. */
  #take(most: number): readonly Line[] {
    const room = Math.min(MAX_LOG_WRITE_BYTES, this.#settings.maxBytes - this.#size);
    let count = 0;
    let bytes = 0;
    while (count < most) {
      const line = this.#queue[count]!;
      if (line.suffix !== this.#suffix || (count > 0 && bytes + line.bytes > room)) break;
      bytes += line.bytes;
      count += 1;
    }
    this.#queuedBytes -= bytes;
    return this.#queue.splice(0, count);
  }

  async #append(lines: readonly Line[]): Promise<void> {
    const text = lines.map((line) => `${line.text}\r\n`).join("");
    const bytes = Buffer.from(this.#isTorn ? `\r\n${text}` : text);
    this.#isTorn = true;
    for (let at = 0; at < bytes.length;) {
      const taken = await this.#handle!.write(bytes.subarray(at));
      if (taken === 0) throw new Error("the file takes nothing");
      at += taken;
      this.#size += taken;
    }
    this.#isTorn = false;
  }

  #fail(lost: number, error: unknown): void {
    this.lost += lost;
    this.#lastLoss = this.#deps.clock.now();
    if (this.#troubleSince === undefined) {
      this.#troubleSince = this.lost - lost;
      this.#deps.onTrouble({ kind: "failed", path: this.#path, why: messageOf(error) });
    }
  }

  /** Told when it has lasted: a disk that is now and then too slow makes two lines, not two for each time. */
  #recover(): void {
    if (this.#troubleSince === undefined) return;
    if (this.#deps.clock.now() - this.#lastLoss < LOG_CALM_MS) return;
    const lost = this.lost - this.#troubleSince;
    this.#troubleSince = undefined;
    this.#deps.onTrouble({ kind: "recovered", path: this.#path, lost });
  }

  #armIdle(): void {
    if (this.#isClosed || this.#handle === undefined) return;
    this.#idle = this.#deps.clock.after(LOG_IDLE_MS, () => {
      if (this.#writing === undefined) this.#writing = this.#release().then(() => this.#rest());
    });
  }

  /** Goes on with lines that came while the file was being closed. */
  #rest(): void {
    this.#writing = undefined;
    if (this.#queue.length > 0) this.#schedule(0);
  }

  async #release(): Promise<void> {
    this.#idle?.cancel();
    const handle = this.#handle;
    this.#handle = undefined;
    // What was written has been written; a file system may still complain about it now.
    await handle?.close().catch((error: unknown) => this.#fail(0, error));
  }
}
