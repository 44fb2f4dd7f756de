import { open, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import type { CaptureFiles } from "./capture.ts";

/** What went over a network is its users' own affair. */
const MODE = 0o600;

/** One file, which is made anew. @throws what the file system says, before anything is captured */
export async function openCaptureFile(path: string): Promise<CaptureFiles> {
  const file = await open(path, "w", MODE);
  return {
    write: (bytes) => writeAll(file, bytes),
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
    const file = await open(name, "w", MODE);
    written.push(name);
    onFile(name);
    // Somebody may have taken it away before.
    while (written.length > maxFiles) await rm(written.shift()!, { force: true });
    return file;
  };
  let file: FileHandle = await begin();
  return {
    write: (bytes) => writeAll(file, bytes),
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

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at);
    at += bytesWritten;
  }
}
