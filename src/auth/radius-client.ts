import type { Clock, Timer } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import type { Log } from "../observe/log.ts";
import type { RadiusPacket } from "../wire/radius.ts";
import { systemRadiusNetwork, type RadiusNetwork } from "./radius-network.ts";
import {
  RADIUS_DROP_REASONS,
  RadiusPeer,
  type RadiusDropReason,
  type Seal,
  type Ticket,
} from "./radius-peer.ts";

/** For this long after its silence a server is asked only when all others were. */
const SILENCE_MS = 60_000;
/** A server's fault is told once in this time. */
const COMPLAINT_MS = 60_000;

const COMPLAINTS: Partial<Record<RadiusDropReason, string>> = {
  wrong_authenticator: "its answers are sealed with another secret: compare radius.secret",
  no_message_authenticator:
    "its answers carry no Message-Authenticator: update it, or set radius.require_message_authenticator = false",
};

export interface RadiusDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The system's unless a test stands in. */
  readonly network?: RadiusNetwork;
}

export interface RadiusClientConfig {
  readonly servers: readonly { readonly host: string; readonly port: number }[];
  readonly secret: Uint8Array;
  /** After `retryMs` without an answer the next server is asked, for `timeoutMs` in all. */
  readonly retryMs: number;
  readonly timeoutMs: number;
  readonly answers: readonly number[];
  readonly requiresMessageAuthenticator: boolean;
}

/** Datagrams thrown away by reason, and what became of requests. */
export type RadiusStats = Record<RadiusDropReason, number> & {
  asked: number;
  sent: number;
  answered: number;
  timedOut: number;
};

/** Carries requests to several servers, each in its turn, until one answers. */
export class RadiusClient {
  readonly stats: RadiusStats;
  readonly #config: RadiusClientConfig;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #peers: readonly RadiusPeer[];
  readonly #exchanges = new Set<Exchange>();
  readonly #complainedAt = new Map<string, number>();
  #isClosed = false;

  constructor(config: RadiusClientConfig, deps: RadiusDeps) {
    this.#config = config;
    this.#clock = deps.clock;
    this.#log = deps.log;
    const drops = Object.fromEntries(RADIUS_DROP_REASONS.map((reason) => [reason, 0]));
    this.stats = {
      ...(drops as Record<RadiusDropReason, number>),
      asked: 0,
      sent: 0,
      answered: 0,
      timedOut: 0,
    };
    const network = deps.network ?? systemRadiusNetwork;
    this.#peers = config.servers.map((server) => {
      const peer = new RadiusPeer({ ...config, ...server }, network, deps.random.bytes(1)[0]!);
      peer.onDrop = (reason) => this.#dropped(peer, reason);
      peer.onUndelivered = () => this.#exchanges.forEach((exchange) => exchange.undelivered(peer));
      return peer;
    });
  }

  get hasServers(): boolean {
    return this.#peers.length > 0;
  }

  /** Requests without an answer yet. */
  get waiting(): number {
    return this.#exchanges.size;
  }

  /** The first good answer of any server; undefined after the time-out, the signal or close(). */
  async ask(seal: Seal, signal?: AbortSignal): Promise<RadiusPacket | undefined> {
    if (this.#isClosed || signal?.aborted) return undefined;
    this.stats.asked++;
    const exchange = new Exchange(seal, this.#inOrder(), this.#config, this.#clock, this.stats);
    const abort = () => exchange.end(undefined);
    signal?.addEventListener("abort", abort);
    this.#exchanges.add(exchange);
    try {
      return await exchange.run();
    } finally {
      this.#exchanges.delete(exchange);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Every request that waits is given up; may be called twice. */
  close(): void {
    this.#isClosed = true;
    for (const exchange of this.#exchanges) exchange.end(undefined);
    for (const peer of this.#peers) peer.close();
  }

  /** As configured, those that were silent lately behind the others. */
  #inOrder(): RadiusPeer[] {
    const now = this.#clock.now();
    const isSilent = (peer: RadiusPeer) => Number(peer.silentUntil > now);
    return this.#peers.toSorted((a, b) => isSilent(a) - isSilent(b));
  }

  #dropped(peer: RadiusPeer, reason: RadiusDropReason): void {
    this.stats[reason]++;
    const complaint = COMPLAINTS[reason];
    const now = this.#clock.now();
    const key = `${peer.name} ${reason}`;
    if (complaint === undefined || now < (this.#complainedAt.get(key) ?? -Infinity)) return;
    this.#complainedAt.set(key, now + COMPLAINT_MS);
    this.#log.warn("radius_answer_refused", `RADIUS server ${peer.name}: ${complaint}`, {
      server: peer.name,
      reason,
    });
  }
}

/** One request on its way from server to server. */
class Exchange {
  readonly #seal: Seal;
  readonly #peers: readonly RadiusPeer[];
  readonly #config: RadiusClientConfig;
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
    config: RadiusClientConfig,
    clock: Clock,
    stats: RadiusStats,
  ) {
    this.#seal = seal;
    this.#peers = peers;
    this.#config = config;
    this.#clock = clock;
    this.#stats = stats;
  }

  run(): Promise<RadiusPacket | undefined> {
    this.#deadline = this.#clock.after(this.#config.timeoutMs, () => {
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
    this.#retry = this.#clock.after(this.#config.retryMs, () => {
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
