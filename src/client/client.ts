import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { MacAddress } from "../base/mac.ts";
import type { Random } from "../base/random.ts";
import { formatServerAddress } from "../config/remote.ts";
import type { Log } from "../observe/log.ts";
import { CLIENT_PRODUCT } from "../session/handshake.ts";
import type { DialDeps, DialTarget } from "../session/dial-target.ts";
import { dial } from "../session/dial.ts";
import { Heartbeat } from "../session/heartbeat.ts";
import type { Credential } from "../session/proof.ts";
import { Supervisor, type OpenSession } from "../session/supervisor.ts";
import { CertificateVerifier, type VerifyMode } from "../session/verify.ts";
import type { DialOptions } from "../transport/tls-dialer.ts";
import type { Proxy } from "../transport/proxy.ts";
import type { ResolvedAccount } from "./account.ts";
import { createAddressing, type Addressing } from "./addressing.ts";
import { Cable } from "./cable.ts";
import { clientStatus, describeError } from "./client-status.ts";
import type { ControlSocket } from "./control.ts";
import { loadInstallation } from "./identity.ts";
import { KnownServers } from "./known-servers.ts";
import type { HostSettings, OpenHostSettings } from "./host-settings.ts";
import type { OpenNic, VirtualNic } from "./nic.ts";
import { pinCertificate } from "./pin.ts";
import type { ClientEvent, ClientStatus } from "./status.ts";
import { retryAfter } from "./retry.ts";

/** The kernel queues and drops better than we do: the adapter is not read while the socket is full. */
const EGRESS_BYTES = 0;

export interface ClientOptions {
  readonly resolved: ResolvedAccount;
  /** Asked before each login; not waited for once the signal has come. */
  readonly credential: (signal: AbortSignal) => Promise<Credential>;
  readonly proxy: Proxy | undefined;
  readonly stateDir: string;
  readonly tempDir: string;
  /** PATH, for the system's DHCP client. */
  readonly searchPath: string;
  readonly processId: number;
  /** A person looks on: see `RetryPolicy`. */
  readonly interactive: boolean;
  readonly onEvent: (event: ClientEvent) => void;
  /** The hub's policy is that no password is kept; gives what to tell about it. */
  readonly forgetPassword?: () => string | undefined;
}

export interface ClientDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly openNic: OpenNic;
  /** Without it the machine's routes, name servers and filter stay as they are. */
  readonly openHostSettings?: OpenHostSettings;
  /** That of the protocol, but in tests. */
  readonly dial?: (target: DialTarget, deps: DialDeps) => Promise<OpenSession>;
}

/** One account at work: an adapter, and a session plugged into it, over any number of sessions. */
export class Client {
  readonly #options: ClientOptions;
  readonly #deps: ClientDeps;
  readonly #mac: MacAddress;
  readonly #verifier: CertificateVerifier;
  readonly #supervisor: Supervisor;
  readonly #startedAt: number;
  readonly #cable = new Cable();
  #nic: VirtualNic | undefined;
  #host: HostSettings | undefined;
  #addressing: Addressing | undefined;
  #control: ControlSocket | undefined;
  #isUp = false;
  #isStopping = false;

  constructor(options: ClientOptions, deps: ClientDeps, verifyMode: VerifyMode, mac: MacAddress) {
    const { account } = options.resolved;
    const { clock, random } = deps;
    this.#options = options;
    this.#deps = deps;
    this.#mac = mac;
    this.#startedAt = clock.wall();
    const memory = new KnownServers(join(options.stateDir, "known_servers"));
    this.#verifier = new CertificateVerifier(verifyMode, account, memory, clock);
    const retry = {
      limit: account.retry === "forever" ? Infinity : account.retry,
      intervalMs: account.retryIntervalMs,
      interactive: options.interactive,
    };
    this.#supervisor = new Supervisor({
      dial: this.#dialer(),
      retryAfter: (error, failures) => retryAfter(error, failures, retry, random),
      clock,
      onPhase: (phase) => options.onEvent({ event: phase }),
      onSession: (open) => this.#plug(open),
      onLost: () => this.#unplug(),
      onRetry: (error, failures, delayMs) =>
        options.onEvent({ event: "retrying", delayMs, failures, ...describeError(error) }),
    });
  }

  /** Hands over what `openClient` made; it is closed with the client. */
  attach(control: ControlSocket, nic: VirtualNic, host?: HostSettings): void {
    const { resolved, stateDir, searchPath, onEvent } = this.#options;
    const { clock, random } = this.#deps;
    this.#control = control;
    this.#nic = nic;
    this.#host = host;
    nic.port.plug(this.#cable);
    this.#addressing = createAddressing(resolved.nic, this.#mac, nic, {
      clock,
      random,
      stateDir,
      searchPath,
      onEvent,
      onNetwork: (network) => host?.setNetwork(network),
      metricOf: (net) => host?.metricOf(net),
    });
  }

  /** Connects, and resolves after `stop()`. Rejects with what ended it for good. Nothing is left in either case. */
  async run(): Promise<void> {
    const { onEvent } = this.#options;
    try {
      await this.#supervisor.run();
      onEvent({ event: "disconnected", reason: "user_cancel" });
    } catch (error) {
      onEvent({ event: "disconnected", reason: describeError(error).code });
      throw error;
    } finally {
      this.#isStopping = true;
      try {
        await this.#addressing?.stop();
      } finally {
        await this.#host?.close();
        this.#nic?.close();
        this.#control?.close();
      }
    }
  }

  /** Ends the session in order; `run` resolves then. May be called twice. */
  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    try {
      // While a session stands: a lease is given back by a frame.
      await this.#addressing?.stop();
    } finally {
      this.#supervisor.stop();
    }
  }

  /** Ends the session; `run` rejects with `error` then. */
  fail(error: unknown): void {
    this.#supervisor.stop(error instanceof Error ? error : new Error(messageOf(error)));
  }

  status(): ClientStatus {
    const { resolved, processId } = this.#options;
    const { state, established } = this.#supervisor;
    return clientStatus({
      resolved,
      processId,
      state,
      established,
      startedAt: this.#startedAt,
      mac: this.#mac,
      isInsecure: this.#verifier.isInsecure,
      isStopping: this.#isStopping,
      host: this.#host,
    });
  }

  #dialer(): ConstructorParameters<typeof Supervisor>[0]["dial"] {
    const { resolved, credential, proxy, stateDir } = this.#options;
    const { host, port, hub, user, mode, family, wishes } = resolved.account;
    const { clock, random, log } = this.#deps;
    const heartbeat = new Heartbeat(clock);
    const target: Omit<DialTarget, "credential"> = {
      host,
      port,
      hub,
      user,
      mode,
      family,
      clientName: CLIENT_PRODUCT,
      wishes,
      proxy,
      installation: loadInstallation(stateDir, random),
      verify: (certificate) => this.#verifier.verify(certificate),
    };
    const open = this.#deps.dial ?? dial;
    return async (signal, onPhase) =>
      open(
        { ...target, credential: await credential(signal) },
        {
          clock,
          random,
          log,
          heartbeat,
          signal,
          onPhase,
          egressBytes: EGRESS_BYTES,
          ...this.#way(),
        },
      );
  }

  /** The way to the server is the account's, and is ready before it is used. */
  #way(): Pick<DialOptions, "lookup" | "onAddress"> {
    const host = this.#host;
    if (host === undefined) return {};
    return { lookup: host.lookup, onAddress: (address, port) => host.admit(address, port) };
  }

  #plug(open: OpenSession): void {
    const { session, server } = open;
    const { onEvent, resolved } = this.#options;
    const nic = this.#nic;
    const addressing = this.#addressing;
    if (nic === undefined || addressing === undefined) throw new Error("run() before attach()");
    pinCertificate(this.#verifier, this.#options.onEvent);
    if (session.welcome.policy.no_save_password) this.#forgetPassword();
    this.#host?.confirm();
    // Once: the interface and its routes outlive the session.
    if (!this.#isUp) nic.setUp();
    this.#isUp = true;
    session.plug(addressing.sink);
    // A hub throws away what a monitoring session sends (hub.md 5.6).
    if (resolved.account.mode !== "monitor") this.#cable.connect(session);
    open.begin();
    onEvent({
      event: "connected",
      session: session.name,
      server: formatServerAddress({ host: server.address, port: server.port }),
      cipher: server.cipher,
      nic: nic.device,
      insecure: this.#verifier.isInsecure,
      message: session.welcome.message,
    });
    addressing.begin(session);
  }

  #unplug(): void {
    this.#addressing?.pause();
    this.#cable.connect(undefined);
  }

  #forgetPassword(): void {
    const { onEvent, forgetPassword } = this.#options;
    try {
      const message = forgetPassword?.();
      if (message !== undefined) onEvent({ event: "warning", code: "no_save_password", message });
    } catch (error) {
      const message = `Cannot forget the password, which the hub wants: ${messageOf(error)}`;
      onEvent({ event: "warning", code: "no_save_password", message });
    }
  }
}
