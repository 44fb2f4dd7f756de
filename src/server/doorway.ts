import type { Lockout } from "../auth/lockout.ts";
import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { LimitSettings } from "../config/server-config.ts";
import type { Log } from "../observe/log.ts";
import { Conversation, type Reception } from "../session/accept.ts";
import type { LinkOpening, TlsLink } from "../transport/tls-link.ts";
import { Admission } from "./admission.ts";
import type { ReceptionDesk } from "./reception-desk.ts";
import { count, type Tally } from "./tally.ts";

/** Peers that have not closed their side this long after a stop are cut off: an exit takes less than 5 s (CL-15). */
const STOP_MS = 2_000;

export interface DoorwayDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly lockout: Lockout;
  readonly desk: ReceptionDesk;
}

/** Owns every socket from accept until it is gone, and every conversation until it is over. */
export class Doorway implements LinkOpening, Reception {
  /** How connections ended that never got to a session, by reason. */
  readonly outcomes: Tally = new Map();
  readonly #deps: DoorwayDeps;
  readonly #admission: Admission;
  readonly #links = new Set<TlsLink>();
  readonly #conversations = new Map<TlsLink, Conversation>();
  #limits: LimitSettings;
  #isClosed = false;
  #onLastLinkGone: () => void = () => {};

  constructor(limits: LimitSettings, deps: DoorwayDeps) {
    this.#limits = limits;
    this.#deps = deps;
    this.#admission = new Admission(limits, deps.random);
  }

  /** Connections that are not logged in. */
  get pending(): number {
    return this.#admission.pending;
  }

  reconfigure(limits: LimitSettings): void {
    this.#limits = limits;
    this.#admission.reconfigure(limits);
  }

  /** Ends every conversation and waits for the sockets, those of sessions as well, which their owners close. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const conversation of this.#conversations.values()) conversation.end();
    if (this.#links.size === 0) return;
    const gone = new Promise<void>((resolve) => (this.#onLastLinkGone = resolve));
    const deadline = this.#deps.clock.after(STOP_MS, () => {
      for (const link of this.#links) link.abort("server_stopping");
    });
    await gone;
    deadline.cancel();
  }

  // Links, from accept to the end of their conversation.

  opened(link: TlsLink): void {
    const { clock, random, log } = this.#deps;
    this.#links.add(link);
    const refusal = this.#turnAway(link.remoteAddress);
    if (refusal !== undefined) {
      count(this.outcomes, refusal);
      return link.abort(refusal);
    }
    const conversation = new Conversation(link, this, { clock, random, limits: this.#limits });
    this.#conversations.set(link, conversation);
    log.debug("accepted", `Connection from ${link.remoteAddress}`, {
      address: link.remoteAddress,
      port: link.remotePort,
    });
  }

  /** Why a newcomer of this address is not heard, or undefined once he is counted in. */
  #turnAway(address: string): string | undefined {
    if (this.#isClosed) return "server_stopping";
    return this.#deps.lockout.isLocked(address) ? "locked_out" : this.#admission.enter(address);
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
    this.#deps.log.debug("settled", `Connection from ${link.remoteAddress}: ${outcome}`, {
      address: link.remoteAddress,
      port: link.remotePort,
      outcome,
    });
  }

  // What a conversation asks.

  login(...args: Parameters<Reception["login"]>): ReturnType<Reception["login"]> {
    return this.#deps.desk.login(...args);
  }

  join(...args: Parameters<Reception["join"]>): ReturnType<Reception["join"]> {
    return this.#deps.desk.join(...args);
  }

  listHubs(): string[] {
    return this.#deps.desk.listHubs();
  }

  failed(error: unknown): void {
    const stack = error instanceof Error ? error.stack : undefined;
    this.#deps.log.error("internal_error", messageOf(error), { stack });
  }
}
