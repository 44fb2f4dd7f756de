import { askSecret } from "../cli/prompt.ts";
import { EXIT, ExitError } from "../base/errors.ts";
import { MAX_PASSWORD_BYTES } from "../base/limits.ts";
import { withoutLineEnd } from "../config/secret.ts";
import { isShared, systemFiles } from "../config/source-files.ts";
import type { CommandEnvironment } from "./environment.ts";
import { exitCodeOfSignal, onInterrupt } from "./interrupt.ts";

/** The longest password and a line end. */
const MAX_FILE_BYTES = MAX_PASSWORD_BYTES + 2;

/**
 * A password from the file that `--password-file` names, from standard input where that is `-`, or else from the
 * person at the terminal. Who hands in a signal ends the question by it, and answers the process's own signals himself.
 * @throws ExitError 65 where nobody can be asked, 66 for a file that is not there
 */
export async function readPassword(
  file: string | undefined,
  question: string,
  environment: CommandEnvironment,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  if (file === undefined) return askForPassword(question, environment, signal);
  const bytes = file === "-" ? await readInput(environment) : readFile(file, environment);
  const password = withoutLineEnd(bytes);
  if (password.length === 0 || password.length > MAX_PASSWORD_BYTES) {
    const what = file === "-" ? "standard input" : file;
    throw new ExitError(
      EXIT.data,
      `Cannot use ${what} as a password: expected 1 to ${MAX_PASSWORD_BYTES} bytes`,
    );
  }
  return password;
}

async function askForPassword(
  question: string,
  environment: CommandEnvironment,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  if (!environment.stdinIsTerminal) {
    throw new ExitError(
      EXIT.data,
      "Cannot ask for the password: standard input is no terminal (use --password-file FILE, or - for standard input)",
    );
  }
  // In raw mode Ctrl-C is a key; the other signals must not leave the terminal without echo.
  const fatal = signal === undefined ? (["SIGTERM", "SIGHUP"] as const) : [];
  const interrupts = onInterrupt(environment, fatal, (name) => {
    environment.stdin.setRaw(false);
    environment.exit(exitCodeOfSignal(name));
  });
  const terminal = {
    write: environment.stderr,
    setRaw: (raw: boolean) => environment.stdin.setRaw(raw),
    onInput: environment.stdin.onInput,
  };
  try {
    return await askSecret(question, terminal, signal);
  } finally {
    interrupts.release();
  }
}

function readInput(environment: CommandEnvironment): Promise<Uint8Array> {
  if (environment.stdinIsTerminal) {
    throw new ExitError(
      EXIT.data,
      "Standard input is a terminal, where the password would be seen",
    );
  }
  return environment.stdin.readAll(MAX_FILE_BYTES);
}

function readFile(path: string, environment: CommandEnvironment): Uint8Array {
  const found = systemFiles.read(path, MAX_FILE_BYTES);
  switch (found.kind) {
    case "missing":
      throw new ExitError(EXIT.noInput, `Cannot read the password: ${path} does not exist`);
    case "refused":
      throw new ExitError(EXIT.noInput, `Cannot read the password: ${path} ${found.reason}`);
    case "file":
      if (isShared(found.mode)) {
        const mode = found.mode.toString(8).padStart(4, "0");
        environment.stderr(`vpn: Others can read ${path} (mode ${mode}): chmod 600\n`);
      }
      return found.bytes;
  }
}
