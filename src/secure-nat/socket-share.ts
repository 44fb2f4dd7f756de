import { OPEN_FILES_BESIDES_NAT } from "../base/limits.ts";
import { openFilesLimit } from "../platform/unix.ts";

/**
 * What guests may have of this process's descriptors. Without a bound of their own they could take all of them, and
 * nobody could log in any more.
 */
export class SocketShare {
  readonly #readLimit: () => number;
  #most: number | undefined;
  #taken = 0;

  /** @param readLimit is asked once, when the first is taken: the process raises its limit before */
  constructor(readLimit: () => number) {
    this.#readLimit = readLimit;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Counts one socket more; false if there must not be one. */
  take(): boolean {
    this.#most ??= shareOf(this.#readLimit());
    if (this.#taken >= this.#most) return false;
    this.#taken += 1;
    return true;
  }

  give(): void {
    this.#taken -= 1;
  }
}

function shareOf(limit: number): number {
  return limit - Math.min(Math.floor(limit / 2), OPEN_FILES_BESIDES_NAT);
}

/** The one of the process: all its hubs together. */
export const socketShare = new SocketShare(openFilesLimit);
