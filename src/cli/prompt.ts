import { EXIT, ExitError } from "../base/errors.ts";
import { MAX_PASSWORD_BYTES } from "../base/limits.ts";

/** A keyboard and a line to ask on. */
export interface PromptTerminal {
  readonly write: (text: string) => void;
  setRaw(raw: boolean): void;
  /** Hands over what is typed, undefined at the end; the returned function stops it. */
  onInput(take: (bytes: Uint8Array | undefined) => void): () => void;
}

const CTRL_C = 3;
const CTRL_D = 4;
const BACKSPACE = 8;
const NEWLINE = 10;
const RETURN = 13;
const CTRL_U = 21;
const DELETE = 127;

/**
 * Asks for a secret without showing it. The terminal is as before when this returns or throws.
 * @throws ExitError 65 at the end of input (CL-05), 130 on Ctrl-C (CL-07); the reason of a signal that comes first
 */
export async function askSecret(
  question: string,
  terminal: PromptTerminal,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  signal?.throwIfAborted();
  const answered = Promise.withResolvers<Uint8Array>();
  const typed: number[] = [];
  const take = (bytes: Uint8Array | undefined) => {
    if (bytes === undefined) return answered.reject(endOfInput());
    for (const byte of bytes) {
      if (byte === RETURN || byte === NEWLINE) return answered.resolve(Uint8Array.from(typed));
      if (byte === CTRL_C) return answered.reject(new ExitError(EXIT.interrupted, "Interrupted"));
      if (byte === CTRL_D && typed.length === 0) return answered.reject(endOfInput());
      if (byte === DELETE || byte === BACKSPACE) dropLast(typed);
      else if (byte === CTRL_U) typed.length = 0;
      else if (byte >= 0x20 && typed.length < MAX_PASSWORD_BYTES) typed.push(byte);
    }
  };
  const giveUp = () => answered.reject(signal?.reason);
  signal?.addEventListener("abort", giveUp, { once: true });
  // Before the question: whoever types at its sight must not see it either.
  terminal.setRaw(true);
  terminal.write(question);
  const stop = terminal.onInput(take);
  try {
    return await answered.promise;
  } finally {
    signal?.removeEventListener("abort", giveUp);
    stop();
    terminal.setRaw(false);
    terminal.write("\n");
    typed.fill(0);
  }
}

/** Takes back one character: its continuation bytes of UTF-8 first. */
function dropLast(typed: number[]): void {
  while (typed.length > 0) if ((typed.pop()! & 0xc0) !== 0x80) return;
}

function endOfInput(): ExitError {
  return new ExitError(EXIT.data, "Cannot read the password: the input has ended");
}
