import type { LogStorage } from "../../src/observe/log-storage.ts";
import type { ManualClock } from "../support/manual-clock.ts";

interface File {
  bytes: Buffer;
  changed: number;
}

/** A disk in memory that can be full, slow or gone. */
export class MemoryStorage implements LogStorage {
  readonly stored = new Map<string, File>();
  /** Bytes that still fit. */
  room = Infinity;
  /** Why nothing can be opened. */
  refusal: string | undefined;
  /** Writes wait for this. */
  gate: Promise<void> = Promise.resolve();
  writes = 0;
  openHandles = 0;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  text(path: string): string | undefined {
    return this.stored.get(path)?.bytes.toString();
  }

  get paths(): string[] {
    return [...this.stored.keys()].sort();
  }

  add(path: string, changed: number, size = 10): void {
    this.stored.set(path, { bytes: Buffer.alloc(size), changed });
  }

  async open(path: string) {
    if (this.refusal !== undefined) throw new Error(this.refusal);
    if (!this.stored.has(path)) this.add(path, this.#clock.wall(), 0);
    const file = this.stored.get(path)!;
    this.openHandles += 1;
    return {
      size: file.bytes.length,
      write: async (bytes: Uint8Array) => {
        this.writes += 1;
        await this.gate;
        if (this.room === 0) throw new Error("ENOSPC: no space left on device");
        const taken = Math.min(bytes.length, this.room);
        this.room -= taken;
        file.bytes = Buffer.concat([file.bytes, bytes.subarray(0, taken)]);
        file.changed = this.#clock.wall();
        return taken;
      },
      close: async () => void (this.openHandles -= 1),
    };
  }

  async files(folder: string) {
    return [...this.stored]
      .filter(([path]) => path.slice(0, path.lastIndexOf("/")) === folder)
      .map(([path, { bytes, changed }]) => ({
        name: path.slice(folder.length + 1),
        size: bytes.length,
        changed,
      }));
  }

  async folders(folder: string) {
    const below = this.paths.filter((path) => path.startsWith(`${folder}/`));
    const names = below.map((path) => path.slice(folder.length + 1).split("/"));
    return [...new Set(names.filter((parts) => parts.length > 1).map(([first]) => first!))];
  }

  async remove(path: string) {
    this.room += this.stored.get(path)?.bytes.length ?? 0;
    this.stored.delete(path);
  }

  async freeBytes() {
    return this.room;
  }
}

/** Lets everything run that only waits for promises. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 200; i += 1) await Promise.resolve();
}
