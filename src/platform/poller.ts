// Waiting until a descriptor that the runtime cannot wait for (TAP, raw socket) has something to read.
import { SystemError } from "../base/errors.ts";
import { tryOpenAioPoller } from "./aio-poller.ts";
import { openWorkerPoller } from "./worker-poller.ts";

/** One descriptor that is waited for. */
export interface Watch {
  /**
   * Asks for one call of `onReadable` as soon as there is something to read, or an error to learn of by reading.
   * Asking twice is asking once. The call may come in vain: read until EAGAIN and arm again.
   * @throws SystemError if the system refuses, as it does for a closed descriptor
   */
  arm(): void;
  /**
   * Ends the watch; `onReadable` is not called any more. Do so before closing the descriptor: a wait that goes on
   * keeps the file, and with it the interface, alive. May be called twice.
   */
  remove(): void;
}

/** Waits for any number of descriptors at once, without using the processor while nothing happens. */
export interface Poller {
  add(fd: number, onReadable: () => void): Watch;
  /** Removes all watches and frees all it holds. May be called twice. */
  close(): void;
}

/**
 * Opens a poller: Linux AIO where it is allowed, else a thread that blocks in poll(2).
 * @throws SystemError if there are no descriptors left
 */
export function openPoller(): Poller {
  const poller = tryOpenAioPoller();
  return poller instanceof SystemError ? openWorkerPoller() : poller;
}
