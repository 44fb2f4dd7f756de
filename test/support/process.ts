/** What a finished helper process left behind. */
export interface Finished {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** The process is killed after this long, so that nothing waits for ever. */
  readonly deadlineMs?: number;
  readonly stdin?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

const DEFAULT_DEADLINE_MS = 20_000;

/** Runs a command to its end. The exit code is 124 where the deadline ended it. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const started = performance.now();
  const deadlineMs = options.deadlineMs ?? DEFAULT_DEADLINE_MS;
  const child = Bun.spawn([...command], {
    stdin: options.stdin === undefined ? "ignore" : new Blob([options.stdin]),
    stdout: "pipe",
    stderr: "pipe",
    timeout: deadlineMs,
    killSignal: "SIGKILL",
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: { ...process.env, ...options.env } }),
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  await child.exited;
  const late = child.signalCode === "SIGKILL" && performance.now() - started >= deadlineMs;
  return { exitCode: late ? 124 : (child.exitCode ?? 128), stdout, stderr };
}

/** As run(), but an exit code other than 0 throws with what the command printed. */
export async function check(
  command: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const finished = await run(command, options);
  if (finished.exitCode !== 0) {
    throw new Error(
      `${command.join(" ")} ended with ${finished.exitCode}\n${finished.stdout}${finished.stderr}`,
    );
  }
  return finished;
}

/** Asks `probe` again and again until it gives something; the error of a late one says what was waited for. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  options: { deadlineMs?: number; everyMs?: number; explain?: () => string } = {},
): Promise<T> {
  const end = performance.now() + (options.deadlineMs ?? 10_000);
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    if (performance.now() >= end) {
      throw new Error(`waited in vain: ${what}${options.explain ? `\n${options.explain()}` : ""}`);
    }
    await Bun.sleep(options.everyMs ?? 25);
  }
}

/** A process that goes on until it is stopped; its output is kept, line by line. */
export class Running {
  readonly pid: number;
  readonly lines = { stdout: [] as string[], stderr: [] as string[] };
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #drained: Promise<unknown>;

  constructor(command: readonly string[], options: Omit<RunOptions, "stdin" | "deadlineMs"> = {}) {
    this.#child = Bun.spawn([...command], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: { ...process.env, ...options.env } }),
    });
    this.pid = this.#child.pid;
    this.#drained = Promise.all([
      collectLines(this.#child.stdout, this.lines.stdout),
      collectLines(this.#child.stderr, this.lines.stderr),
    ]);
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Everything it printed, for the message of a failed test. */
  output(): string {
    return [...this.lines.stdout, ...this.lines.stderr].join("\n");
  }

  /** Sends a signal and waits for the end; SIGKILL follows after the deadline. Gives the exit code, -1 for a signal. */
  async stop(signal: NodeJS.Signals = "SIGTERM", deadlineMs = 10_000): Promise<number> {
    if (this.alive) this.#child.kill(signal);
    return this.ended(deadlineMs);
  }

  /** Waits for the process to end by itself, and kills it after the deadline. */
  async ended(deadlineMs = 10_000): Promise<number> {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), deadlineMs);
    await this.#child.exited;
    clearTimeout(timer);
    // A child of its own that lives on keeps the pipes open; what was printed until now is enough.
    await Promise.race([this.#drained, Bun.sleep(250)]);
    return this.#child.exitCode ?? -1;
  }
}

async function collectLines(stream: ReadableStream<Uint8Array>, into: string[]): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    into.push(...parts);
  }
  if (rest !== "") into.push(rest);
}
