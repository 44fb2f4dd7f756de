import { resolve } from "node:path";
import { EXIT, ExitError, type ExitCode } from "../base/errors.ts";
import type { Clock } from "../base/clock.ts";
import { askStatus, controlPath } from "../client/control-call.ts";
import { askService, type ServiceCall } from "../client/service-call.ts";
import type { CLIENT_FLAGS, UP_FLAGS } from "./client-flags.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { stateDirOf } from "./state-dir.ts";

type UpFlags = FlagValues<typeof UP_FLAGS>;

const ASK_MS = 250;
/** A try to connect has its own deadlines; this is for the sum of them. */
const WAIT_MS = 60_000;
const START_MS = 10_000;

/** `vpn client up [ACCOUNT...]`: returns when they are connected, or have failed once. */
export async function up(
  environment: CommandEnvironment,
  flags: UpFlags,
  ...names: (string | undefined)[]
): Promise<ExitCode> {
  const stateDir = stateDirOf("client", environment, flags);
  const wanted = names.filter((name) => name !== undefined);
  const started = await startOrAsk(environment, flags, stateDir, wanted);
  const watched = wanted.length > 0 ? wanted : started;
  const outcomes = await Promise.all(
    watched.map(async (account) => ({
      account,
      ...(flags.noWait
        ? { connected: false, error: undefined }
        : await outcomeOf(environment.clock, controlPath(stateDir, account))),
    })),
  );
  if (flags.json) environment.stdout(`${JSON.stringify(outcomes)}\n`);
  else if (outcomes.length === 0) environment.stdout("No account has autostart, or all are up\n");
  else {
    for (const { account, connected, error } of outcomes) {
      const state = connected
        ? "connected"
        : flags.noWait
          ? "starting"
          : `failed: ${error ?? "it ended"}`;
      environment.stdout(`${account}: ${state}\n`);
    }
  }
  const hasFailed = !flags.noWait && outcomes.some(({ connected }) => !connected);
  return hasFailed ? EXIT.temporary : EXIT.ok;
}

/** `vpn client down [ACCOUNT...]`: returns when everything of them is put away. */
export async function down(
  environment: CommandEnvironment,
  flags: FlagValues<typeof CLIENT_FLAGS>,
  ...names: (string | undefined)[]
): Promise<ExitCode> {
  const stateDir = stateDirOf("client", environment, flags);
  const wanted = names.filter((name) => name !== undefined);
  const ended = await ask(environment, stateDir, "down", wanted);
  const missing = wanted.filter(
    (name) => !ended.some((other) => other.toLowerCase() === name.toLowerCase()),
  );
  if (missing.length > 0) {
    throw new ExitError(EXIT.unavailable, `Not connected by the service: ${missing.join(", ")}`);
  }
  const text = ended.length === 0 ? "No account was up" : `Down: ${ended.join(", ")}`;
  environment.stdout(flags.json ? `${JSON.stringify({ down: ended })}\n` : `${text}\n`);
  return EXIT.ok;
}

/** Asks the service; where none runs one is started in the background, which lives as long as an account is up. */
async function startOrAsk(
  environment: CommandEnvironment,
  flags: UpFlags,
  stateDir: string,
  names: readonly string[],
): Promise<string[]> {
  const { clock } = environment;
  const answer = await askService(stateDir, "up", names, clock);
  if (answer !== undefined) return answer;
  const config = flags.config === undefined ? [] : ["--config", resolve(flags.config)];
  environment.startSelf(["client", "service", "--background", "--state-dir", stateDir, ...config]);
  for (let waited = 0; waited < START_MS; waited += ASK_MS) {
    await sleep(clock, ASK_MS);
    const late = await askService(stateDir, "up", names, clock);
    if (late !== undefined) return late;
  }
  throw new ExitError(EXIT.temporary, "The service does not start: vpn client service tells why");
}

async function ask(
  environment: CommandEnvironment,
  stateDir: string,
  call: ServiceCall,
  names: readonly string[],
): Promise<string[]> {
  const answer = await askService(stateDir, call, names, environment.clock);
  if (answer !== undefined) return answer;
  throw new ExitError(EXIT.unavailable, "No service runs with this state directory");
}

/** Until the client is connected, has failed once, or is gone. */
async function outcomeOf(
  clock: Clock,
  path: string,
): Promise<{ connected: boolean; error: string | undefined }> {
  for (let waited = 0; waited < WAIT_MS; waited += ASK_MS) {
    const status = await askStatus(path, clock);
    if (status?.state === "connected") return { connected: true, error: undefined };
    if (status === undefined) return { connected: false, error: "it has ended, see the log" };
    if (status.retry !== undefined) return { connected: false, error: status.retry.error.message };
    await sleep(clock, ASK_MS);
  }
  return { connected: false, error: `not connected within ${WAIT_MS / 1000} s` };
}

function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((wake) => void clock.after(ms, wake));
}
