import type { Clock, Timer } from "../base/clock.ts";
import type { RadiusPacket } from "../wire/radius.ts";
import type { RadiusDropReason, RadiusPeer, Seal, Ticket } from "./radius-peer.ts";

/** For this long after its silence a server is asked only when all others were. */
const SILENCE_MS = 60_000;

export interface ExchangeTimes {
  /** After `retryMs` without an answer the next server is asked, for `timeoutMs` in all. */
  readonly retryMs: number;
  readonly timeoutMs: number;
}

/** Datagrams thrown away by reason, and what became of requests. */
export type RadiusStats = Record<RadiusDropReason, number> & {
  asked: number;
  sent: number;
  answered: number;
  timedOut: number;
};

/** One request on its way from server to server. */
export class RadiusExchange {
  readonly #seal: Seal;
  readonly #peers: readonly RadiusPeer[];
  readonly #times: ExchangeTimes;
  readonly #clock: Clock;
  readonly #stats: RadiusStats;
  readonly #tickets = new Map<RadiusPeer, Ticket>();
  readonly #outcome = Promise.withResolvers<RadiusPacket | undefined>();
  #deadline: Timer | undefined;
  #retry: Timer | undefined;
  #turn = 0;
  #isOver = false;

  constructor(
    seal: Seal,
    peers: readonly RadiusPeer[],
    times: ExchangeTimes,
    clock: Clock,
    stats: RadiusStats,
  ) {
    this.#seal = seal;
    this.#peers = peers;
    this.#times = times;
    this.#clock = clock;
    this.#stats = stats;
  }

  run(): Promise<RadiusPacket | undefined> {
    this.#deadline = this.#clock.after(this.#times.timeoutMs, () => {
      this.#stats.timedOut++;
      this.#markSilent(this.#current);
      this.end(undefined);
    });
    this.#ask();
    return this.#outcome.promise;
  }

  end(answer: RadiusPacket | undefined): void {
    this.#isOver = true;
    this.#deadline?.cancel();
    this.#retry?.cancel();
    // Only now: the answer of an earlier server is welcome while a later one is asked.
    for (const ticket of this.#tickets.values()) ticket.close();
    this.#tickets.clear();
    this.#outcome.resolve(answer);
  }

  /** The network could not deliver to this server: no use to wait for it where another one is left. */
  undelivered(peer: RadiusPeer): void {
    if (peer === this.#current) this.#fail(peer);
  }

  get #current(): RadiusPeer | undefined {
    return this.#peers[this.#turn % this.#peers.length];
  }

  #ask(): void {
    const peer = this.#current;
    // Without a server nothing is sent, and the deadline ends it.
    if (peer === undefined) return;
    const known = this.#tickets.get(peer);
    const ticket = known ?? peer.tryOpen(this.#seal, (answer) => this.#answered(answer));
    this.#retry = this.#clock.after(this.#times.retryMs, () => {
      this.#markSilent(peer);
      this.#next();
    });
    if (ticket === undefined) return this.#fail(peer);
    this.#tickets.set(peer, ticket);
    this.#stats.sent++;
    const turn = this.#turn;
    void ticket.send().then((isSent) => {
      if (!isSent && !this.#isOver && turn === this.#turn) this.#fail(peer);
    });
  }

  #answered(answer: RadiusPacket): void {
    this.#stats.answered++;
    this.end(answer);
  }

  #next(): void {
    this.#turn++;
    this.#ask();
  }

  /** At once to a server that was not asked yet; a second round keeps to the time between tries. */
  #fail(peer: RadiusPeer): void {
    this.#markSilent(peer);
    if (this.#isOver || this.#turn + 1 >= this.#peers.length) return;
    this.#retry?.cancel();
    this.#next();
  }

  #markSilent(peer: RadiusPeer | undefined): void {
    if (peer === undefined) return;
    peer.silentUntil = this.#clock.now() + SILENCE_MS;
    this.#tickets.get(peer)?.moveOn();
  }
}
