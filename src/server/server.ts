import { Authenticator } from "../auth/authenticator.ts";
import { Lockout } from "../auth/lockout.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { ExitError, EXIT, messageOf, VpnError } from "../base/errors.ts";
import type { MacAddress } from "../base/mac.ts";
import type { Random } from "../base/random.ts";
import type { CascadeStatus } from "../cascade/cascade-status.ts";
import type { LinkMemory } from "../cascade/link-memory.ts";
import { diffServerConfig } from "../config/diff.ts";
import type { HubConfig, ServerConfig } from "../config/server-config.ts";
import type { L3SwitchDetail, L3SwitchStatus } from "../l3-switch/l3-status.ts";
import type { StartMemory } from "../l3-switch/start-memory.ts";
import type { Log } from "../observe/log.ts";
import type { HubLogBook } from "../observe/server-logs.ts";
import type { OwnPlaces } from "../secure-nat/destination-rule.ts";
import { BRIDGE_CASCADE_PRODUCT, CASCADE_PRODUCT } from "../session/handshake.ts";
import { Heartbeat } from "../session/heartbeat.ts";
import { certificatePaths, loadCertificate, watchFiles } from "./certificate.ts";
import { describeStep, hubOfStep } from "./config-change.ts";
import { Doorway } from "./doorway.ts";
import { accountsOf, type GeneratedVerifierOf } from "./accounts.ts";
import { HubHost } from "./hub-host.ts";
import type { NatMemory } from "./hub-nat.ts";
import type { CounterBooks } from "./ledger.ts";
import { L3Switches } from "./l3-switches.ts";
import { Links } from "./links.ts";
import { Listeners } from "./listeners.ts";
import { ReceptionDesk } from "./reception-desk.ts";
import { removeEntry, type TableEntry } from "./hub-tables.ts";
import { takeSnapshot, type ServerSnapshot } from "./snapshot.ts";
import { count, type Tally } from "./tally.ts";

/** Sessions of expired users end within this time (config-proposal.md 5), in milliseconds. */
const EXPIRY_CHECK_MS = 5_000;

export interface ServerOptions {
  readonly config: ServerConfig;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Without one, hubs have no logs of their own. */
  readonly hubLogs?: HubLogBook;
  readonly generatedVerifier: GeneratedVerifierOf;
  /** Of an interface that a bridge makes: kept from one run to the next. */
  readonly tapMac: (device: string) => MacAddress;
  readonly linkMemory: LinkMemory;
  readonly startMemory: StartMemory;
  readonly natMemory: NatMemory;
  readonly books: CounterBooks;
}

/**
 * Starts a server: certificate, hubs, listeners.
 * @throws ExitError 73 when none of the ports can be bound; ConfigError for a bad certificate.
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const server = new Server(options);
  try {
    await server.start();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

/** A running server. It owns listeners, the doorway, hubs and all below; `stop` leaves nothing of it. */
export class Server {
  readonly startedAt: number;
  readonly hubs = new Map<string, HubHost>();
  /** How connections ended that were part of a session, by reason. */
  readonly ends: Tally = new Map();
  readonly #options: ServerOptions;
  #config: ServerConfig;
  readonly #authenticator: Authenticator;
  readonly #doorway: Doorway;
  readonly #links: Links;
  readonly #l3Switches: L3Switches;
  #listeners: Listeners | undefined;
  #unwatch: () => void = () => {};
  #expiry: Timer | undefined;
  /** It listens: before, nobody outside was told of it. */
  #hasBegun = false;
  #stopped: Promise<void> | undefined;
  /** What of this server guests of a NAT should not reach. */
  readonly #ownPlaces: OwnPlaces = {
    listeningPorts: () => new Set((this.#listeners?.states ?? []).map(({ port }) => port)),
    tunnelServers: () => this.#links.tunnelServers(),
  };
  /** Reloads take turns, since each applies the difference to the one before. */
  #lastReload: Promise<unknown> = Promise.resolve();

  constructor(options: ServerOptions) {
    const { clock, random, log, config } = options;
    const heartbeat = new Heartbeat(clock);
    this.#options = options;
    this.#config = config;
    this.startedAt = clock.wall();
    const lockout = new Lockout(config.lockout, clock);
    this.#authenticator = new Authenticator(config.lockout, { clock, lockout });
    const desk = new ReceptionDesk({
      clock,
      random,
      log,
      authenticator: this.#authenticator,
      heartbeat,
      hubs: this.hubs,
      edition: config.edition,
      settings: () => this.#config.server,
      connectionEnded: (reason) => count(this.ends, reason),
    });
    this.#doorway = new Doorway(config.limits, { clock, random, log, lockout, desk });
    this.#links = new Links({
      clock,
      random,
      log,
      heartbeat,
      memory: options.linkMemory,
      product: config.edition === "bridge" ? BRIDGE_CASCADE_PRODUCT : CASCADE_PRODUCT,
    });
    this.#l3Switches = new L3Switches({
      clock,
      random,
      log,
      memory: options.startMemory,
      isAsReference: () => this.#config.server.compat.includes("l3-errors"),
    });
  }

  /** How connections ended that never got to a session, by reason. */
  get outcomes(): ReadonlyMap<string, number> {
    return this.#doorway.outcomes;
  }

  async start(): Promise<void> {
    const { clock, log } = this.#options;
    for (const hub of this.#config.hubs) this.#openHub(hub);
    this.#authenticator.prepareFor(this.hubs.values());
    const tls = await this.#loadCertificate(this.#config);
    this.#listeners = new Listeners(tls, { clock, log, opening: this.#doorway });
    this.#listeners.reconfigure(this.#config.server.listen);
    const states = this.#listeners.states;
    if (states.length > 0 && states.every(({ status }) => status === "failed")) {
      const tried = states.map(({ port, problem }) => `${port} (${problem})`).join(", ");
      throw new ExitError(EXIT.cannotCreate, `Cannot listen on any port: ${tried}`);
    }
    this.#hasBegun = true;
    for (const host of this.hubs.values()) host.serverBegan();
    this.#links.reconfigure(this.hubs.values());
    this.#l3Switches.reconfigure(this.#config.l3Switches, this.hubs);
    this.#watchCertificate();
    this.#scheduleExpiry();
  }

  snapshot(): ServerSnapshot {
    return takeSnapshot({
      startedAt: this.startedAt,
      clock: this.#options.clock,
      listeners: this.#listeners?.states ?? [],
      hubs: [...this.hubs.values()],
      cascades: (hub) => this.#links.list(hub),
      l3Switches: this.#l3Switches.list(),
      pending: this.#doorway.pending,
      outcomes: this.outcomes,
      ends: this.ends,
      logs: this.#options.hubLogs?.stats,
    });
  }

  /** Puts a cascade online or offline, until its settings become others. @throws VpnError `cascade_unknown` */
  setCascadeOnline(hub: string, name: string, online: boolean): CascadeStatus {
    return this.#links.setOnline(hub, name, online);
  }

  /** A layer 3 switch with its neighbours. @throws VpnError `l3_switch_unknown` */
  l3Switch(name: string): L3SwitchDetail {
    return this.#l3Switches.show(name);
  }

  /** Starts or stops a layer 3 switch, until its settings become others. @throws VpnError `l3_switch_unknown` */
  setL3SwitchRunning(name: string, running: boolean): L3SwitchStatus {
    return this.#l3Switches.setRunning(name, running);
  }

  /** Takes an entry out of a table of a hub. @throws VpnError `hub_not_found`, `entry_not_found` */
  removeEntry(hub: string, entry: TableEntry): void {
    const host = this.hubs.get(hub.toLowerCase());
    if (host === undefined) throw new VpnError("hub_not_found", `There is no hub "${hub}"`);
    removeEntry(host.hub, entry);
  }

  /**
   * Applies another configuration; what did not change goes on undisturbed. A certificate that can't be
   * loaded, or a generated password that can't be kept, stops the reload before anything has changed.
   * @returns one line for each thing that changed
   */
  reload(next: ServerConfig): Promise<string[]> {
    const mine = this.#lastReload.then(() => this.#reload(next));
    // The caller hears of a failure; the next one begins from what was there before it.
    this.#lastReload = mine.catch(() => undefined);
    return mine;
  }

  async #reload(next: ServerConfig): Promise<string[]> {
    if (this.#stopped !== undefined) return [];
    const steps = diffServerConfig(this.#config, next);
    const tlsChanged = steps.some(({ kind }) => kind === "tls_changed");
    const tls = tlsChanged ? await this.#loadCertificate(next) : undefined;
    if (this.#stopped !== undefined) return [];
    // Makes the passwords that are missing; those that are there cost nothing to be found again.
    for (const hub of next.hubs) accountsOf(hub, this.#options.generatedVerifier);
    this.#config = next;
    this.#doorway.reconfigure(next.limits);
    this.#authenticator.reconfigure(next.lockout);
    const touchedHubs = new Set<string>();
    const closing: Promise<void>[] = [];
    for (const step of steps) {
      switch (step.kind) {
        case "hub_added":
          this.#openHub(step.hub);
          break;
        case "hub_changed":
          touchedHubs.add(step.hub.name.toLowerCase());
          break;
        case "user_added":
        case "user_changed":
        case "user_removed":
        case "cascade_added":
        case "cascade_changed":
        case "cascade_removed":
        case "bridge_added":
        case "bridge_changed":
        case "bridge_removed":
        case "securenat_added":
        case "securenat_changed":
        case "securenat_removed":
          touchedHubs.add(step.hub.toLowerCase());
          break;
        case "server_changed":
          // Each hub that has users of an NT domain runs the helper; improvements are switched off in all of them.
          if (step.changed.includes("ntlmAuth") || step.changed.includes("compat")) {
            for (const { name } of next.hubs) touchedHubs.add(name.toLowerCase());
          }
          break;
        case "hub_removed":
          closing.push(this.#closeHub(step.name));
          break;
        case "tls_changed":
          this.#listeners?.rotate(tls!);
          this.#watchCertificate();
          break;
        default:
      }
    }
    for (const config of next.hubs) {
      const key = config.name.toLowerCase();
      if (!touchedHubs.has(key)) continue;
      this.#options.hubLogs?.openHub(config.name, config.log);
      this.hubs.get(key)?.reconfigure(config);
    }
    this.#links.reconfigure(this.hubs.values());
    this.#l3Switches.reconfigure(next.l3Switches, this.hubs);
    this.#authenticator.prepareFor(this.hubs.values());
    this.#listeners?.reconfigure(next.server.listen);
    this.#scheduleExpiry();
    for (const step of steps) {
      this.#options.log.info("config_changed", describeStep(step), { hub: hubOfStep(step) });
    }
    // Last, and all at once: an accounting server that is down must keep nobody else's change from being applied.
    await Promise.all(closing);
    return steps.map(describeStep);
  }

  /** Ends every session in order and releases sockets, timers and watchers. May be called twice. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#unwatch();
    this.#expiry?.cancel();
    this.#listeners?.close();
    const doorway = this.#doorway.close();
    const links = this.#links.close();
    this.#l3Switches.close();
    // Those outside who never heard of a beginning take the end for that of another server of this name.
    const reason = this.#hasBegun ? "server_stopping" : "hub_removed";
    const closing = [...this.hubs.values()].map((host) => host.close(reason));
    this.hubs.clear();
    await Promise.all([doorway, links, ...closing, this.#lastReload]);
  }

  // Parts.

  #openHub(config: HubConfig): void {
    const { clock, random, log, generatedVerifier, tapMac, books, natMemory } = this.#options;
    const ntlmAuth = () => this.#config.server.ntlmAuth;
    const compat = () => this.#config.server.compat;
    const ownPlaces = this.#ownPlaces;
    const kept = { generatedVerifier, tapMac, books, natMemory };
    const deps = { clock, random, log, ...kept, ownPlaces, ntlmAuth, compat };
    const own = {
      packetSink: this.#options.hubLogs?.openHub(config.name, config.log),
      serverId: this.#options.linkMemory.installation().toHex(),
      polls: this.#config.edition === "server",
    };
    this.hubs.set(config.name.toLowerCase(), new HubHost(config, { ...deps, ...own }));
    log.info("hub_opened", `Hub ${config.name} is ${config.online ? "online" : "offline"}`, {
      hub: config.name,
      users: config.users.length,
    });
  }

  async #closeHub(name: string): Promise<void> {
    const key = name.toLowerCase();
    const host = this.hubs.get(key);
    this.hubs.delete(key);
    await Promise.all([this.#links.remove(key), host?.close()]);
    if (!this.hubs.has(key)) this.#forgetLeases(name);
    // Last: the end of a hub is told in its log, too. It may be there again by now.
    if (!this.hubs.has(key)) await this.#options.hubLogs?.closeHub(name);
  }

  #forgetLeases(hub: string): void {
    const { log, natMemory } = this.#options;
    try {
      natMemory.forget(hub);
    } catch (thrown) {
      if (!(thrown instanceof VpnError)) throw thrown;
      log.warn("leases_not_forgotten", `Leases of hub ${hub} stay: ${thrown.message}`, { hub });
    }
  }

  #loadCertificate(config: ServerConfig) {
    const { stateDir, clock, log } = this.#options;
    return loadCertificate(config.tls, stateDir, config.server.name, { clock, log });
  }

  /** A renewed certificate is served from then on; one that is broken leaves the old one in use. */
  #watchCertificate(): void {
    const { stateDir, clock, log } = this.#options;
    this.#unwatch();
    const paths = certificatePaths(this.#config.tls, stateDir);
    this.#unwatch = watchFiles([paths.cert, paths.key], clock, () => {
      this.#loadCertificate(this.#config).then(
        (tls) => {
          if (this.#stopped !== undefined) return;
          this.#listeners?.rotate(tls);
          log.info("certificate_changed", "Serving the renewed certificate", { path: paths.cert });
        },
        (error: unknown) =>
          log.error("certificate_bad", `The old certificate stays: ${messageOf(error)}`),
      );
    });
  }

  /** Looks only while some account has a date to run out at: an idle server sleeps. */
  #scheduleExpiry(): void {
    this.#expiry?.cancel();
    this.#expiry = undefined;
    const dated = this.#config.hubs.some(({ users }) =>
      users.some((user) => user.expires !== undefined),
    );
    if (!dated) return;
    this.#expiry = this.#options.clock.every(EXPIRY_CHECK_MS, () => {
      const wall = this.#options.clock.wall();
      for (const host of this.hubs.values()) host.expire(wall);
    });
  }
}
