import bridgeUnit from "../asset/systemd/vpn-bridge.service" with { type: "text" };
import serverUnit from "../asset/systemd/vpn-server.service" with { type: "text" };
import { EXIT, messageOf, type ExitCode } from "../base/errors.ts";
import { generatedVerifier, type MadePassword } from "../config/generated-password.ts";
import { StoredLinkMemory } from "../cascade/link-memory.ts";
import { StoredStartMemory } from "../l3-switch/start-memory.ts";
import { loadServerConfig } from "../config/load.ts";
import type { Loaded } from "../config/load-options.ts";
import { formatProblem, type ConfigProblem } from "../config/problem.ts";
import type { ServerConfig } from "../config/server-config.ts";
import { createStateDir, lockStateDir } from "../config/state-dir.ts";
import { openStateStore } from "../config/state-store.ts";
import { secureNatIdentity } from "../config/secure-nat-state.ts";
import { tapMac } from "../config/tap-mac.ts";
import type { Log, LogFormat } from "../observe/log.ts";
import type { ServerLogs } from "../observe/server-logs.ts";
import { openServiceNotifier, type ServiceNotifier } from "../platform/sd-notify.ts";
import { raisePriority } from "../platform/priority.ts";
import { denyDumps, raiseOpenFilesLimit } from "../platform/unix.ts";
import { watchFiles } from "../server/certificate.ts";
import { controlRequests } from "../server/control-requests.ts";
import { serveControl } from "../server/control-socket.ts";
import { startServer, type Server } from "../server/server.ts";
import type { SERVER_FLAGS } from "./catalog.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { onInterrupt } from "./interrupt.ts";
import { logForm, logPlan, openServerLogs } from "./server-log.ts";
import { loadOptions, stateDirFor } from "./state-dir.ts";

type ServerFlags = FlagValues<typeof SERVER_FLAGS>;

type Edition = ServerConfig["edition"];
const UNITS: Readonly<Record<Edition, string>> = { server: serverUnit, bridge: bridgeUnit };

/** `vpn server`: serves until a signal ends it. */
export function runServer(environment: CommandEnvironment, flags: ServerFlags): Promise<ExitCode> {
  return run("server", environment, flags);
}

/** `vpn bridge`: likewise, with one hub that joins an interface to a server elsewhere. */
export function runBridge(environment: CommandEnvironment, flags: ServerFlags): Promise<ExitCode> {
  return run("bridge", environment, flags);
}

async function run(
  edition: Edition,
  environment: CommandEnvironment,
  flags: ServerFlags,
): Promise<ExitCode> {
  if (flags.unit) {
    environment.stdout(UNITS[edition]);
    return EXIT.ok;
  }
  const { clock } = environment;
  const startedAt = clock.now();
  const warnings: ConfigProblem[] = [];
  const loaded = loadServerConfig(
    { ...loadOptions(environment, flags.config), warn: (problem) => warnings.push(problem) },
    edition,
  );
  const logs = openServerLogs(environment, logForm(loaded.config, flags));
  const { log } = logs;
  if (loaded.usedDefaults) {
    log.info("config_defaults", "No configuration file is there: the defaults hold");
  }
  tellWarnings(warnings, log);
  // What was opened, closed the other way round: each depends on those before it.
  const closers: (() => void | Promise<void>)[] = [];
  closers.push(() => logs.close());
  try {
    raisePriority();
    raiseOpenFilesLimit();
    denyDumps();
    const { variables, processId } = environment;
    const notifier = openServiceNotifier(variables, processId, clock);
    closers.push(() => notifier.close());
    const ended = untilEnded(environment, log, closers);
    const opening = { loaded, logs, notifier };
    const { server, stateDir } = await openServer(environment, flags, opening, closers);
    const { hubs, listeners } = server.snapshot();
    const ports = listeners.filter(({ status }) => status === "listening").map(({ port }) => port);
    const text = ports.length === 0 ? "Ready" : `Ready on port ${ports.join(", ")}`;
    log.info("ready", text, {
      pid: environment.processId,
      hubs: hubs.length,
      ports: ports.join(","),
      stateDir,
      tookMs: Math.round(clock.now() - startedAt),
    });
    notifier.ready(text);
    const code = await ended;
    notifier.stopping();
    return code;
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

async function openServer(
  environment: CommandEnvironment,
  flags: ServerFlags,
  opening: { loaded: Loaded<ServerConfig>; logs: ServerLogs; notifier: ServiceNotifier },
  closers: (() => void | Promise<void>)[],
): Promise<{ server: Server; stateDir: string }> {
  const { clock, random } = environment;
  const { logs, notifier } = opening;
  const { config, files } = opening.loaded;
  const stateDir = stateDirFor(config.edition, environment, flags.stateDir, config.server.stateDir);
  createStateDir(stateDir);
  const lock = lockStateDir(stateDir, environment.processId);
  closers.push(() => lock.release());
  const store = openStateStore(stateDir, { random });
  closers.push(() => store.close());
  logs.reconfigure(logPlan(config, flags, stateDir));
  closers.push(environment.onSignal("SIGUSR1", () => logs.reopen()));
  const { format } = logForm(config, flags);
  const announce = (made: MadePassword) => announcePassword(made, environment, format);
  const server = await startServer({
    config,
    stateDir,
    clock,
    random,
    log: logs.log,
    hubLogs: logs,
    tapMac: (device) => tapMac(store.objects, device, { random, now: clock.wall() }),
    generatedVerifier: (of) => generatedVerifier(store, { random, announce }, of),
    books: store.counters,
    natMemory: {
      identity: (hub) => secureNatIdentity(store.objects, hub, { random, now: clock.wall() }),
      leases: (hub) => ({
        read: () => store.leases.read(hub),
        write: (leases, removed) => store.leases.write(hub, leases, removed),
      }),
      forget: (hub) => store.leases.forget(hub),
    },
    linkMemory: new StoredLinkMemory(store, random, () => clock.wall()),
    startMemory: new StoredStartMemory(store, () => clock.wall()),
  });
  closers.push(() => server.stop());
  const place = { edition: config.edition, stateDir };
  const reloader = new Reloader(place, environment, flags, server, logs);
  reloader.watch(files, config);
  closers.push(() => reloader.close());
  const reloadNow = async () => {
    notifier.reloading();
    await reloader.tryReload();
    notifier.ready("Reloaded");
  };
  closers.push(environment.onSignal("SIGHUP", () => void reloadNow()));
  const requests = controlRequests(server, () => reloader.reload());
  closers.push(serveControl(stateDir, requests));
  return { server, stateDir };
}

/** Resolves with the first signal that ends a server, or with a fault that must. */
function untilEnded(
  environment: CommandEnvironment,
  log: Log,
  closers: (() => void)[],
): Promise<ExitCode> {
  const ended = Promise.withResolvers<ExitCode>();
  const interrupts = onInterrupt(environment, ["SIGTERM", "SIGINT"], (name) => {
    log.info("stopping", `Stopping on ${name}`, { signal: name });
    ended.resolve(EXIT.ok);
  });
  closers.push(
    () => interrupts.release(),
    // Nobody needs to read our standard output.
    environment.onSignal("SIGPIPE", () => undefined),
    environment.onFault((error) => {
      const isDebug = environment.variables["VPN_DEBUG"] === "1";
      const stack = isDebug && error instanceof Error ? error.stack : undefined;
      log.error("internal_error", messageOf(error), { stack });
      ended.resolve(EXIT.software);
    }),
  );
  return ended.promise;
}

/** Reads the configuration anew: for SIGHUP, for `vpn reload`, and for changed files where they are watched. */
class Reloader {
  readonly #environment: CommandEnvironment;
  readonly #flags: ServerFlags;
  readonly #server: Server;
  readonly #logs: ServerLogs;
  readonly #place: { readonly edition: Edition; readonly stateDir: string };
  #unwatch: () => void = () => undefined;
  #isClosed = false;

  constructor(
    place: { readonly edition: Edition; readonly stateDir: string },
    environment: CommandEnvironment,
    flags: ServerFlags,
    server: Server,
    logs: ServerLogs,
  ) {
    this.#place = place;
    this.#environment = environment;
    this.#flags = flags;
    this.#server = server;
    this.#logs = logs;
  }

  /** The changes. @throws what is wrong with the files; nothing has changed then */
  async reload(): Promise<string[]> {
    const { log } = this.#logs;
    const warnings: ConfigProblem[] = [];
    try {
      const { config, files } = loadServerConfig(
        {
          ...loadOptions(this.#environment, this.#flags.config),
          warn: (problem) => warnings.push(problem),
        },
        this.#place.edition,
      );
      tellWarnings(warnings, log);
      const changes = await this.#server.reload(config);
      // The server has ended meanwhile.
      if (this.#isClosed) return changes;
      this.#logs.reconfigure(logPlan(config, this.#flags, this.#place.stateDir));
      this.watch(files, config);
      log.info("reloaded", `The configuration was read again`, { changes: changes.length });
      return changes;
    } catch (error) {
      for (const line of messageOf(error).split("\n")) {
        log.error("reload_failed", `The old configuration stays: ${line}`);
      }
      throw error;
    }
  }

  /** For those whom nobody waits for: the log has told what was wrong. */
  async tryReload(): Promise<void> {
    await this.reload().catch(() => undefined);
  }

  close(): void {
    this.#isClosed = true;
    this.#unwatch();
  }

  /** Looks at the files of this configuration from now on, where it wants that. */
  watch(files: readonly string[], config: ServerConfig): void {
    this.#unwatch();
    this.#unwatch = config.server.watch
      ? watchFiles(files, this.#environment.clock, () => void this.tryReload())
      : () => undefined;
  }
}

function tellWarnings(warnings: readonly ConfigProblem[], log: Log): void {
  for (const problem of warnings) {
    log.warn("config_doubt", formatProblem(problem));
  }
}

/** The one place where a password is shown; it bypasses the log, which keeps no secrets. */
function announcePassword(
  made: MadePassword,
  environment: CommandEnvironment,
  format: LogFormat,
): void {
  const line =
    format === "json"
      ? JSON.stringify({ event: "password_made", ...made })
      : `vpn: The password of ${made.user} on hub ${made.hub} is ${made.password} (made now, and shown only this once)`;
  environment.stderr(`${line}\n`);
}
