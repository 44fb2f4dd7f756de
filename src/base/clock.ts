/** The one way to read time and to wait. Handed in everywhere, so that a test moves it by hand. */
export interface Clock {
  /** Monotonic milliseconds: for ages, deadlines and rates. */
  now(): number;
  /** Wall-clock milliseconds since 1970: for logs and dates. */
  wall(): number;
  /** Calls `run` once after `ms`; the timer is held by its owner, who cancels it. */
  after(ms: number, run: () => void): Timer;
  /** Calls `run` every `ms` until cancelled. */
  every(ms: number, run: () => void): Timer;
}

export interface Timer {
  cancel(): void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(ms, run) {
    const handle = setTimeout(run, ms);
    return { cancel: () => clearTimeout(handle) };
  },
  every(ms, run) {
    const handle = setInterval(run, ms);
    return { cancel: () => clearInterval(handle) };
  },
};
