import { systemClock, type Clock } from "../base/clock.ts";
import { systemRandom, type Random } from "../base/random.ts";

/** Signals that commands answer. SIGPIPE stands for a standard output that nobody reads any more. */
export type SignalName = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGPIPE" | "SIGUSR1";

/** All that a command sees of the world around the process, so that a test can be that world. */
export interface CommandEnvironment {
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly userId: number;
  readonly processId: number;
  readonly clock: Clock;
  readonly random: Random;
  /** Whole lines with their ends, or control sequences for a live line. */
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /**
   * Bytes on standard output. Resolves when they were taken, which is when a slow reader lets them: one call at a time,
   * and the bytes are the caller's again then. Rejects where nobody reads any more.
   */
  readonly writeBytes: (bytes: Uint8Array) => Promise<void>;
  readonly stdoutIsTerminal: boolean;
  readonly stderrIsTerminal: boolean;
  readonly stdinIsTerminal: boolean;
  readonly stdin: KeyboardInput;
  /** Width of the terminal at this moment, 80 where there is none. */
  columns(): number;
  /** Calls `run` for each such signal until the returned function is called. */
  onSignal(name: SignalName, run: () => void): () => void;
  /**
   * Calls `run` for what nobody caught, an exception or a rejection, until the returned function is called. The
   * handler that was set last is the one that is asked.
   */
  onFault(run: (error: unknown) => void): () => void;
  /** Ends the process at once, with nothing cleaned up. */
  exit(code: number): void;
  /** Starts this program anew with these arguments, in the background and without a terminal. */
  startSelf(args: readonly string[]): void;
}

/** Standard input, as bytes or as keys. */
export interface KeyboardInput {
  /** Reads to the end, or until `maxBytes` have come. */
  readAll(maxBytes: number): Promise<Uint8Array>;
  /** Switches echo and line editing of the terminal off, or on again. */
  setRaw(raw: boolean): void;
  /** Hands over what comes; undefined at the end. The returned function stops it. */
  onInput(take: (bytes: Uint8Array | undefined) => void): () => void;
}

/** The process that runs us. */
export function systemEnvironment(): CommandEnvironment {
  const brokenPipe = new Set<() => void>();
  const faultHandlers: ((error: unknown) => void)[] = [];
  const fault = (error: unknown) => faultHandlers.at(-1)?.(error);
  process.stdout.on("error", () => {
    if (brokenPipe.size === 0) process.exit(141);
    for (const run of brokenPipe) run();
  });
  // Nowhere is left to complain to.
  process.stderr.on("error", () => undefined);
  return {
    variables: process.env,
    userId: process.getuid?.() ?? 0,
    processId: process.pid,
    clock: systemClock,
    random: systemRandom,
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    writeBytes: (bytes) =>
      new Promise((resolve, reject) => {
        process.stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
    stdoutIsTerminal: process.stdout.isTTY === true,
    stderrIsTerminal: process.stderr.isTTY === true,
    stdinIsTerminal: process.stdin.isTTY === true,
    stdin: systemInput,
    columns: () => process.stdout.columns || 80,
    onSignal(name, run) {
      if (name === "SIGPIPE") {
        brokenPipe.add(run);
        return () => void brokenPipe.delete(run);
      }
      process.on(name, run);
      return () => void process.off(name, run);
    },
    onFault(run) {
      if (faultHandlers.push(run) === 1) {
        process.on("uncaughtException", fault).on("unhandledRejection", fault);
      }
      return () => {
        const at = faultHandlers.indexOf(run);
        if (at >= 0) faultHandlers.splice(at, 1);
        if (faultHandlers.length > 0) return;
        process.off("uncaughtException", fault).off("unhandledRejection", fault);
      };
    },
    exit: (code) => process.exit(code),
    startSelf(args) {
      // The built binary is its own program; otherwise the runtime is told the file that it began with.
      const program = Bun.main.startsWith("/$bunfs/") ? [] : [Bun.main];
      const stdio = ["ignore", "ignore", "ignore"] as const;
      const child = Bun.spawn([process.execPath, ...program, ...args], {
        stdio: [...stdio],
        detached: true,
        cwd: "/",
      });
      child.unref();
    },
  };
}

const systemInput: KeyboardInput = {
  async readAll(maxBytes) {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of process.stdin as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > maxBytes) break;
    }
    return new Uint8Array(Buffer.concat(chunks));
  },
  setRaw: (raw) => void process.stdin.setRawMode(raw),
  onInput(take) {
    const data = (chunk: Uint8Array) => take(chunk);
    const end = () => take(undefined);
    process.stdin.on("data", data).on("end", end).on("close", end);
    process.stdin.resume();
    return () => {
      process.stdin.off("data", data).off("end", end).off("close", end);
      process.stdin.pause();
      process.stdin.unref();
    };
  },
};
