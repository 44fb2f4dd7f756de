import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import type { Log } from "../observe/log.ts";
import type { RadiusPacket } from "../wire/radius.ts";
import { type ExchangeTimes, RadiusExchange, type RadiusStats } from "./radius-exchange.ts";
import { systemRadiusNetwork, type RadiusNetwork } from "./radius-network.ts";
import {
  RADIUS_DROP_REASONS,
  RadiusPeer,
  type RadiusDropReason,
  type Seal,
} from "./radius-peer.ts";

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

export interface RadiusClientConfig extends ExchangeTimes {
  readonly servers: readonly { readonly host: string; readonly port: number }[];
  readonly secret: Uint8Array;
  readonly answers: readonly number[];
  readonly requiresMessageAuthenticator: boolean;
}

/** Carries requests to several servers, each in its turn, until one answers. */
export class RadiusClient {
  readonly stats: RadiusStats;
  readonly #config: RadiusClientConfig;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #peers: readonly RadiusPeer[];
  readonly #exchanges = new Set<RadiusExchange>();
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
    const exchange = new RadiusExchange(
      seal,
      this.#inOrder(),
      this.#config,
      this.#clock,
      this.stats,
    );
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
