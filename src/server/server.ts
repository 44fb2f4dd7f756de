import { Authenticator } from "../auth/authenticator.ts";
import { Lockout } from "../auth/lockout.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { ExitError, EXIT, messageOf } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { diffServerConfig } from "../config/diff.ts";
import type { HubConfig, ServerConfig } from "../config/server-config.ts";
import type { Log } from "../observe/log.ts";
import { Conversation, type Reception } from "../session/accept.ts";
import { Heartbeat } from "../session/heartbeat.ts";
import type { LinkOpening, TlsLink } from "../transport/tls-link.ts";
import { Admission } from "./admission.ts";
import { certificatePaths, loadCertificate, watchFiles } from "./certificate.ts";
import { describeStep } from "./config-change.ts";
import type { GeneratedVerifierOf } from "./accounts.ts";
import { HubHost } from "./hub-host.ts";
import { Listeners } from "./listeners.ts";
import { ReceptionDesk } from "./reception-desk.ts";
import { takeSnapshot, type ServerSnapshot } from "./snapshot.ts";

/** Peers that have not closed their side this long after a stop are cut off: an exit takes less than 5 s (CL-15). */
const STOP_MS = 2_000;
/** Sessions of expired users end within this time (config-proposal.md 5), in milliseconds. */
const EXPIRY_CHECK_MS = 5_000;

export interface ServerOptions {
  readonly config: ServerConfig;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly generatedVerifier: GeneratedVerifierOf;
}

/**
 * Starts a server: certificate, hubs, listeners.
 * @throws ExitError 73 when none of the ports can be bound; ConfigError for a bad certificate.
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const server = new Server(options);
  await server.start();
  return server;
}

/** A running server. It owns listeners, conversations, hubs and all below; `stop` leaves nothing of it. */
export class Server implements Reception, LinkOpening {
  readonly startedAt: number;
  readonly hubs = new Map<string, HubHost>();
  /** How connections ended that never got to a session, by reason. */
  readonly outcomes = new Map<string, number>();
  /** How connections ended that were part of a session, by reason. */
  readonly ends = new Map<string, number>();
  readonly #options: ServerOptions;
  #config: ServerConfig;
  readonly #heartbeat: Heartbeat;
  readonly #admission: Admission;
  readonly #lockout: Lockout;
  readonly #authenticator: Authenticator;
  readonly #desk: ReceptionDesk;
  /** Every socket that was accepted, until it is gone. */
  readonly #links = new Set<TlsLink>();
  readonly #conversations = new Map<TlsLink, Conversation>();
  #listeners: Listeners | undefined;
  #unwatch: () => void = () => {};
  #expiry: Timer | undefined;
  #stopped: Promise<void> | undefined;
  #onLastLinkGone: () => void = () => {};
  /** Reloads take turns, since each applies the difference to the one before. */
  #lastReload: Promise<unknown> = Promise.resolve();

  constructor(options: ServerOptions) {
    const { clock, random, log, config } = options;
    this.#options = options;
    this.#config = config;
    this.startedAt = clock.wall();
    this.#heartbeat = new Heartbeat(clock);
    this.#admission = new Admission(config.limits, random);
    this.#lockout = new Lockout(config.lockout, clock);
    this.#authenticator = new Authenticator(config.lockout, { clock, lockout: this.#lockout });
    this.#desk = new ReceptionDesk({
      clock,
      random,
      log,
      authenticator: this.#authenticator,
      heartbeat: this.#heartbeat,
      hubs: this.hubs,
      settings: () => this.#config.server,
      connectionEnded: (reason) => count(this.ends, reason),
    });
  }

  async start(): Promise<void> {
    const { clock, log } = this.#options;
    for (const hub of this.#config.hubs) this.#openHub(hub);
    for (const host of this.hubs.values()) host.serverBegan();
    this.#authenticator.prepareFor(this.hubs.values());
    const tls = await this.#loadCertificate(this.#config);
    this.#listeners = new Listeners(tls, { clock, log, opening: this });
    this.#listeners.reconfigure(this.#config.server.listen);
    const states = this.#listeners.states;
    if (states.length > 0 && states.every(({ status }) => status === "failed")) {
      const tried = states.map(({ port, problem }) => `${port} (${problem})`).join(", ");
      await this.stop();
      throw new ExitError(EXIT.cannotCreate, `Cannot listen on any port: ${tried}`);
    }
    this.#watchCertificate();
    this.#scheduleExpiry();
  }

  snapshot(): ServerSnapshot {
    return takeSnapshot({
      startedAt: this.startedAt,
      clock: this.#options.clock,
      listeners: this.#listeners?.states ?? [],
      hubs: [...this.hubs.values()],
      pending: this.#admission.pending,
      outcomes: this.outcomes,
      ends: this.ends,
    });
  }

  /**
   * Applies another configuration; what did not change goes on undisturbed. A certificate that can't be
   * loaded stops the reload before anything has changed.
   * @returns one line for each thing that changed
   */
  reload(next: ServerConfig): Promise<string[]> {
    const mine = this.#lastReload.then(() => this.#reload(next));
    // The caller hears of a failure; the next one begins from what was there before it.
    this.#lastReload = mine.catch(() => undefined);
    return mine;
  }

  async #reload(next: ServerConfig): Promise<string[]> {
    const steps = diffServerConfig(this.#config, next);
    const tlsChanged = steps.some(({ kind }) => kind === "tls_changed");
    const tls = tlsChanged ? await this.#loadCertificate(next) : undefined;
    if (this.#stopped !== undefined) return [];
    this.#config = next;
    this.#admission.reconfigure(next.limits);
    this.#authenticator.reconfigure(next.lockout);
    const touchedHubs = new Set<string>();
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
          touchedHubs.add(step.hub.toLowerCase());
          break;
        case "server_changed":
          // Each hub that has users of an NT domain runs the helper.
          if (step.changed.includes("ntlmAuth")) {
            for (const { name } of next.hubs) touchedHubs.add(name.toLowerCase());
          }
          break;
        case "hub_removed":
          await this.#closeHub(step.name);
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
      if (touchedHubs.has(key)) this.hubs.get(key)?.reconfigure(config);
    }
    this.#authenticator.prepareFor(this.hubs.values());
    this.#listeners?.reconfigure(next.server.listen);
    this.#scheduleExpiry();
    const changes = steps.map(describeStep);
    for (const change of changes) this.#options.log.info("config_changed", change);
    return changes;
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
    for (const conversation of this.#conversations.values()) conversation.end();
    const closing = [...this.hubs.values()].map((host) => host.close("server_stopping"));
    this.hubs.clear();
    await Promise.all([this.#lastLink(), ...closing]);
  }

  async #lastLink(): Promise<void> {
    if (this.#links.size === 0) return;
    const gone = new Promise<void>((resolve) => (this.#onLastLinkGone = resolve));
    const deadline = this.#options.clock.after(STOP_MS, () => {
      for (const link of this.#links) link.abort("server_stopping");
    });
    await gone;
    deadline.cancel();
  }

  // Links, from accept to the end of their conversation.

  opened(link: TlsLink): void {
    const { clock, random, log } = this.#options;
    this.#links.add(link);
    const refusal = this.#turnAway(link.remoteAddress);
    if (refusal !== undefined) {
      count(this.outcomes, refusal);
      return link.abort(refusal);
    }
    const conversation = new Conversation(link, this, {
      clock,
      random,
      limits: this.#config.limits,
    });
    this.#conversations.set(link, conversation);
    log.debug("accepted", `Connection from ${link.remoteAddress}`, {
      address: link.remoteAddress,
      port: link.remotePort,
    });
  }

  /** Why a newcomer of this address is not heard, or undefined once he is counted in. */
  #turnAway(address: string): string | undefined {
    if (this.#stopped !== undefined) return "server_stopping";
    return this.#lockout.isLocked(address) ? "locked_out" : this.#admission.enter(address);
  }

  gone(link: TlsLink): void {
    this.#links.delete(link);
    if (this.#links.size === 0) this.#onLastLinkGone();
  }

  secured(link: TlsLink): void {
    this.#conversations.get(link)?.secured();
  }

  settled(conversation: Conversation, outcome: string): void {
    const link = conversation.link as TlsLink;
    if (!this.#conversations.delete(link)) return;
    this.#admission.leave(link.remoteAddress);
    count(this.outcomes, outcome);
    this.#options.log.debug("settled", `Connection from ${link.remoteAddress}: ${outcome}`, {
      address: link.remoteAddress,
      port: link.remotePort,
      outcome,
    });
  }

  failed(error: unknown): void {
    const stack = error instanceof Error ? error.stack : undefined;
    this.#options.log.error("internal_error", messageOf(error), { stack });
  }

  // What a conversation asks.

  async login(...args: Parameters<ReceptionDesk["login"]>) {
    return this.#desk.login(...args);
  }

  join(...args: Parameters<ReceptionDesk["join"]>) {
    return this.#desk.join(...args);
  }

  listHubs(): string[] {
    return [...this.hubs.values()].filter((h) => h.config.announce).map((h) => h.config.name);
  }

  // Parts.

  #openHub(config: HubConfig): void {
    const { clock, random, log, generatedVerifier } = this.#options;
    const ntlmAuth = () => this.#config.server.ntlmAuth;
    const deps = { clock, random, log, generatedVerifier, ntlmAuth };
    this.hubs.set(config.name.toLowerCase(), new HubHost(config, deps));
    log.info("hub_opened", `Hub ${config.name} is ${config.online ? "online" : "offline"}`, {
      hub: config.name,
      users: config.users.length,
    });
  }

  async #closeHub(name: string): Promise<void> {
    const key = name.toLowerCase();
    const host = this.hubs.get(key);
    this.hubs.delete(key);
    await host?.close();
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

function count(into: Map<string, number>, reason: string): void {
  into.set(reason, (into.get(reason) ?? 0) + 1);
}
