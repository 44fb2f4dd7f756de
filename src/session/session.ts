import type { Clock } from "../base/clock.ts";
import { MAX_EGRESS_BYTES } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { CloseReason, FrameRun, FrameSink, Port } from "../hub/port.ts";
import type { Link } from "../transport/tls-link.ts";
import { Connection, type ConnectionOwner } from "./connection.ts";
import { BEAT_MS, type Beating, type Heartbeat } from "./heartbeat.ts";
import { encodeKeepalive, keepaliveDelay } from "./keepalive.ts";
import type { Welcome } from "./welcome.ts";

/** Numbers of one session that only grow. `in` is what came from the peer. */
export interface SessionStats {
  inFrames: number;
  inBytes: number;
  outFrames: number;
  outBytes: number;
  /** Frames given to the session that could not go out: no connection, or no memory. */
  droppedFrames: number;
}

export interface SessionDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly heartbeat: Heartbeat;
  /**
   * Bytes that may wait before `ready` turns false. A hub has none to stop and uses the full bound; at the
   * client 0 stops the TAP as soon as the socket is full, since the kernel queues and drops better than we do.
   */
  readonly egressBytes?: number;
  /** The end that dialled logs in anew as soon as it has no connection left; the other one waits for it. */
  readonly endsWithLastConnection?: boolean;
}

/**
 * A cable: one logged-in session over one or more TLS connections, the same on both ends. It lives as long as
 * a connection brings something, and for the time-out after that (protocol.md 14.2).
 */
export class Session implements Port, ConnectionOwner, Beating {
  readonly name: string;
  readonly welcome: Welcome;
  readonly startedAt: number;
  readonly stats: SessionStats = {
    inFrames: 0,
    inBytes: 0,
    outFrames: 0,
    outBytes: 0,
    droppedFrames: 0,
  };
  sink: FrameSink = NOWHERE;
  onReady: (() => void) | undefined;
  /** Called once when the session has ended, whoever ended it. */
  onClosed: ((reason: CloseReason) => void) | undefined;
  /** Called for each connection that ends while the session lives on or ends with it. */
  onConnectionEnded: ((reason: string) => void) | undefined;
  readonly connections: Connection[] = [];
  readonly #deps: SessionDeps;
  readonly #egressBytes: number;
  #aliveAt: number;
  #isFull = false;
  #closed = false;
  #hasBegun = false;
  #expected: Link | undefined;

  constructor(welcome: Welcome, deps: SessionDeps) {
    this.name = welcome.sessionName;
    this.welcome = welcome;
    this.#deps = deps;
    this.#egressBytes = deps.egressBytes ?? MAX_EGRESS_BYTES;
    this.startedAt = this.#aliveAt = deps.clock.now();
    deps.heartbeat.add(this);
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** True while every connection is lost; a session that waits for its first one is not adrift. */
  get isAdrift(): boolean {
    return this.#hasBegun && this.connections.length === 0;
  }

  /** Names the link that will join: should the session end before, it ends as well. */
  expect(link: Link): void {
    this.#expected = link;
  }

  plug(into: FrameSink): void {
    this.sink = into;
  }

  /** Adds a connection in its data phase; `rest` are stream bytes that came with the last HTTP message. */
  join(link: Link, rest: Uint8Array): void {
    if (this.#closed) return link.closeInOrder();
    this.#hasBegun = true;
    this.#expected = undefined;
    const now = this.#deps.clock.now();
    const connection = new Connection(link, this, now);
    this.connections.push(connection);
    this.#aliveAt = now;
    this.#sendKeepalive(connection, now);
    if (rest.length > 0) connection.data(rest);
  }

  // Out: frames that the hub, or the TAP at the client, has for the peer.

  get ready(): boolean {
    return !this.#isFull;
  }

  deliver(run: FrameRun): void {
    const connection = this.#choose();
    if (connection === undefined) {
      this.stats.droppedFrames += run.count;
      return;
    }
    // Read before the batch may write over the run's headroom.
    this.stats.outFrames += run.count;
    this.stats.outBytes += run.end - run.start - 4 * run.count;
    const { batch } = connection;
    batch.deliver(run);
    if (batch.isBlocked && batch.heldBytes >= this.#egressBytes) this.#isFull = true;
  }

  /** A lane of its own for frames that must not wait, while bulk finds no room. */
  deliverUrgent(run: FrameRun): boolean {
    if (this.#choose()?.batch.deliverUrgent(run) !== true) return false;
    this.stats.outFrames++;
    this.stats.outBytes += run.end - run.start - 4;
    return true;
  }

  flush(): void {
    for (const { batch } of this.connections) batch.flush();
  }

  /** The newest connection that takes bytes, else the one with least to do: a lone one is the usual case. */
  #choose(): Connection | undefined {
    const { connections } = this;
    let best = connections[connections.length - 1];
    for (let i = connections.length - 2; i >= 0 && best!.batch.isBlocked; i--) {
      if (connections[i]!.batch.heldBytes < best!.batch.heldBytes) best = connections[i];
    }
    return best;
  }

  // In: what the connections report.

  drained(): void {
    if (!this.#isFull) return;
    for (const { batch } of this.connections) {
      if (batch.isBlocked && batch.heldBytes >= this.#egressBytes) return;
    }
    this.#isFull = false;
    this.onReady?.();
  }

  lost(connection: Connection, reason: string): void {
    const index = this.connections.indexOf(connection);
    if (index < 0) return;
    this.connections.splice(index, 1);
    this.onConnectionEnded?.(reason);
    this.stats.droppedFrames += connection.batch.lostFrames;
    this.#aliveAt = this.#deps.clock.now();
    if (this.connections.length === 0 && this.#deps.endsWithLastConnection === true) {
      return this.close({ code: "connection_lost", detail: reason });
    }
    this.drained();
  }

  beat(now: number): void {
    const { timeoutMs } = this.welcome;
    for (const connection of this.connections.slice()) {
      // The end of one may have ended the session.
      if (this.#closed) return;
      if (connection.items !== connection.heardItems) {
        connection.heardItems = connection.items;
        connection.heardAt = now;
      }
      const { batch } = connection;
      if (now - connection.heardAt > timeoutMs) connection.end("timeout");
      else if (batch.isStalled(now) || batch.isBroken) connection.end("no_progress");
      // Rather a beat early: the peer counts on half of the time-out.
      else if (now + BEAT_MS > connection.nextKeepaliveAt) this.#sendKeepalive(connection, now);
    }
    if (this.connections.length > 0) this.#aliveAt = now;
    else if (now - this.#aliveAt > timeoutMs) this.close({ code: "timeout" });
  }

  #sendKeepalive(connection: Connection, now: number): void {
    connection.nextKeepaliveAt = now + keepaliveDelay(this.welcome.timeoutMs, this.#deps.random);
    // Bytes that wait are themselves the sign of life; a keep-alive behind them would only add to them.
    if (!connection.batch.isBlocked) connection.batch.send(encodeKeepalive(this.#deps.random));
  }

  close(reason: CloseReason): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#deps.heartbeat.remove(this);
    this.#expected?.closeInOrder();
    for (const connection of this.connections.slice()) connection.end(reason.code);
    this.sink = NOWHERE;
    this.onClosed?.(reason);
  }
}

const NOWHERE: FrameSink = { deliver() {}, flush() {}, ready: true, onReady: undefined };
