import { writeSync } from "node:fs";
import { open, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import type { CaptureFiles } from "./capture.ts";

/** What went over a network is its users' own affair. */
const MODE = 0o600;
/** Bytes of one call that nothing else runs beside. */
const DIRECT_BYTES = 256 * 1024;
/** A call that took as long was kept by its disk: for a processor nobody waits so long. */
const SLOW_MS = 500;

/** One file, which is made anew. @throws what the file system says, before anything is captured */
export async function openCaptureFile(path: string, clock: Clock): Promise<CaptureFiles> {
  const file = await CaptureFile.open(path, clock);
  return {
    write: (bytes) => file.write(bytes),
    next: () => Promise.reject(new Error("a single file has no next one")),
    close: () => file.close(),
  };
}

/**
 * Files that follow each other: `net.pcapng` becomes `net_00001_20261122134500.pcapng`. Of a ring with `maxFiles` the
 * oldest that it has written is removed.
 */
export async function openCaptureRing(
  path: string,
  maxFiles: number,
  { clock, onFile }: { readonly clock: Clock; readonly onFile: (path: string) => void },
): Promise<CaptureFiles> {
  const written: string[] = [];
  let count = 0;
  const begin = async () => {
    count += 1;
    const name = ringName(path, count, clock.wall());
    const file = await CaptureFile.open(name, clock);
    onFile(name);
    if (maxFiles === Infinity) return file;
    written.push(name);
    // Somebody may have taken it away before.
    while (written.length > maxFiles) await rm(written.shift()!, { force: true });
    return file;
  };
  let file = await begin();
  return {
    write: (bytes) => file.write(bytes),
    async next() {
      await file.close();
      file = await begin();
    },
    close: () => file.close(),
  };
}

/** The name of the `number`-th file, as dumpcap gives it, in local time. */
export function ringName(path: string, number: number, wallMs: number): string {
  const extension = extname(path);
  const date = new Date(wallMs);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}`;
  const time = `${two(date.getHours())}${two(date.getMinutes())}${two(date.getSeconds())}`;
  const stem = basename(path, extension);
  const name = `${stem}_${String(number).padStart(5, "0")}_${day}${time}${extension}`;
  return join(dirname(path), name);
}

/**
 * Bytes for a file go into the page cache at once: a thread that does it has to be given a processor twice, for which a
 * busy machine takes longer than frames can wait in memory. While its disk is slow, and for pipes, it is a thread that
 * waits.
 */
class CaptureFile {
  readonly #file: FileHandle;
  readonly #clock: Clock;
  readonly #isRegular: boolean;
  #isSlow = false;

  private constructor(file: FileHandle, clock: Clock, isRegular: boolean) {
    this.#file = file;
    this.#clock = clock;
    this.#isRegular = isRegular;
  }

  static async open(path: string, clock: Clock): Promise<CaptureFile> {
    const file = await open(path, "w", MODE);
    try {
      return new CaptureFile(file, clock, (await file.stat()).isFile());
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const since = this.#clock.now();
      at += await this.#writeSome(bytes, at);
      this.#isSlow = this.#clock.now() - since >= SLOW_MS;
    }
  }

  /** May be called twice. */
  close(): Promise<void> {
    return this.#file.close();
  }

  #writeSome(bytes: Uint8Array, at: number): number | Promise<number> {
    const left = bytes.length - at;
    if (this.#isRegular && !this.#isSlow)
      return writeSync(this.#file.fd, bytes, at, Math.min(left, DIRECT_BYTES));
    return this.#file.write(bytes, at, left).then(({ bytesWritten }) => bytesWritten);
  }
}
