import { EXIT } from "../base/errors.ts";
import type { CommandEnvironment, SignalName } from "./environment.ts";

const EXIT_OF_SIGNAL: Readonly<Record<SignalName, number>> = {
  SIGHUP: 129,
  SIGINT: EXIT.interrupted,
  SIGPIPE: 141,
  SIGUSR1: 138,
  SIGTERM: 143,
};

/** What a shell reports of a process that the signal ended: 128 and the signal's number. */
export function exitCodeOfSignal(name: SignalName): number {
  return EXIT_OF_SIGNAL[name];
}

export interface Interrupts {
  /** The first signal that came. */
  readonly first: SignalName | undefined;
  /** Lets go of the signals. */
  release(): void;
}

/** Calls `stop` for the first of these signals; the second ends the process at once (CL-15). */
export function onInterrupt(
  environment: CommandEnvironment,
  names: readonly SignalName[],
  stop: (name: SignalName) => void,
): Interrupts {
  let first: SignalName | undefined;
  const releases = names.map((name) =>
    environment.onSignal(name, () => {
      if (first !== undefined) return environment.exit(exitCodeOfSignal(name));
      first = name;
      stop(name);
    }),
  );
  return {
    get first() {
      return first;
    },
    release: () => releases.forEach((release) => release()),
  };
}
