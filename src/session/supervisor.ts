import type { Clock } from "../base/clock.ts";
import { messageOf, RefusedError, VpnError, WIRE_ERROR } from "../base/errors.ts";
import { afterLong } from "../base/long-timer.ts";
import type { CloseReason, Port } from "../hub/port.ts";
import type { DialedSession, DialPhase } from "./dial-target.ts";
import type { Session } from "./session.ts";

/** What the end that dialled uses of a session. */
export type ClientSession = Port &
  Pick<Session, "welcome" | "connections" | "codec" | "udp" | "stats" | "isClosed" | "onClosed">;

/** A session as `dial` hands it over. */
export type OpenSession = Omit<DialedSession, "session"> & { readonly session: ClientSession };

/** What follows a failure. */
export type RetryVerdict =
  { readonly kind: "wait"; readonly delayMs: number } | { readonly kind: "give-up" };

/** Where an account or a cascade stands. */
export type SupervisorState =
  | { readonly kind: "dialing"; readonly phase: DialPhase }
  | { readonly kind: "connected"; readonly open: OpenSession; readonly since: number }
  | {
      readonly kind: "retrying";
      readonly error: Error;
      readonly failures: number;
      readonly at: number;
    }
  | { readonly kind: "ended" };

export interface SupervisorDeps {
  readonly dial: (signal: AbortSignal, onPhase: (phase: DialPhase) => void) => Promise<OpenSession>;
  /** What follows the `failures`-th failure in a row, counted from 1. */
  readonly retryAfter: (error: Error, failures: number) => RetryVerdict;
  readonly clock: Clock;
  readonly onPhase: (phase: DialPhase) => void;
  /** A session stands: plug it in, and `begin` it. */
  readonly onSession: (open: OpenSession) => void;
  /** The session is gone; another may follow. */
  readonly onLost: () => void;
  readonly onRetry: (error: Error, failures: number, delayMs: number) => void;
}

/** Keeps one session up: dials, holds it, and begins anew when it is lost (hub.md 13, 15.4). */
export class Supervisor {
  state: SupervisorState = { kind: "dialing", phase: "resolving" };
  /** Sessions that stood so far. */
  established = 0;
  readonly #deps: SupervisorDeps;
  readonly #stop = new AbortController();
  #failure: Error | undefined;

  constructor(deps: SupervisorDeps) {
    this.#deps = deps;
  }

  /** Resolves after `stop()`; rejects with the error that ends it for good. Called once. */
  async run(): Promise<void> {
    try {
      await this.#loop();
      if (this.#failure !== undefined) throw this.#failure;
    } finally {
      this.state = { kind: "ended" };
    }
  }

  /** With `failure` that is what `run` rejects with. */
  stop(failure?: Error): void {
    this.#failure ??= failure;
    this.#stop.abort();
  }

  async #loop(): Promise<void> {
    const { signal } = this.#stop;
    let failures = 0;
    while (!signal.aborted) {
      const outcome = await this.#attempt();
      if (signal.aborted) return;
      failures = outcome.wasEstablished ? 1 : failures + 1;
      const verdict = this.#deps.retryAfter(outcome.error, failures);
      if (verdict.kind === "give-up") throw outcome.error;
      await this.#wait(outcome.error, failures, verdict.delayMs);
    }
  }

  async #attempt(): Promise<{ error: Error; wasEstablished: boolean }> {
    const { signal } = this.#stop;
    let open: OpenSession;
    try {
      open = await this.#deps.dial(signal, (phase) => {
        this.state = { kind: "dialing", phase };
        this.#deps.onPhase(phase);
      });
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(messageOf(thrown));
      return { error, wasEstablished: false };
    }
    const error = await this.#hold(open);
    return { error, wasEstablished: true };
  }

  /** Until the session ends, by whomever; answers why. */
  async #hold(open: OpenSession): Promise<Error> {
    const { session } = open;
    const { auto_disconnect: autoDisconnectS } = session.welcome.policy;
    const { clock, onSession, onLost } = this.#deps;
    const { signal } = this.#stop;
    const ended = Promise.withResolvers<Error>();
    session.onClosed = (reason) => ended.resolve(endOf(reason));
    const stop = () => {
      session.close({ code: "user_cancel" });
      ended.resolve(new VpnError("cancelled", "The session was ended by the user"));
    };
    const expire = () => {
      ended.resolve(
        new RefusedError(
          WIRE_ERROR.AUTO_DISCONNECT,
          "The policy of the hub ends sessions after this time",
        ),
      );
      session.close({ code: "auto_disconnect" });
    };
    const expiry = afterLong(clock, (autoDisconnectS || Infinity) * 1000, expire);
    signal.addEventListener("abort", stop, { once: true });
    try {
      if (signal.aborted) stop();
      else if (session.isClosed) ended.resolve(endOf({ code: "closed" }));
      else {
        this.established++;
        this.state = { kind: "connected", open, since: clock.wall() };
        onSession(open);
      }
      return await ended.promise;
    } finally {
      signal.removeEventListener("abort", stop);
      expiry.cancel();
      session.close({ code: "ended" });
      if (this.state.kind === "connected") onLost();
    }
  }

  #wait(error: Error, failures: number, delayMs: number): Promise<void> {
    const { clock, onRetry } = this.#deps;
    const { signal } = this.#stop;
    this.state = { kind: "retrying", error, failures, at: clock.wall() + delayMs };
    const waited = Promise.withResolvers<void>();
    const timer = clock.after(delayMs, waited.resolve);
    const stop = () => waited.resolve();
    signal.addEventListener("abort", stop, { once: true });
    onRetry(error, failures, delayMs);
    return waited.promise.finally(() => {
      timer.cancel();
      signal.removeEventListener("abort", stop);
    });
  }
}

function endOf(reason: CloseReason): Error {
  const detail = reason.detail === undefined ? "" : `: ${reason.detail}`;
  return new VpnError("session_ended", `The session has ended (${reason.code})${detail}`);
}
