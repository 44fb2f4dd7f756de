import type { RadiusPacket } from "../wire/radius.ts";
import { tryParseRadius } from "../wire/radius.ts";
import type { RadiusAddress, RadiusNetwork, RadiusSocket } from "./radius-network.ts";
import { findSealFault, type SealedRequest } from "./radius-seal.ts";

const IDENTIFIERS = 256;

/** Why a datagram from where a RADIUS server should be was thrown away (robustness.md AU-01). */
export const RADIUS_DROP_REASONS = [
  "malformed",
  "unknown_identifier",
  "other_address",
  "unexpected_code",
  "wrong_authenticator",
  "no_message_authenticator",
] as const;
export type RadiusDropReason = (typeof RADIUS_DROP_REASONS)[number];

/** Makes the request that carries this identifier. */
export type Seal = (identifier: number) => SealedRequest;

export interface PeerConfig {
  readonly host: string;
  readonly port: number;
  readonly secret: Uint8Array;
  /** Codes that an answer may have, and those among them that must carry a Message-Authenticator. */
  readonly answers: readonly number[];
  readonly requiresMessageAuthenticator: boolean;
}

/** What a request asked of one server: sent as often as wished, open until it is closed. */
export interface Ticket {
  /** False where the server has no address or no way leads there now. */
  send(): Promise<boolean>;
  /** The address asked last gave no answer: another one is tried, and after the last the name is looked up again. */
  moveOn(): void;
  close(): void;
}

interface Open {
  readonly identifier: number;
  readonly request: SealedRequest;
  /** Where it was last sent to, and the look-up that gave this address. */
  sentTo: string | undefined;
  sentBy: Promise<readonly RadiusAddress[]> | undefined;
  readonly onAnswer: (answer: RadiusPacket) => void;
}

/**
 * One RADIUS server as configured: its addresses, its sockets and the requests that wait for its answer. An
 * identifier is not used again while its request is open, and then as late as can be (RFC 5080 2.1.1).
 */
export class RadiusPeer {
  readonly config: PeerConfig;
  /** Monotonic time until which others are asked first; 0 while it answers. */
  silentUntil = 0;
  /** Called for each datagram that was thrown away. */
  onDrop: (reason: RadiusDropReason) => void = () => {};
  onUndelivered: () => void = () => {};
  readonly #network: RadiusNetwork;
  readonly #open = new Map<number, Open>();
  readonly #sockets = new Map<4 | 6, Promise<RadiusSocket>>();
  /** What the name stood for when it was looked up; those that were silent since are left out. */
  #addresses: Promise<readonly RadiusAddress[]> | undefined;
  #nextIdentifier: number;
  #isClosed = false;

  constructor(config: PeerConfig, network: RadiusNetwork, firstIdentifier: number) {
    this.config = config;
    this.#network = network;
    this.#nextIdentifier = firstIdentifier % IDENTIFIERS;
  }

  /** As people write it. */
  get name(): string {
    const { host, port } = this.config;
    return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  }

  /** Undefined while all identifiers are taken. */
  tryOpen(seal: Seal, onAnswer: (answer: RadiusPacket) => void): Ticket | undefined {
    if (this.#open.size >= IDENTIFIERS || this.#isClosed) return undefined;
    while (this.#open.has(this.#nextIdentifier)) this.#advance();
    const identifier = this.#nextIdentifier;
    this.#advance();
    const request = seal(identifier);
    const open: Open = { identifier, request, sentTo: undefined, sentBy: undefined, onAnswer };
    this.#open.set(identifier, open);
    return {
      send: () => this.#send(open),
      moveOn: () => this.#leaveOut(open),
      close: () => void this.#open.delete(identifier),
    };
  }

  close(): void {
    this.#isClosed = true;
    this.#open.clear();
    for (const opening of this.#sockets.values()) {
      opening.then(
        (socket) => socket.close(),
        () => {},
      );
    }
    this.#sockets.clear();
  }

  #advance(): void {
    this.#nextIdentifier = (this.#nextIdentifier + 1) % IDENTIFIERS;
  }

  async #send(open: Open): Promise<boolean> {
    try {
      this.#addresses ??= this.#network.resolve(this.config.host);
      const addresses = this.#addresses;
      const address = (await addresses)[0]!;
      // Given up while the name was looked up: a socket that is opened now would be nobody's.
      if (this.#open.get(open.identifier) !== open) return false;
      const socket = await this.#socketOf(address.family);
      if (this.#open.get(open.identifier) !== open) return false;
      open.sentTo = address.text;
      open.sentBy = addresses;
      socket.send(open.request.bytes, address, this.config.port);
      return true;
    } catch {
      // The name or the socket failed; whoever asked goes on to the next server, and this name is looked up anew.
      this.#addresses = undefined;
      return false;
    }
  }

  #leaveOut({ sentTo, sentBy }: Open): void {
    // Another request may have found out already.
    if (sentBy === undefined || this.#addresses !== sentBy) return;
    const left = sentBy.then((addresses) => {
      const others = addresses.filter(({ text }) => text !== sentTo);
      return others.length > 0 ? others : this.#network.resolve(this.config.host);
    });
    // Whoever sends next is told; nobody may.
    left.catch(() => {});
    this.#addresses = left;
  }

  #socketOf(family: 4 | 6): Promise<RadiusSocket> {
    const known = this.#sockets.get(family);
    if (known !== undefined) return known;
    const opening = this.#network.open(family, {
      datagram: (bytes, from, port) => this.#receive(bytes, from, port),
      undelivered: () => this.onUndelivered(),
    });
    this.#sockets.set(family, opening);
    opening.catch(() => this.#sockets.delete(family));
    return opening;
  }

  #receive(bytes: Uint8Array, from: string, port: number): void {
    const answer = tryParseRadius(bytes);
    if (answer === undefined) return this.onDrop("malformed");
    const open = this.#open.get(answer.identifier);
    if (open === undefined) return this.onDrop("unknown_identifier");
    if (from !== open.sentTo || port !== this.config.port) return this.onDrop("other_address");
    if (!this.config.answers.includes(answer.code)) return this.onDrop("unexpected_code");
    const { secret, requiresMessageAuthenticator } = this.config;
    const { authenticator } = open.request;
    const fault = findSealFault(answer, authenticator, secret, requiresMessageAuthenticator);
    if (fault !== undefined) return this.onDrop(fault);
    this.silentUntil = 0;
    open.onAnswer(answer);
  }
}
