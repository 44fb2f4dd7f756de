import { EXIT, ExitError, type ExitCode } from "../base/errors.ts";
import { AccountBook } from "../client/account-book.ts";
import { askStatus, controlPath } from "../client/control-call.ts";
import type { CLIENT_FLAGS } from "./client-flags.ts";
import { inTurn } from "../client/start-turn.ts";
import { createStateDir } from "../config/state-dir.ts";
import { openWritableSetup, type WritableSetup } from "./client-setup.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { stateDirOf } from "./state-dir.ts";

/** What a command did: a sentence for people, an object for programs. */
export interface Done {
  readonly text: string;
  readonly json: object;
}

/**
 * Opens what is kept of accounts and NICs, lets `work` change it, and tells what was done.
 * @throws ExitError 75 where `offline` names an account that is connected
 */
export async function changeBook(
  environment: CommandEnvironment,
  flags: FlagValues<typeof CLIENT_FLAGS>,
  work: (book: AccountBook, setup: WritableSetup) => Done | Promise<Done>,
  offline?: string,
): Promise<ExitCode> {
  const stateDir = stateDirOf("client", environment, flags);
  createStateDir(stateDir);
  const { text, json } = await inTurn(stateDir, environment.clock, async () => {
    const setup = openWritableSetup(environment, { ...flags, stateDir });
    try {
      if (offline !== undefined) await refuseConnected(environment, stateDir, offline);
      return await work(new AccountBook({ ...setup, clock: environment.clock }), setup);
    } finally {
      setup.close();
    }
  });
  environment.stdout(flags.json ? `${JSON.stringify(json)}\n` : `${text}\n`);
  return EXIT.ok;
}

/** hub.md 15.4: a connected account is not changed. */
async function refuseConnected(
  environment: CommandEnvironment,
  stateDir: string,
  name: string,
): Promise<void> {
  const status = await askStatus(controlPath(stateDir, name), environment.clock);
  if (status === undefined) return;
  const text = `The account "${status.account}" is connected (process ${status.pid}): disconnect it first`;
  throw new ExitError(EXIT.temporary, text);
}
