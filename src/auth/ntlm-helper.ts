import type { Clock } from "../base/clock.ts";
import { MAX_NTLM_ANSWER_BYTES } from "../base/limits.ts";
import { decodeText } from "../wire/text.ts";

/** A helper that has answered may still have to say why, on standard error. */
const COMPLAINTS_MS = 250;

/** What a helper process said. */
export interface HelperAnswer {
  /** Lines in front of the one with a single dot; undefined where that did not come. */
  readonly lines: readonly string[] | undefined;
  /** From standard error. */
  readonly complaints: string;
}

/** Runs a helper once: hands it `request` and gives what it answered. Rejects where it cannot be started. */
export type RunHelper = (
  command: readonly string[],
  request: Uint8Array,
  options: { readonly clock: Clock; readonly timeoutMs: number; readonly signal: AbortSignal },
) => Promise<HelperAnswer>;

/** The process is ended by its time-out, by the signal and as soon as it has answered. */
export const runHelper: RunHelper = async (command, request, { clock, timeoutMs, signal }) => {
  // A group of its own: what the helper starts ends with it.
  const options = { stdin: request, stdout: "pipe", stderr: "pipe", detached: true } as const;
  const child = Bun.spawn([...command], options);
  const said = new Reading(child.stdout, isComplete);
  const complained = new Reading(child.stderr, () => false);
  const end = () => {
    killGroup(child.pid);
    void said.cancel();
    void complained.cancel();
  };
  let timer = clock.after(timeoutMs, end);
  signal.addEventListener("abort", end);
  if (signal.aborted) end();
  try {
    const text = decodeText(await said.done);
    timer.cancel();
    timer = clock.after(COMPLAINTS_MS, end);
    killGroup(child.pid);
    const complaints = decodeText(await complained.done).trim();
    const dot = `\n${text}`.indexOf("\n.\n");
    return { lines: dot < 0 ? undefined : text.slice(0, dot).split("\n"), complaints };
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", end);
    end();
    await child.exited;
  }
};

function isComplete(bytes: Uint8Array): boolean {
  return `\n${decodeText(bytes)}`.includes("\n.\n");
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch (thrown) {
    // All of it has ended by itself.
    if (!(thrown instanceof Error && "code" in thrown && thrown.code === "ESRCH")) throw thrown;
  }
}

/** What is used of a stream's reader. */
interface ByteSource {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

/** What a stream says until it is enough, it ends, it is cancelled, or the most that an answer may have. */
class Reading {
  readonly done: Promise<Uint8Array>;
  readonly #reader: ByteSource;

  constructor(stream: ReadableStream<Uint8Array>, isEnough: (bytes: Uint8Array) => boolean) {
    this.#reader = stream.getReader();
    this.done = this.#read(isEnough);
  }

  cancel(): Promise<void> {
    return this.#reader.cancel();
  }

  async #read(isEnough: (bytes: Uint8Array) => boolean): Promise<Uint8Array> {
    let bytes: Uint8Array = new Uint8Array(0);
    while (bytes.length < MAX_NTLM_ANSWER_BYTES && !isEnough(bytes)) {
      const { done, value } = await this.#reader.read();
      if (done || value === undefined) break;
      bytes = Buffer.concat([bytes, value]).subarray(0, MAX_NTLM_ANSWER_BYTES);
    }
    return bytes;
  }
}
