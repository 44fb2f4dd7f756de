import type { Clock, Timer } from "../base/clock.ts";
import { messageOf, RefusedError, WIRE_ERROR } from "../base/errors.ts";
import type { Log } from "../observe/log.ts";
import type { Link } from "../transport/tls-link.ts";
import type { Connection, Direction } from "./connection.ts";
import type { Session } from "./session.ts";

/** A connection that the server has let into the session. */
export interface Recruit {
  readonly link: Link;
  readonly direction: Direction;
  /** Stream bytes that came with the reply. */
  readonly rest: Uint8Array;
}

export interface RecruiterDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Opens a connection; rejects with the server's refusal or what else went wrong. */
  readonly connect: (signal: AbortSignal) => Promise<Recruit>;
}

/** Least time between two attempts: servers count what comes faster as an attack (protocol.md 2.5). */
const LEAST_INTERVAL_MS = 1_000;

/**
 * Keeps the connections of a session at the number that was granted, at the side that dialled (protocol.md 12.2):
 * one attempt an interval, a lost one replaced at once where the last attempt is an interval ago, and each
 * replaced when it has lived its time.
 */
export class Recruiter {
  readonly #session: Session;
  readonly #intervalMs: number;
  readonly #lifetimeMs: number;
  readonly #deps: RecruiterDeps;
  readonly #abort = new AbortController();
  #timer: Timer | undefined;
  #lastAttempt: number;
  #isConnecting = false;

  /** @param lifetimeMs of a connection; 0: for ever */
  constructor(
    session: Session,
    times: { readonly intervalMs: number; readonly lifetimeMs: number },
    deps: RecruiterDeps,
  ) {
    this.#session = session;
    this.#intervalMs = Math.max(LEAST_INTERVAL_MS, times.intervalMs);
    this.#lifetimeMs = times.lifetimeMs;
    this.#deps = deps;
    this.#lastAttempt = deps.clock.now();
    session.onConnectionEnded = () => this.#plan();
    session.onClosing = () => this.#stop();
    this.#plan();
  }

  /** The one attempt that is under way, or planned, is for nobody any more. */
  #stop(): void {
    this.#abort.abort();
    this.#timer?.cancel();
  }

  #plan(): void {
    this.#timer?.cancel();
    if (this.#session.isClosed || this.#isConnecting) return;
    const now = this.#deps.clock.now();
    const due = Math.max(this.#wantedAt(now), this.#lastAttempt + this.#intervalMs);
    if (due === Infinity) return;
    this.#timer = this.#deps.clock.after(Math.max(0, due - now), () => this.#act());
  }

  /** When there will be something to do. */
  #wantedAt(now: number): number {
    if (this.#isVacant() || this.#isOneWay()) return now;
    const oldest = this.#oldest();
    if (this.#lifetimeMs === 0 || oldest === undefined) return Infinity;
    return oldest.joinedAt + this.#lifetimeMs;
  }

  #act(): void {
    const session = this.#session;
    const { isHalfDuplex } = session.welcome.stream;
    // The server chooses directions, and would choose the same again.
    if (this.#isOneWay()) session.connections.at(-1)!.end("one_direction");
    const oldest = this.#oldest();
    const isDue = !this.#isVacant() && oldest !== undefined;
    // The direction that is missing is the one that the successor gets.
    if (isDue && isHalfDuplex) session.retire(oldest);
    void this.#recruit(isDue && !isHalfDuplex ? oldest : undefined);
  }

  async #recruit(predecessor: Connection | undefined): Promise<void> {
    const session = this.#session;
    this.#isConnecting = true;
    this.#timer?.cancel();
    this.#lastAttempt = this.#deps.clock.now();
    try {
      const { link, direction, rest } = await this.#deps.connect(this.#abort.signal);
      session.join(link, direction, rest);
      if (predecessor !== undefined) session.retire(predecessor);
    } catch (error) {
      this.#failed(error);
    }
    this.#isConnecting = false;
    this.#plan();
  }

  #failed(error: unknown): void {
    const session = this.#session;
    const code = error instanceof RefusedError ? error.wireError : undefined;
    if (code === WIRE_ERROR.SESSION_TIMEOUT || code === WIRE_ERROR.INVALID_PROTOCOL) {
      // The server knows the session no more, and no attempt will change that.
      return session.close({ code: "session_lost", detail: messageOf(error) });
    }
    if (this.#abort.signal.aborted) return;
    this.#deps.log.debug("additional_connection", messageOf(error), { session: session.name });
  }

  #isVacant(): boolean {
    return this.#session.connections.length < this.#session.welcome.stream.connections;
  }

  /** At the full number, and yet nothing to send on, or nothing to hear from. */
  #isOneWay(): boolean {
    const { connections } = this.#session;
    return (
      !this.#isVacant() &&
      (!connections.some(({ sends }) => sends) || !connections.some(({ receives }) => receives))
    );
  }

  #oldest(): Connection | undefined {
    return this.#session.connections[0];
  }
}
