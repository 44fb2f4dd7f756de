import type { X509Certificate } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { messageOf, VpnError } from "../base/errors.ts";
import { MAX_EGRESS_BYTES } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { CascadeConfig } from "../config/cascade-shape.ts";
import type { Policy } from "../config/policy.ts";
import { formatRemote, formatServerAddress } from "../config/remote.ts";
import type { CounterRecord } from "../hub/port-counters.ts";
import type { Port } from "../hub/port.ts";
import type { Log } from "../observe/log.ts";
import type { DialDeps, DialTarget } from "../session/dial-target.ts";
import { dial } from "../session/dial.ts";
import type { Heartbeat } from "../session/heartbeat.ts";
import { knownCredential } from "../session/known-credential.ts";
import { Supervisor, type OpenSession } from "../session/supervisor.ts";
import { CertificateVerifier, loadVerifyMode, type ServerMemory } from "../session/verify.ts";
import { type CascadeStatus, cascadeStatus } from "./cascade-status.ts";
import { describeLinkError } from "./link-error.ts";
import { linkRetryDelay } from "./retry-delay.ts";

/** The local end of a cascade: a port of the hub here. */
export interface LinkPort {
  /** SID-LINK-7. */
  readonly name: string;
  traffic(): CounterRecord;
  reconfigure(policy: Policy): void;
  /** Off the hub. The session that was its cable is closed by whoever plugged it in. */
  unplug(): void;
}

export interface CascadeDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly heartbeat: Heartbeat;
  /** Name of the hub here. */
  readonly hub: string;
  /** As welcomes to this hub carry it; undefined where a cascade may come back to it (`loop-probe` of hub.md 17). */
  readonly hubId: () => Uint8Array | undefined;
  /** Product name that the other server sees. */
  readonly product: string;
  /** 16 random bytes of this installation, the same every time. */
  readonly installation: Uint8Array;
  readonly memory: ServerMemory;
  /** CAs that the hub trusts, as they are now. */
  readonly authorities: () => readonly X509Certificate[];
  /** Cascades that are online, of the whole server. */
  readonly active: () => number;
  /** Plugs a session into the hub. */
  readonly plug: (
    session: Port,
    as: { readonly policy: Policy; readonly remoteAddress: string },
  ) => LinkPort;
  /** That of the protocol, but in tests. */
  readonly dial?: (target: DialTarget, deps: DialDeps) => Promise<OpenSession>;
}

/**
 * A hub that dials out to another and plugs the tunnel into itself (hub.md 13), from `start` to `stop`. The session
 * towards the far hub is the cable of the port here: nothing lies between the two.
 */
export class Cascade {
  readonly #deps: CascadeDeps;
  readonly #supervisor: Supervisor;
  #config: CascadeConfig;
  #verifier: CertificateVerifier | undefined;
  #port: LinkPort | undefined;
  #lastError: Error | undefined;
  /** What the log has told of the present row of failures. */
  #told: string | undefined;
  #run: Promise<void> | undefined;

  constructor(config: CascadeConfig, deps: CascadeDeps) {
    this.#config = config;
    this.#deps = deps;
    const { clock, random } = deps;
    this.#supervisor = new Supervisor({
      dial: (signal, onPhase) => this.#dial({ signal, onPhase }),
      retryAfter: (error, failures) => ({
        kind: "wait",
        delayMs: linkRetryDelay(error, failures, deps.active(), random),
      }),
      clock,
      onPhase: () => undefined,
      onSession: (open) => this.#plug(open),
      onLost: () => this.#unplug(),
      onRetry: (error, _failures, delayMs) => this.#failed(error, delayMs),
    });
  }

  get config(): CascadeConfig {
    return this.#config;
  }

  /** Dials until `stop`. Call it once. */
  start(): void {
    this.#run = this.#supervisor.run().catch((error: unknown) => {
      // It waits after each failure: what ends it all the same is a hub that is gone, or a fault of ours.
      this.#lastError = error instanceof Error ? error : new Error(messageOf(error));
      this.#log("error", "cascade_ended", `has ended: ${messageOf(error)}`);
    });
  }

  /** Another policy for the link, at once. */
  setPolicy(policy: Policy): void {
    this.#config = { ...this.#config, policy };
    this.#port?.reconfigure(policy);
  }

  /** Ends the session in order, and what is under way to a new one; resolves when nothing is left. */
  async stop(): Promise<void> {
    this.#supervisor.stop();
    await this.#run;
  }

  status(): CascadeStatus {
    const { state, established } = this.#supervisor;
    return cascadeStatus(this.#config, {
      state,
      established,
      lastError: this.#lastError,
      port: this.#port,
    });
  }

  /** Files that the settings name are read at each attempt: one that is renewed, or mended, counts from then on. */
  async #dial(attempt: Pick<DialDeps, "signal" | "onPhase">): Promise<OpenSession> {
    const config = this.#config;
    const { clock, random, log, heartbeat, memory, authorities } = this.#deps;
    const verifier = new CertificateVerifier(
      loadVerifyMode(config.verify),
      config,
      memory,
      clock,
      authorities,
    );
    this.#verifier = verifier;
    const credential = knownCredential(config.credential);
    if (credential === undefined) {
      throw new VpnError("no_password", "There is nobody to ask for the password");
    }
    const { host, port, hub, user, family, wishes, proxy } = config;
    const target: DialTarget = {
      host,
      port,
      hub,
      user,
      family,
      wishes,
      credential,
      mode: "bridge",
      proxy: proxy === undefined || proxy.kind === "direct" ? undefined : proxy,
      clientName: this.#deps.product,
      installation: this.#deps.installation,
      verify: (certificate) => verifier.verify(certificate),
    };
    const open = await (this.#deps.dial ?? dial)(target, {
      clock,
      random,
      log,
      heartbeat,
      ...attempt,
      // A hub cannot be stopped: what waits beyond this is dropped.
      egressBytes: MAX_EGRESS_BYTES,
    });
    this.#refuseSelf(open);
    return open;
  }

  /** Frames would go round from this hub to itself (hub.md 13). */
  #refuseSelf(open: OpenSession): void {
    const far = open.session.welcome.hubId;
    const here = this.#deps.hubId();
    if (far === undefined || here === undefined || Buffer.compare(far, here) !== 0) return;
    // Begun, so that it can say goodbye: the server would keep it for as long as its time-out.
    open.begin();
    open.session.close({ code: "self_loop" });
    throw new VpnError(
      "self_loop",
      `${formatRemote(this.#config)} is the very hub that this cascade begins at`,
    );
  }

  #plug(open: OpenSession): void {
    const { session, server } = open;
    this.#port = this.#deps.plug(session, {
      policy: this.#config.policy,
      remoteAddress: server.address,
    });
    this.#pin();
    this.#lastError = undefined;
    this.#told = undefined;
    this.#log("info", "cascade_up", `is online as ${session.name}`, {
      session: this.#port.name,
      address: formatServerAddress({ host: server.address, port: server.port }),
      cipher: server.cipher,
    });
    open.begin();
  }

  #unplug(): void {
    this.#port?.unplug();
    this.#port = undefined;
  }

  #pin(): void {
    try {
      const sha256 = this.#verifier?.confirm();
      if (sha256 === undefined) return;
      this.#log("info", "cascade_pinned", `knows its server by sha256:${sha256} from now on`);
    } catch (error) {
      // A full disk: the session is as safe as its certificate, the next one will ask again.
      const why = messageOf(error);
      this.#log("warn", "cascade_pin_failed", `cannot remember its server: ${why}`);
    }
  }

  /** Each reason once in a row of failures: a server that is down for a day would fill the log. */
  #failed(error: Error, delayMs: number): void {
    this.#lastError = error;
    const { number, code, message } = describeLinkError(error);
    const isNew = this.#told !== message;
    this.#told = message;
    const text = `is not online: ${message}; trying again in ${Math.round(delayMs / 1000)} s`;
    this.#log(isNew ? "warn" : "debug", "cascade_down", text, { code, error: number });
  }

  #log(level: "debug" | "info" | "warn" | "error", event: string, text: string, fields = {}): void {
    const { log, hub } = this.#deps;
    const { name } = this.#config;
    const remote = formatRemote(this.#config);
    log[level](event, `Cascade ${name} of hub ${hub} ${text}`, {
      hub,
      cascade: name,
      to: remote,
      ...fields,
    });
  }
}
