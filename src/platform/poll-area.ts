// What a worker poller and its thread share: a table of 32-bit words, changed by atomic operations only.

/** Descriptors that one worker poller can watch. */
export const POLL_SLOTS = 1024;

/** Word numbers; slot n has its state at `states + n` and its descriptor at `fds + n`. */
export const POLL_AREA = {
  closing: 0,
  states: 1,
  fds: 1 + POLL_SLOTS,
  words: 1 + 2 * POLL_SLOTS,
} as const;

/** A slot goes from idle to armed by its owner, and from armed to ready by the polling thread. */
export const SLOT_STATE = { idle: 0, armed: 1, ready: 2 } as const;

/** The one message to the thread. */
export interface PollWorkerStart {
  readonly area: Int32Array;
  /** An eventfd: written to when the table has changed. */
  readonly controlFd: number;
}
