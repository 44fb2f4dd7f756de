import { closeSync, constants, openSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import { EXIT, ExitError } from "../base/errors.ts";
import { tryLockFile } from "../platform/unix.ts";

const ASK_MS = 20;
/** Programs that undo something for a client that crashed have 10 s each, and there are three of them at most. */
const WAIT_MS = 40_000;

/**
 * Does `work` while no other process does the same with this state directory: start a client, undo what a crash left,
 * change accounts. Two that start as one account would take each other's socket, and who undoes what an account left
 * must not meet its next start. The kernel drops the lock with the process.
 * @throws ExitError 75 where the others do not come to an end
 */
export async function inTurn<T>(
  stateDir: string,
  clock: Clock,
  work: () => T | Promise<T>,
): Promise<T> {
  // The directory itself: a file for it would have to stay for ever.
  const fd = openSync(stateDir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    for (let waited = 0; !tryLockFile(fd); waited += ASK_MS) {
      if (waited >= WAIT_MS) {
        const text = `Cannot use ${stateDir}: another process has held it for ${WAIT_MS / 1000} s`;
        throw new ExitError(EXIT.temporary, text);
      }
      await new Promise<void>((wake) => void clock.after(ASK_MS, wake));
    }
    return await work();
  } finally {
    closeSync(fd);
  }
}
