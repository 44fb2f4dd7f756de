import { constants } from "node:fs";
import { lstat, mkdir, open, readdir, statfs, unlink } from "node:fs/promises";
import { dirname } from "node:path";

/** An open log file. */
export interface LogHandle {
  /** In bytes, when it was opened. */
  readonly size: number;
  /** Bytes that were taken, perhaps fewer. @throws where there is no room, and the like */
  write(bytes: Uint8Array): Promise<number>;
  close(): Promise<void>;
}

export interface StoredFile {
  readonly name: string;
  readonly size: number;
  /** Wall-clock milliseconds of the last change. */
  readonly changed: number;
}

/** The part of a file system that logs need. */
export interface LogStorage {
  /** Opens a file to append to it; makes it and its folders for its owner alone. */
  open(path: string): Promise<LogHandle>;
  /** Regular files of a folder; none where there is no folder. */
  files(folder: string): Promise<StoredFile[]>;
  folders(folder: string): Promise<string[]>;
  remove(path: string): Promise<void>;
  /** Bytes that are free below a folder. */
  freeBytes(folder: string): Promise<number>;
}

export const diskStorage: LogStorage = {
  async open(path) {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    // A link that somebody laid in place of the log is not followed.
    const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants;
    const handle = await open(path, O_APPEND | O_CREAT | O_NOFOLLOW | O_WRONLY, 0o600);
    const { size } = await handle.stat();
    return {
      size,
      write: async (bytes) => (await handle.write(bytes)).bytesWritten,
      close: () => handle.close(),
    };
  },

  async files(folder) {
    const found: StoredFile[] = [];
    for (const name of await namesIn(folder)) {
      const stat = await lstat(`${folder}/${name}`).catch(absent);
      if (stat?.isFile()) found.push({ name, size: stat.size, changed: stat.mtimeMs });
    }
    return found;
  },

  async folders(folder) {
    const found: string[] = [];
    for (const name of await namesIn(folder)) {
      if ((await lstat(`${folder}/${name}`).catch(absent))?.isDirectory()) found.push(name);
    }
    return found;
  },

  remove: (path) => unlink(path),

  async freeBytes(folder) {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  },
};

async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(absent)) ?? [];
}

/** What is gone by now, or not there yet, is no fault. */
function absent(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  return undefined;
}
