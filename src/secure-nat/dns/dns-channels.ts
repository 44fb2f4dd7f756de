import { MAX_DNS_SOCKETS } from "../../base/limits.ts";
import type { Random } from "../../base/random.ts";
import type { SocketAddress } from "../../platform/socket-address.ts";
import { type DnsMessage, type DnsQuestion, isSameQuestion, tryParseDns } from "../../wire/dns.ts";

/** A socket on a port of its own that sends to one resolver and hears nobody else. */
export interface DnsSocket {
  /** False if the system refused the datagram. */
  send(message: Uint8Array): boolean;
  close(): void;
}

export interface DnsSocketEvents {
  /** The bytes are the listener's until it returns; it may write into them. */
  message(bytes: Uint8Array): void;
  /** Nobody takes questions there: the network has sent word. */
  refused(): void;
}

export interface DnsTransport {
  /** Undefined where there is no way to the resolver, or no descriptor left. */
  tryOpen(server: SocketAddress, events: DnsSocketEvents): DnsSocket | undefined;
}

/** Somebody who waits for the answer to a question. */
export interface DnsWaiter {
  readonly question: DnsQuestion;
  /** The id is the resolver's; the bytes are borrowed and may be written into. */
  answered(bytes: Uint8Array, read: DnsMessage): void;
  refused(): void;
}

/** A place at a resolver: what comes in answer finds its waiter by socket, id and question (RFC 5452 9). */
export interface DnsTicket {
  /** Sends the question under this ticket's id. False if the system refused. */
  send(question: Uint8Array): boolean;
  /** May be called twice. */
  close(): void;
}

interface Channel {
  readonly server: SocketAddress;
  readonly socket: DnsSocket;
  readonly waiters: Map<number, DnsWaiter>;
}

/**
 * Sockets towards resolvers. As long as there are few, each question has its own, and so a source port that nobody can
 * guess besides an id that nobody can; beyond the bound they share. None is kept that nobody waits at.
 */
export class DnsChannels {
  readonly #transport: DnsTransport;
  readonly #random: Random;
  readonly #channels: Channel[] = [];
  readonly #stray: () => void;

  /** @param stray called for an answer that nobody waits for: it is too late, or not the resolver's */
  constructor(transport: DnsTransport, random: Random, stray: () => void) {
    this.#transport = transport;
    this.#random = random;
    this.#stray = stray;
  }

  /** Sockets that are open. */
  get size(): number {
    return this.#channels.length;
  }

  /** Undefined where the resolver cannot be asked now. */
  tryOpen(server: SocketAddress, waiter: DnsWaiter): DnsTicket | undefined {
    const fresh = this.#channels.length < MAX_DNS_SOCKETS ? this.#tryDial(server) : undefined;
    const channel = fresh ?? this.#find(server);
    if (channel === undefined) return undefined;
    const id = this.#freeId(channel);
    channel.waiters.set(id, waiter);
    return {
      send(question) {
        const message = question.slice();
        new DataView(message.buffer).setUint16(0, id);
        return channel.socket.send(message);
      },
      close: () => this.#leave(channel, id, waiter),
    };
  }

  /** Closes all sockets; nobody is told. */
  close(): void {
    for (const { socket, waiters } of this.#channels.splice(0)) {
      waiters.clear();
      socket.close();
    }
  }

  #tryDial(server: SocketAddress): Channel | undefined {
    const waiters: Channel["waiters"] = new Map();
    const socket = this.#transport.tryOpen(server, {
      message: (bytes) => this.#receive(waiters, bytes),
      refused: () => {
        for (const waiter of waiters.values()) waiter.refused();
      },
    });
    if (socket === undefined) return undefined;
    const channel = { server, socket, waiters };
    this.#channels.push(channel);
    return channel;
  }

  /** One of those to the same resolver, at random. */
  #find(server: SocketAddress): Channel | undefined {
    const { length } = this.#channels;
    const first = Math.floor(this.#random.fraction() * length);
    for (let step = 0; step < length; step += 1) {
      const channel = this.#channels[(first + step) % length]!;
      if (isSameSocketAddress(channel.server, server)) return channel;
    }
    return undefined;
  }

  /** Far fewer questions may wait than there are ids. */
  #freeId(channel: Channel): number {
    for (;;) {
      const [high, low] = this.#random.bytes(2);
      const id = (high! << 8) | low!;
      if (!channel.waiters.has(id)) return id;
    }
  }

  #receive(waiters: Channel["waiters"], bytes: Uint8Array): void {
    const read = tryParseDns(bytes);
    const waiter = read?.isResponse === true ? waiters.get(read.id) : undefined;
    if (
      read === undefined ||
      waiter === undefined ||
      !isSameQuestion(read.question, waiter.question)
    ) {
      this.#stray();
      return;
    }
    waiter.answered(bytes, read);
  }

  #leave(channel: Channel, id: number, waiter: DnsWaiter): void {
    if (channel.waiters.get(id) !== waiter) return;
    channel.waiters.delete(id);
    if (channel.waiters.size > 0) return;
    const at = this.#channels.indexOf(channel);
    if (at >= 0) this.#channels.splice(at, 1);
    channel.socket.close();
  }
}

export function isSameSocketAddress(a: SocketAddress, b: SocketAddress): boolean {
  if (a === b) return true;
  if (a.port !== b.port || (a.scope ?? 0) !== (b.scope ?? 0)) return false;
  return a.bytes.length === b.bytes.length && a.bytes.every((octet, at) => octet === b.bytes[at]);
}
