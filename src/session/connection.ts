import type { Clock, Timer } from "../base/clock.ts";
import { ProtocolError } from "../base/errors.ts";
import type { FrameSink } from "../hub/port.ts";
import type { Link, LinkHandler } from "../transport/tls-link.ts";
import type { BlockCodec } from "./block-codec.ts";
import { Outlet } from "./outlet.ts";
import { StreamParser, type ReceivedCounts } from "./stream-parser.ts";

/** Directions of a connection on the wire (protocol.md 12.1). */
export const DIRECTION = { BOTH: 0, TO_CLIENT: 1, TO_SERVER: 2 } as const;
export type Direction = (typeof DIRECTION)[keyof typeof DIRECTION];

/**
 * Between the last frame of a connection that is replaced and its end. The reference reads a socket until it gives
 * nothing more, and where that is its end, drops with it what it has read and not yet looked at. Less than the least
 * interval between two connections, so that the server never counts two that are leaving.
 */
const RETIRE_PAUSE_MS = 500;

/** Which end of the cable this is. */
export type SessionEnd = "server" | "client";

/** What a connection tells the session that it belongs to. */
export interface ConnectionOwner {
  readonly end: SessionEnd;
  readonly codec: BlockCodec | undefined;
  /** Where received blocks go. */
  readonly inbound: FrameSink;
  readonly received: ReceivedCounts;
  readonly clock: Clock;
  drained(): void;
  keepalive(body: Uint8Array): void;
  lost(connection: Connection, reason: string): void;
}

/** One TCP connection of a session in its data phase: a parser for one direction, an outlet for the other. */
export class Connection implements LinkHandler {
  readonly outlet: Outlet;
  readonly link: Link;
  readonly direction: Direction;
  readonly joinedAt: number;
  /** Set by the session's heartbeat: when this connection was last seen to bring something. */
  heardAt: number;
  heardItems = 0;
  nextKeepaliveAt = 0;
  #isRetiring = false;
  #leaving: Timer | undefined;
  readonly #parser: StreamParser;
  readonly #owner: ConnectionOwner;

  constructor(link: Link, direction: Direction, owner: ConnectionOwner, now: number) {
    this.link = link;
    this.direction = direction;
    this.#owner = owner;
    this.#parser = new StreamParser(owner.received, (body) => owner.keepalive(body));
    this.outlet = new Outlet(link, owner.codec);
    this.heardAt = this.joinedAt = now;
    link.handler = this;
  }

  /** Items the peer has sent whole so far. */
  get items(): number {
    return this.#parser.items;
  }

  get sends(): boolean {
    const theirs = this.#owner.end === "server" ? DIRECTION.TO_SERVER : DIRECTION.TO_CLIENT;
    return this.direction !== theirs;
  }

  get receives(): boolean {
    const ours = this.#owner.end === "server" ? DIRECTION.TO_CLIENT : DIRECTION.TO_SERVER;
    return this.direction !== ours;
  }

  data(chunk: Uint8Array): void {
    const { inbound } = this.#owner;
    try {
      this.#parser.feed(chunk, inbound);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      inbound.flush();
      this.end(error.code);
      return;
    }
    inbound.flush();
  }

  drain(): void {
    this.outlet.batch.drained();
    if (this.#isRetiring) this.#leaveWhenSent();
    else this.#owner.drained();
  }

  closed(reason: string): void {
    this.#leaving?.cancel();
    this.#owner.lost(this, reason);
  }

  /** Takes the connection out of its session and closes it in order (protocol.md 2.3). */
  end(reason: string): void {
    this.link.handler = { data() {}, drain() {}, closed() {} };
    this.link.closeInOrder();
    this.closed(reason);
  }

  /** Ends our half as soon as what was begun is through; the peer's is read to its end. */
  retire(): void {
    this.#isRetiring = true;
    this.#leaveWhenSent();
  }

  #leaveWhenSent(): void {
    if (this.outlet.batch.isBlocked || this.#leaving !== undefined) return;
    this.#leaving = this.#owner.clock.after(RETIRE_PAUSE_MS, () =>
      this.link.closeInOrder({ readsOn: true }),
    );
  }
}
