import type { Clock } from "../../base/clock.ts";
import { type IpAddress, readIpv4 } from "../../base/ip.ts";
import {
  DNS_LIMITS,
  DNS_QUESTIONS_PER_S,
  DNS_RETRY_MS,
  DNS_SILENCE_MS,
  MAX_DNS_PENDING,
} from "../../base/limits.ts";
import type { Random } from "../../base/random.ts";
import type { SocketAddress } from "../../platform/socket-address.ts";
import {
  DNS_CLASS,
  DNS_OPCODE,
  DNS_PLAIN_BYTES,
  DNS_RCODE,
  type DnsMessage,
  encodeDnsRefusal,
  encodeDnsTruncated,
  tryParseDns,
} from "../../wire/dns.ts";
import { AskerRates } from "../../ip-host/asker-rates.ts";
import { DnsChannels, isSameSocketAddress, type DnsTransport } from "./dns-channels.ts";
import { DnsExchange } from "./dns-exchange.ts";
import type { FlowDial } from "../flow.ts";
import { DnsStreamGuard } from "./dns-stream-guard.ts";
import { isOwnName } from "./own-name.ts";

/* RFC 6895 3.1: the types of questions that are more than a look-up (transfers, ANY) and of signatures in transit. */
const FIRST_META_TYPE = 128;
const LAST_META_TYPE = 255;

/** A guest's end of a question. */
export interface DnsAsker {
  readonly address: IpAddress;
  readonly port: number;
}

/** What became of messages; each is counted once when it comes, and once more when it is answered. */
export interface DnsStats {
  /** Handed to a resolver. */
  relayed: number;
  answered: number;
  /** Of these, cut down to what the guest takes by UDP. */
  truncated: number;
  /** No resolver has answered in time, or none is known: SERVFAIL. */
  unanswered: number;
  /** What no guest has to ask (robustness.md DN-10). */
  refused: number;
  /** Names of this machine's own, which are nobody's else (DN-09). */
  ownNames: number;
  malformed: number;
  limited: number;
  /** The guest asked again what it waits for. */
  repeated: number;
  /** Answers that nobody waits for: they are too late, or not the resolver's (DN-05). */
  strayAnswers: number;
}

export interface DnsRelayOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: DnsTransport;
  /** In the order they are named. */
  readonly resolvers: () => readonly SocketAddress[];
  /** As the system has it, with a domain or without. */
  readonly hostName: () => string;
  /** Called after answers that a timer brought, for them to be sent. */
  readonly settled: () => void;
}

/** Carries guests' questions to the resolvers of this machine. It knows nothing itself and remembers nothing. */
export class DnsRelay {
  readonly stats: DnsStats = {
    relayed: 0,
    answered: 0,
    truncated: 0,
    unanswered: 0,
    refused: 0,
    ownNames: 0,
    malformed: 0,
    limited: 0,
    repeated: 0,
    strayAnswers: 0,
  };
  readonly #options: DnsRelayOptions;
  readonly #channels: DnsChannels;
  readonly #rates: AskerRates;
  readonly #pending = new Map<string, DnsExchange>();
  readonly #pendingOf = new Map<number | string, number>();
  #absent: { readonly server: SocketAddress; readonly until: number }[] = [];
  #isClosed = false;

  constructor(options: DnsRelayOptions) {
    this.#options = options;
    const stray = () => void (this.stats.strayAnswers += 1);
    this.#channels = new DnsChannels(options.transport, options.random, stray);
    this.#rates = new AskerRates(options.clock, DNS_QUESTIONS_PER_S);
  }

  /** Questions that wait, and the sockets they wait at. */
  get pending(): { readonly questions: number; readonly sockets: number } {
    return { questions: this.#pending.size, sockets: this.#channels.size };
  }

  /** Where a guest's questions by TCP go: to the resolver that is asked first. Undefined where none is known. */
  stream(): FlowDial | undefined {
    const [server] = this.#servers();
    if (server === undefined) return undefined;
    return {
      address: server,
      port: server.port,
      timeoutMs: DNS_RETRY_MS,
      guard: new DnsStreamGuard((message) => this.#mayAsk(message)),
      settled: (isThere) => this.#heard(server, isThere),
    };
  }

  /** By TCP there is no answer to what is not relayed: the connection ends. */
  #mayAsk(message: Uint8Array): boolean {
    const asked = tryParseDns(message);
    const fault = asked === undefined ? "malformed" : this.#faultOf(asked);
    if (fault !== undefined) this.stats[fault] += 1;
    return fault === undefined;
  }

  /** Why a message is not relayed, by its counter. */
  #faultOf(asked: DnsMessage): "malformed" | "refused" | "ownNames" | undefined {
    if (asked.isResponse || asked.records > DNS_LIMITS.records) return "malformed";
    if (!isLookUp(asked)) return "refused";
    return isOwnName(asked.question.name, this.#options.hostName()) ? "ownNames" : undefined;
  }

  /**
   * Takes a guest's datagram, which is borrowed. `answer` is called at most once, perhaps before this returns, with
   * bytes that are borrowed in turn.
   */
  ask(question: Uint8Array, from: DnsAsker, answer: (bytes: Uint8Array) => void): void {
    if (this.#isClosed) return;
    const asker = keyOf(from.address);
    if (!this.#rates.take(asker)) {
      this.stats.limited += 1;
      return;
    }
    const asked = tryParseDns(question);
    const fault = asked === undefined ? "malformed" : this.#faultOf(asked);
    if (fault !== undefined) this.stats[fault] += 1;
    if (asked === undefined || fault === "malformed") return;
    if (fault !== undefined) {
      const rcode = fault === "refused" ? DNS_RCODE.REFUSED : DNS_RCODE.NXDOMAIN;
      return answer(encodeDnsRefusal(question, asked, rcode));
    }
    this.#relay(question.slice(), asked, { ...from, asker }, answer);
  }

  /** Forgets all questions; nobody is answered any more. May be called twice. */
  close(): void {
    this.#isClosed = true;
    for (const exchange of this.#pending.values()) exchange.cancel();
    this.#pending.clear();
    this.#pendingOf.clear();
    this.#channels.close();
  }

  #relay(
    message: Uint8Array,
    asked: DnsMessage,
    { asker, port }: { readonly asker: number | string; readonly port: number },
    answer: (bytes: Uint8Array) => void,
  ): void {
    const key = `${port} ${asked.id} ${asker}`;
    if (this.#pending.has(key)) {
      this.stats.repeated += 1;
      return;
    }
    const waiting = this.#pendingOf.get(asker) ?? 0;
    if (this.#pending.size >= MAX_DNS_PENDING.all || waiting >= MAX_DNS_PENDING.perAddress) {
      this.stats.limited += 1;
      return;
    }
    const exchange = new DnsExchange({
      clock: this.#options.clock,
      channels: this.#channels,
      message,
      question: asked.question,
      servers: this.#servers(),
      settled: this.#options.settled,
      heard: (server, isThere) => this.#heard(server, isThere),
      done: (bytes, read) => {
        this.#pending.delete(key);
        this.#leave(asker);
        answer(this.#finish(message, asked, bytes, read));
      },
    });
    this.#pending.set(key, exchange);
    this.#pendingOf.set(asker, waiting + 1);
    this.stats.relayed += 1;
    exchange.start();
  }

  #finish(
    message: Uint8Array,
    asked: DnsMessage,
    bytes: Uint8Array | undefined,
    read: DnsMessage | undefined,
  ): Uint8Array {
    if (bytes === undefined || read === undefined) {
      this.stats.unanswered += 1;
      return encodeDnsRefusal(message, asked, DNS_RCODE.SERVFAIL);
    }
    this.stats.answered += 1;
    const room = Math.min(asked.udpBytes ?? DNS_PLAIN_BYTES, DNS_LIMITS.udpBytes);
    const isLong = bytes.length > room;
    if (isLong) this.stats.truncated += 1;
    const answer = isLong ? encodeDnsTruncated(bytes, read) : bytes;
    // The guest's own id and the letters of its question, which have the same length: the question is equal.
    answer.set(message.subarray(0, 2));
    answer.set(message.subarray(12, asked.questionEnd), 12);
    return answer;
  }

  #leave(asker: number | string): void {
    const left = (this.#pendingOf.get(asker) ?? 1) - 1;
    if (left > 0) this.#pendingOf.set(asker, left);
    else this.#pendingOf.delete(asker);
  }

  /** As they are named, but behind the others those that were not there lately. */
  #servers(): readonly SocketAddress[] {
    const all = this.#options.resolvers();
    if (this.#absent.length === 0) return all;
    const now = this.#options.clock.now();
    this.#absent = this.#absent.filter(({ until }) => until > now);
    const isAbsent = (server: SocketAddress) =>
      this.#absent.some((entry) => isSameSocketAddress(entry.server, server));
    return [...all.filter((server) => !isAbsent(server)), ...all.filter(isAbsent)];
  }

  #heard(server: SocketAddress, isThere: boolean): void {
    if (this.#absent.length === 0 && isThere) return;
    this.#absent = this.#absent.filter((entry) => !isSameSocketAddress(entry.server, server));
    const until = this.#options.clock.now() + DNS_SILENCE_MS;
    if (!isThere) this.#absent.push({ server, until });
  }
}

/** A question for records of the internet, of a type that names one kind of them. */
function isLookUp({ opcode, question, answers }: DnsMessage): boolean {
  const isMeta = question.type >= FIRST_META_TYPE && question.type <= LAST_META_TYPE;
  return opcode === DNS_OPCODE.QUERY && question.class === DNS_CLASS.IN && !isMeta && answers === 0;
}

/** A number for IPv4; the octets as characters for IPv6. */
function keyOf({ family, bytes }: IpAddress): number | string {
  return family === 4 ? readIpv4(bytes, 0) : String.fromCharCode(...bytes);
}
