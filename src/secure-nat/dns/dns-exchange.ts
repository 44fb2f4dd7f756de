import type { Clock, Timer } from "../../base/clock.ts";
import { DNS_RETRY_MS, DNS_TIMEOUT_MS } from "../../base/limits.ts";
import type { SocketAddress } from "../../platform/socket-address.ts";
import type { DnsMessage, DnsQuestion } from "../../wire/dns.ts";
import type { DnsChannels, DnsTicket } from "./dns-channels.ts";

/* RFC 1035 4.1.1: another server may know better. */
const SERVER_FAILURE = 2;
const NOT_IMPLEMENTED = 4;
const REFUSED = 5;
const ASK_ANOTHER: readonly number[] = [SERVER_FAILURE, NOT_IMPLEMENTED, REFUSED];

export interface DnsExchangeOptions {
  readonly clock: Clock;
  readonly channels: DnsChannels;
  /** The message as the guest sent it, and the question in it. */
  readonly message: Uint8Array;
  readonly question: DnsQuestion;
  /** In the order they are asked. */
  readonly servers: readonly SocketAddress[];
  /** A timer of the exchange has run: what came of it can be sent. */
  readonly settled: () => void;
  /** Whether a server is there: it has answered, or else it let its time pass or cannot be asked. */
  readonly heard: (server: SocketAddress, isThere: boolean) => void;
  /** Called once; the answer carries an id of ours and is borrowed. Undefined where nobody gave one. */
  readonly done: (answer: Uint8Array | undefined, read: DnsMessage | undefined) => void;
}

/** One question on its way from resolver to resolver. An earlier one's answer is welcome while a later one is asked. */
export class DnsExchange {
  readonly #options: DnsExchangeOptions;
  readonly #tickets = new Map<SocketAddress, DnsTicket>();
  /** Those that said no, or that could not be asked. */
  readonly #failed = new Set<SocketAddress>();
  readonly #endsAt: number;
  #timer: Timer | undefined;
  #turn = -1;
  #isOver = false;
  /** What a resolver said that did not know: better than nothing in the end. */
  #failure: { bytes: Uint8Array; read: DnsMessage } | undefined;

  constructor(options: DnsExchangeOptions) {
    this.#options = options;
    this.#endsAt = options.clock.now() + DNS_TIMEOUT_MS;
  }

  start(): void {
    this.#askNext();
  }

  /** Ends it without an answer. */
  cancel(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    for (const ticket of this.#tickets.values()) ticket.close();
    this.#tickets.clear();
  }

  #askNext(): void {
    this.#timer?.cancel();
    const { servers, clock } = this.#options;
    for (let tries = 0; tries < servers.length; tries += 1) {
      this.#turn = (this.#turn + 1) % servers.length;
      const server = servers[this.#turn]!;
      if (this.#failed.has(server)) continue;
      const wait = Math.min(DNS_RETRY_MS, this.#endsAt - clock.now());
      const timer = clock.after(wait, () => this.#timedOut(server));
      this.#timer = timer;
      if (this.#trySend(server)) return;
      timer.cancel();
    }
    this.#finish();
  }

  #trySend(server: SocketAddress): boolean {
    const { channels, question, message } = this.#options;
    let ticket = this.#tickets.get(server);
    if (ticket === undefined) {
      ticket = channels.tryOpen(server, {
        question,
        answered: (bytes, read) => this.#answered(server, bytes, read),
        refused: () => {
          this.#options.heard(server, false);
          this.#fail(server);
        },
      });
      if (ticket !== undefined) this.#tickets.set(server, ticket);
    }
    if (ticket?.send(message) === true) return true;
    this.#options.heard(server, false);
    this.#drop(server);
    return false;
  }

  #answered(server: SocketAddress, bytes: Uint8Array, read: DnsMessage): void {
    this.#options.heard(server, true);
    if (!ASK_ANOTHER.includes(read.rcode)) {
      this.cancel();
      this.#options.done(bytes, read);
      return;
    }
    this.#failure = { bytes: bytes.slice(), read };
    this.#fail(server);
  }

  /** Asks the next one at once, if it was this one's turn or all the others have said no. */
  #fail(server: SocketAddress): void {
    const wasCurrent = this.#options.servers[this.#turn] === server;
    this.#drop(server);
    if (this.#isOver) return;
    if (wasCurrent || this.#failed.size === this.#options.servers.length) this.#askNext();
  }

  #drop(server: SocketAddress): void {
    this.#failed.add(server);
    this.#tickets.get(server)?.close();
    this.#tickets.delete(server);
  }

  #timedOut(server: SocketAddress): void {
    this.#options.heard(server, false);
    if (this.#options.clock.now() >= this.#endsAt) this.#finish();
    else this.#askNext();
    this.#options.settled();
  }

  #finish(): void {
    this.cancel();
    this.#options.done(this.#failure?.bytes, this.#failure?.read);
  }
}
