import type {
  CommandEnvironment,
  KeyboardInput,
  SignalName,
} from "../../src/command/environment.ts";
import { ManualClock } from "./manual-clock.ts";
import { seededRandom } from "./seeded-random.ts";

/** A process that commands can run in without being one: its output is text, its signals and keys are calls. */
export class FakeEnvironment implements CommandEnvironment {
  variables: Record<string, string | undefined> = { HOME: "/nonexistent" };
  userId = 1000;
  processId = 4242;
  clock = new ManualClock();
  random = seededRandom(1);
  stdoutIsTerminal = false;
  stderrIsTerminal = false;
  stdinIsTerminal = false;
  width = 80;
  out = "";
  err = "";
  /** Codes that `exit` was called with. */
  readonly exits: number[] = [];
  /** What `readAll` gives. */
  input: Uint8Array = new Uint8Array(0);
  /** True while echo is off. */
  isRaw = false;
  readonly #signals = new Map<SignalName, Set<() => void>>();
  readonly #faults: ((error: unknown) => void)[] = [];
  readonly #keys = new Set<(bytes: Uint8Array | undefined) => void>();

  readonly stdout = (text: string): void => {
    this.out += text;
  };
  readonly stderr = (text: string): void => {
    this.err += text;
  };

  /** What `writeBytes` was given; a test that wants it to fail or to wait puts another function in its place. */
  readonly outBytes: Uint8Array[] = [];
  writeBytes = async (bytes: Uint8Array): Promise<void> => {
    this.outBytes.push(bytes.slice());
  };

  readonly stdin: KeyboardInput = {
    readAll: async (maxBytes) => this.input.slice(0, maxBytes),
    setRaw: (raw) => void (this.isRaw = raw),
    onInput: (take) => {
      this.#keys.add(take);
      return () => void this.#keys.delete(take);
    },
  };

  columns(): number {
    return this.width;
  }

  onSignal(name: SignalName, run: () => void): () => void {
    const listeners = this.#signals.get(name) ?? new Set();
    this.#signals.set(name, listeners.add(run));
    return () => void listeners.delete(run);
  }

  onFault(run: (error: unknown) => void): () => void {
    this.#faults.push(run);
    return () => void this.#faults.splice(this.#faults.indexOf(run), 1);
  }

  /** Arguments that `startSelf` was called with. */
  readonly started: (readonly string[])[] = [];

  startSelf(args: readonly string[]): void {
    this.started.push(args);
  }

  exit(code: number): void {
    this.exits.push(code);
  }

  /** Sends a signal; throws if nobody listens, since the process would be dead. */
  signal(name: SignalName): void {
    const listeners = this.#signals.get(name);
    if (listeners === undefined || listeners.size === 0) throw new Error(`killed by ${name}`);
    for (const run of listeners) run();
  }

  /** Throws where nobody catches. */
  fault(error: unknown): void {
    this.#faults.at(-1)?.(error);
  }

  /** Types text; undefined closes the input. */
  type(text: string | undefined): void {
    const bytes = text === undefined ? undefined : new TextEncoder().encode(text);
    for (const take of this.#keys) take(bytes);
  }

  /** Handlers that are still registered: none after a command. */
  get listeners(): number {
    const signals = [...this.#signals.values()].reduce((sum, set) => sum + set.size, 0);
    return signals + this.#faults.length + this.#keys.size;
  }
}
