import { ProtocolError } from "../base/errors.ts";
import type { FrameSink } from "../hub/port.ts";
import type { Link, LinkHandler } from "../transport/tls-link.ts";
import { Batch } from "./batch.ts";
import { StreamParser, type ReceivedCounts } from "./stream-parser.ts";

/** What a connection tells the session that it belongs to. */
export interface ConnectionOwner {
  /** Where received frames go. */
  readonly sink: FrameSink;
  readonly stats: ReceivedCounts;
  drained(): void;
  lost(connection: Connection, reason: string): void;
}

/** One TCP connection of a session in its data phase: a parser for one direction, a batch for the other. */
export class Connection implements LinkHandler {
  readonly batch: Batch;
  readonly link: Link;
  /** Set by the session's heartbeat: when this connection was last seen to bring something. */
  heardAt: number;
  heardItems = 0;
  nextKeepaliveAt = 0;
  readonly #parser: StreamParser;
  readonly #owner: ConnectionOwner;

  constructor(link: Link, owner: ConnectionOwner, now: number) {
    this.link = link;
    this.#owner = owner;
    this.#parser = new StreamParser(owner.stats);
    this.batch = new Batch(link);
    this.heardAt = now;
    link.handler = this;
  }

  /** Items the peer has sent whole so far. */
  get items(): number {
    return this.#parser.items;
  }

  data(chunk: Uint8Array): void {
    const { sink } = this.#owner;
    try {
      this.#parser.feed(chunk, sink);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      sink.flush();
      this.end(error.code);
      return;
    }
    sink.flush();
  }

  drain(): void {
    this.batch.drained();
    this.#owner.drained();
  }

  closed(reason: string): void {
    this.batch.lostFrames += this.batch.close();
    this.#owner.lost(this, reason);
  }

  /** Takes the connection out of its session and closes it in order (protocol.md 2.3). */
  end(reason: string): void {
    this.link.handler = { data() {}, drain() {}, closed() {} };
    this.link.closeInOrder();
    this.closed(reason);
  }
}
