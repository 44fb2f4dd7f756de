import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { RefusedError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { AccountConfig } from "../config/client-config.ts";
import { formatServerAddress } from "../config/remote.ts";
import { createStateDir } from "../config/state-dir.ts";
import type { FrameSink } from "../hub/port.ts";
import type { Log } from "../observe/log.ts";
import type { DialDeps, DialTarget } from "../session/dial-target.ts";
import { dial } from "../session/dial.ts";
import { CLIENT_PRODUCT } from "../session/handshake.ts";
import { Heartbeat } from "../session/heartbeat.ts";
import type { Credential } from "../session/proof.ts";
import { Supervisor, type ClientSession, type OpenSession } from "../session/supervisor.ts";
import { CertificateVerifier, loadVerifyMode } from "../session/verify.ts";
import type { Proxy } from "../transport/proxy.ts";
import { describeError } from "./client-status.ts";
import { loadInstallation } from "./identity.ts";
import { KnownServers } from "./known-servers.ts";
import { retryAfter } from "./retry.ts";
import { pinCertificate } from "./pin.ts";
import type { ClientEvent } from "./status.ts";

export interface MonitorOptions {
  readonly account: AccountConfig;
  /** Asked before each login; not waited for once the signal has come. */
  readonly credential: (signal: AbortSignal) => Promise<Credential>;
  readonly proxy: Proxy | undefined;
  readonly stateDir: string;
  /** A person looks on: see `RetryPolicy`. */
  readonly interactive: boolean;
  /** Where the frames go; the same one for all sessions. */
  readonly sink: FrameSink;
  readonly onEvent: (event: ClientEvent) => void;
  /** A session stands: before its first frame. */
  readonly onSession: (session: ClientSession) => void;
}

export interface MonitorDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** That of the protocol, but in tests. */
  readonly dial?: (target: DialTarget, deps: DialDeps) => Promise<OpenSession>;
}

/**
 * A session in monitoring mode over any number of connections and losses: all that the hub carries goes into a sink,
 * and nothing is sent. It needs no adapter and no rights, and an account may be connected meanwhile.
 */
export class Monitor {
  readonly #options: MonitorOptions;
  readonly #deps: MonitorDeps;
  readonly #verifier: CertificateVerifier;
  readonly #supervisor: Supervisor;

  /** @throws ExitError 66 for a certificate file that is not there */
  constructor(options: MonitorOptions, deps: MonitorDeps) {
    const { account, stateDir, onEvent } = options;
    const { clock, random } = deps;
    createStateDir(stateDir);
    this.#options = options;
    this.#deps = deps;
    const memory = new KnownServers(join(stateDir, "known_servers"));
    this.#verifier = new CertificateVerifier(
      loadVerifyMode(account.verify),
      account,
      memory,
      clock,
    );
    const retry = {
      limit: account.retry === "forever" ? Infinity : account.retry,
      intervalMs: account.retryIntervalMs,
      interactive: options.interactive,
    };
    this.#supervisor = new Supervisor({
      dial: this.#dialer(),
      retryAfter: (error, failures) =>
        this.#isHopeless(error) ? { kind: "give-up" } : retryAfter(error, failures, retry, random),
      clock,
      onPhase: (phase) => onEvent({ event: phase }),
      onSession: (open) => this.#plug(open),
      onLost: () => undefined,
      onRetry: (error, failures, delayMs) =>
        onEvent({ event: "retrying", delayMs, failures, ...describeError(error) }),
    });
  }

  /** Resolves after `stop()`; rejects with what ended it for good. */
  async run(): Promise<void> {
    const { onEvent } = this.#options;
    try {
      await this.#supervisor.run();
      onEvent({ event: "disconnected", reason: "user_cancel" });
    } catch (error) {
      onEvent({ event: "disconnected", reason: describeError(error).code });
      throw error;
    }
  }

  /** Ends the session in order; with `failure` that is what `run` rejects with. May be called twice. */
  stop(failure?: Error): void {
    this.#supervisor.stop(failure);
  }

  /** Who waits for a capture to begin learns at once that it will not; who has one goes on trying. */
  #isHopeless(error: Error): boolean {
    return error instanceof RefusedError && this.#supervisor.established === 0;
  }

  #dialer(): ConstructorParameters<typeof Supervisor>[0]["dial"] {
    const { account, credential, proxy, stateDir } = this.#options;
    const { host, port, hub, user, family, wishes } = account;
    const { clock, random, log } = this.#deps;
    const heartbeat = new Heartbeat(clock);
    const target: Omit<DialTarget, "credential"> = {
      host,
      port,
      hub,
      user,
      mode: "monitor",
      family,
      clientName: CLIENT_PRODUCT,
      // The server grants no lane for urgent frames to those who only listen (hub.md 5.8).
      wishes: { ...wishes, qos: false },
      proxy,
      installation: loadInstallation(stateDir, random),
      verify: (certificate) => this.#verifier.verify(certificate),
    };
    const open = this.#deps.dial ?? dial;
    return async (signal, onPhase) =>
      open(
        { ...target, credential: await credential(signal) },
        { clock, random, log, heartbeat, signal, onPhase },
      );
  }

  #plug(open: OpenSession): void {
    const { session, server } = open;
    const { onEvent, onSession, sink } = this.#options;
    pinCertificate(this.#verifier, this.#options.onEvent);
    onSession(session);
    session.plug(sink);
    open.begin();
    onEvent({
      event: "connected",
      session: session.name,
      server: formatServerAddress({ host: server.address, port: server.port }),
      cipher: server.cipher,
      insecure: this.#verifier.isInsecure,
      message: session.welcome.message,
    });
  }
}
