import { tmpdir } from "node:os";
import clientUnit from "../asset/systemd/vpn-client.service" with { type: "text" };
import { EXIT, ExitError, messageOf, VpnError, type ExitCode } from "../base/errors.ts";
import { chooseProxy } from "../client/account.ts";
import { openClient } from "../client/open-client.ts";
import { openHostSettings } from "../client/host-settings.ts";
import { errorReply, openLineServer, type LineAnswer } from "../client/line-server.ts";
import { AccountService } from "../client/service.ts";
import { SERVICE_CALLS, servicePath } from "../client/service-call.ts";
import type { ClientEvent } from "../client/status.ts";
import { openTapNic } from "../client/tap-nic.ts";
import { createStateDir, lockStateDir } from "../config/state-dir.ts";
import { createLog, type Log } from "../observe/log.ts";
import { openSystemLog } from "../platform/system-log.ts";
import { openServiceNotifier, type ServiceNotifier } from "../platform/sd-notify.ts";
import { raisePriority } from "../platform/priority.ts";
import { denyDumps } from "../platform/unix.ts";
import type { SERVICE_FLAGS } from "./client-flags.ts";
import { openSetup } from "./client-setup.ts";
import { sentenceOf } from "./client-view.ts";
import { openCredential } from "./credential.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { forgetKeptPassword } from "./forget-password.ts";
import { onInterrupt } from "./interrupt.ts";

type ServiceFlags = FlagValues<typeof SERVICE_FLAGS>;

/** `vpn client service`: holds the accounts with autostart, and those that `vpn client up` names, until it is ended. */
export async function service(
  environment: CommandEnvironment,
  flags: ServiceFlags,
): Promise<ExitCode> {
  if (flags.unit) {
    environment.stdout(clientUnit);
    return EXIT.ok;
  }
  const setup = openSetup(environment, flags);
  setup.close();
  const { stateDir, config } = setup;
  createStateDir(stateDir);
  const closers: (() => void | Promise<void>)[] = [];
  try {
    const lock = lockStateDir(stateDir, environment.processId);
    closers.push(() => lock.release());
    raisePriority();
    denyDumps();
    const systemLog = flags.background
      ? openSystemLog("vpn-client", environment.processId)
      : undefined;
    closers.push(() => systemLog?.close());
    const log = createLog({
      clock: environment.clock,
      write: (line) => (systemLog ? systemLog.write(line) : environment.stderr(`${line}\n`)),
      level: flags.logLevel ?? config.log.level,
      format: flags.logFormat ?? config.log.format,
    });
    const { variables, processId, clock } = environment;
    const notifier = openServiceNotifier(variables, processId, clock);
    closers.push(() => notifier.close());
    const ended = untilEnded(environment, log, closers);
    // One that nobody watches over is there for its accounts only.
    const onIdle = () => flags.background && ended.end("idle");
    const accounts = openAccounts(environment, flags, stateDir, { log, notifier, onIdle });
    closers.push(() => accounts.close());
    closers.push(serve(stateDir, accounts, onIdle));
    const reload = coalesced(() => tryReload(accounts, log, notifier));
    closers.push(environment.onSignal("SIGHUP", () => void reload()));
    // What fails is told in the log; the others are up, and a reload tries again.
    if (!flags.background) await accounts.up().catch(() => undefined);
    log.info("started", `Started with ${accounts.names.length} accounts`, { pid: processId });
    notifier.ready(accounts.summary);
    const code = await ended.code;
    notifier.stopping();
    return code;
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

function openAccounts(
  environment: CommandEnvironment,
  flags: ServiceFlags,
  stateDir: string,
  { log, notifier, onIdle }: { log: Log; notifier: ServiceNotifier; onIdle: () => void },
): AccountService {
  const { clock, random, variables, processId } = environment;
  const load = () => {
    const setup = openSetup(environment, { ...flags, stateDir });
    setup.close();
    return setup.config;
  };
  const accounts: AccountService = new AccountService({
    clock,
    log,
    stateDir,
    load,
    onChange() {
      notifier.status(accounts.summary);
      if (accounts.names.length === 0) onIdle();
    },
    open: async (resolved) => {
      const { credential } = resolved.account;
      if (credential.kind === "password" && credential.secret === undefined) {
        const remedy = `vpn client account set '${resolved.name}' --ask-password, or connect it by vpn client connect`;
        throw new ExitError(
          EXIT.data,
          `The account "${resolved.name}" keeps no password, and nobody can be asked: ${remedy}`,
        );
      }
      return openClient(
        {
          resolved,
          credential: await openCredential(resolved, environment),
          proxy: chooseProxy(resolved.account, variables),
          stateDir,
          tempDir: tmpdir(),
          searchPath: variables["PATH"] ?? "",
          processId,
          interactive: false,
          onEvent: (event) => {
            logEvent(log, resolved.name, event);
            notifier.status(accounts.summary);
          },
          forgetPassword: () =>
            forgetKeptPassword(environment, { ...flags, stateDir }, resolved.name),
        },
        { clock, random, log, openNic: openTapNic, openHostSettings },
      );
    },
  });
  return accounts;
}

/** What `vpn client up` and `down` ask for. */
function serve(
  stateDir: string,
  accounts: AccountService,
  onIdle: () => void,
): () => Promise<void> {
  const answer = async (request: Readonly<Record<string, unknown>>): Promise<readonly string[]> => {
    const call = SERVICE_CALLS.find((known) => known === request["call"]);
    const { names } = request;
    const wanted = Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
    switch (call) {
      case "up":
        return accounts.up(wanted);
      case "down":
        return accounts.down(wanted);
      case undefined: {
        const text = `A request is {"call": ...} with one of ${SERVICE_CALLS.join(", ")}`;
        throw new VpnError("unknown_call", text);
      }
    }
  };
  const handle = async (request: Readonly<Record<string, unknown>>): Promise<LineAnswer> => {
    const after = () => accounts.names.length === 0 && onIdle();
    try {
      return { reply: { ok: true, result: await answer(request) }, after };
    } catch (error) {
      return { reply: errorReply(error), after };
    }
  };
  const server = openLineServer(servicePath(stateDir), tmpdir(), handle);
  return async () => {
    await server.answered();
    server.close();
  };
}

async function tryReload(
  accounts: AccountService,
  log: Log,
  notifier: ServiceNotifier,
): Promise<void> {
  notifier.reloading();
  try {
    const changes = await accounts.reload();
    for (const change of changes) log.info("account_changed", change);
    log.info("reloaded", "The accounts were read again", { changes: changes.length });
  } catch (error) {
    for (const line of messageOf(error).split("\n")) log.error("reload_failed", line);
  }
  notifier.ready(accounts.summary);
}

/** Any number of calls while it works are answered by working once more. */
function coalesced(work: () => Promise<void>): () => Promise<void> {
  let isWorking = false;
  let isWanted = false;
  return async () => {
    isWanted = true;
    if (isWorking) return;
    isWorking = true;
    while (isWanted) {
      isWanted = false;
      await work();
    }
    isWorking = false;
  };
}

/** Resolves with the first signal that ends a service, or with a fault that must. */
function untilEnded(
  environment: CommandEnvironment,
  log: Log,
  closers: (() => void)[],
): { code: Promise<ExitCode>; end(why: string): void } {
  const ended = Promise.withResolvers<ExitCode>();
  const end = (why: string) => {
    log.info("stopping", `Stopping: ${why}`);
    ended.resolve(EXIT.ok);
  };
  const interrupts = onInterrupt(environment, ["SIGTERM", "SIGINT"], end);
  closers.push(
    () => interrupts.release(),
    environment.onSignal("SIGPIPE", () => undefined),
    environment.onFault((error) => {
      log.error("internal_error", messageOf(error));
      ended.resolve(EXIT.software);
    }),
  );
  return { code: ended.promise, end };
}

/** Events as lines of the log: the account's name stands before what people read at a terminal. */
function logEvent(log: Log, account: string, event: ClientEvent): void {
  const text = sentenceOf(event);
  if (text === undefined) return;
  const line = `${account}: ${text}`;
  if (event.event === "warning" || event.event === "retrying") {
    log.warn(event.event, line, { account, code: event.code });
  } else log.info(event.event, line, { account });
}
