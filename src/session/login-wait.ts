import type { OutsideWait } from "../auth/authority.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { WIRE_ERROR } from "../base/errors.ts";
import { Pack } from "../wire/pack.ts";
import { NOOP } from "./handshake.ts";

/** Clients hang up after 15 s of silence (protocol.md 2.5); those that know the answer to a NOOP are kept so. */
const NOOP_EVERY_MS = 5_000;
/** The first client that passes over a NOOP; to earlier ones it is a wrong answer (protocol.md 3.6). */
const NOOP_SINCE = { version: 502, build: 5188 } as const;

/** The conversation that waits. */
export interface Waiting {
  readonly clock: Clock;
  send(pack: Pack): void;
  /** The deadline of the login stands still until `goOn`. */
  holdDeadline(): void;
  goOn(): void;
}

/** One login while an outside authority takes its time over it (robustness.md 2). */
export class LoginWait implements OutsideWait {
  readonly #conversation: Waiting;
  readonly #keepsByNoop: boolean;
  readonly #gone = new AbortController();
  #noops: Timer | undefined;
  #isWaiting = false;

  constructor(
    conversation: Waiting,
    client: { readonly clientVersion: number; readonly clientBuild: number },
  ) {
    this.#conversation = conversation;
    const { clientVersion: version, clientBuild: build } = client;
    this.#keepsByNoop =
      version > NOOP_SINCE.version || (version === NOOP_SINCE.version && build >= NOOP_SINCE.build);
  }

  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  begin(): void {
    if (this.#isWaiting || this.signal.aborted) return;
    this.#isWaiting = true;
    this.#conversation.holdDeadline();
    if (!this.#keepsByNoop) return;
    this.#noops = this.#conversation.clock.every(NOOP_EVERY_MS, () => {
      const busy = new Pack().setInt("error", WIRE_ERROR.NONE).setInt("noop", NOOP.ANSWERING);
      this.#conversation.send(busy);
    });
  }

  end(): void {
    this.#noops?.cancel();
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    if (!this.signal.aborted) this.#conversation.goOn();
  }

  /** The peer has gone, or gave up: nobody needs the answer any more. */
  abandon(): void {
    this.#gone.abort();
    this.#noops?.cancel();
  }
}
