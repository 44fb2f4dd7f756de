import type { Clock } from "../base/clock.ts";
import { MAX_EGRESS_BYTES } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { CloseReason, FrameRun, FrameSink, Port } from "../hub/port.ts";
import type { Link } from "../transport/tls-link.ts";
import type { BlockCodec } from "./block-codec.ts";
import {
  Connection,
  DIRECTION,
  type ConnectionOwner,
  type Direction,
  type SessionEnd,
} from "./connection.ts";
import { Decoder } from "./decoder.ts";
import { Distribution } from "./distribution.ts";
import { BEAT_MS, type Beating, type Heartbeat } from "./heartbeat.ts";
import { encodeGoodbye, encodeKeepalive, isGoodbye, keepaliveDelay } from "./keepalive.ts";
import type { ReceivedCounts } from "./stream-parser.ts";
import type { UdpPath } from "./udp/udp-path.ts";
import type { Welcome } from "./welcome.ts";

/** Numbers of one session that only grow. `in` is what came from the peer. */
export interface SessionStats {
  inFrames: number;
  inBytes: number;
  outFrames: number;
  outBytes: number;
  /** Frames given to the session that could not go out: no connection, no room, or no memory. */
  droppedFrames: number;
}

export interface SessionDeps {
  readonly end: SessionEnd;
  readonly clock: Clock;
  readonly random: Random;
  readonly heartbeat: Heartbeat;
  /** Of the compression that was granted. */
  readonly codec?: BlockCodec | undefined;
  /** A way beside the connections, which the session closes. */
  readonly udp?: UdpPath | undefined;
  /**
   * Bytes that may wait before `ready` turns false. A hub has none to stop and uses the full bound; at the
   * client 0 stops the TAP as soon as the socket is full, since the kernel queues and drops better than we do.
   */
  readonly egressBytes?: number;
}

/**
 * A cable: one logged-in session over up to 32 connections, the same on both ends. It lives as long as a
 * connection brings something, and for the time-out after that (protocol.md 14.2).
 */
export class Session implements Port, ConnectionOwner, Beating {
  readonly name: string;
  readonly end: SessionEnd;
  readonly welcome: Welcome;
  readonly startedAt: number;
  readonly codec: BlockCodec | undefined;
  readonly udp: UdpPath | undefined;
  readonly stats: SessionStats = {
    inFrames: 0,
    inBytes: 0,
    outFrames: 0,
    outBytes: 0,
    droppedFrames: 0,
  };
  /** Connections in their data phase, the newest last. */
  readonly connections: Connection[] = [];
  onReady: (() => void) | undefined;
  /** Called once when the session has ended, whoever ended it. */
  onClosed: ((reason: CloseReason) => void) | undefined;
  /** Called first when the session ends: for whoever opens connections for it. */
  onClosing: (() => void) | undefined;
  /** Called for each connection that ends while the session lives on or ends with it. */
  onConnectionEnded: ((reason: string) => void) | undefined;
  readonly #deps: SessionDeps;
  readonly #distribution: Distribution;
  readonly #decoder: Decoder | undefined;
  /** Connections that only read what the peer had sent before they were replaced. */
  readonly #retiring = new Set<Connection>();
  /** Where frames go that came. */
  #sink: FrameSink = NOWHERE;
  #aliveAt: number;
  #closed = false;
  #hasBegun = false;
  #expected: Link | undefined;

  constructor(welcome: Welcome, deps: SessionDeps) {
    this.name = welcome.sessionName;
    this.end = deps.end;
    this.welcome = welcome;
    this.#deps = deps;
    this.codec = deps.codec;
    this.udp = deps.udp;
    if (deps.udp !== undefined) this.#receiveFrom(deps.udp);
    this.#decoder = deps.codec === undefined ? undefined : new Decoder(deps.codec, this.stats);
    this.#distribution = new Distribution({
      clock: deps.clock,
      stopAt: deps.egressBytes ?? MAX_EGRESS_BYTES,
      hasQos: welcome.stream.hasQos,
      parks: deps.end === "client",
      codec: deps.codec,
      stats: this.stats,
      onRoom: () => this.onReady?.(),
    });
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
    this.#sink = this.udp === undefined ? into : clampedSink(into, this.udp);
    if (this.#decoder !== undefined) this.#decoder.sink = this.#sink;
  }

  #receiveFrom(udp: UdpPath): void {
    udp.onRun = (run) => {
      this.stats.inFrames += run.count;
      this.stats.inBytes += run.end - run.start - 4 * run.count;
      this.#sink.deliver(run);
    };
    udp.onBatchEnd = () => this.#sink.flush();
  }

  /** The direction that the server gives to a connection that joins now (protocol.md 12.3). */
  nextDirection(): Direction {
    if (!this.welcome.stream.isHalfDuplex) return DIRECTION.BOTH;
    if (!this.#hasBegun) return DIRECTION.TO_SERVER;
    const count = (direction: Direction) =>
      this.connections.filter((one) => one.direction === direction).length;
    return count(DIRECTION.TO_CLIENT) > count(DIRECTION.TO_SERVER)
      ? DIRECTION.TO_SERVER
      : DIRECTION.TO_CLIENT;
  }

  /** Adds a connection in its data phase; `rest` are stream bytes that came with the last HTTP message. */
  join(link: Link, direction: Direction, rest: Uint8Array): void {
    if (this.#closed) return link.closeInOrder();
    this.#hasBegun = true;
    this.#expected = undefined;
    const now = this.#deps.clock.now();
    const connection = new Connection(link, direction, this, now);
    this.connections.push(connection);
    this.#aliveAt = now;
    if (connection.sends) {
      this.#sendKeepalive(connection, now);
      this.#distribution.add(connection.outlet);
    }
    if (rest.length > 0) connection.data(rest);
  }

  /** Sends no more on a connection that has its successor, and ends it once its peer has. */
  retire(connection: Connection): void {
    const index = this.connections.indexOf(connection);
    if (index < 0) return;
    this.connections.splice(index, 1);
    this.#retiring.add(connection);
    if (connection.sends) this.#distribution.remove(connection.outlet);
    connection.retire();
  }

  // Out: frames that the hub, or the TAP at the client, has for the peer.

  get ready(): boolean {
    return !this.#distribution.isFull || this.udp?.isReady === true;
  }

  deliver(run: FrameRun): void {
    // Read before the batch may write over the run's headroom.
    const { count } = run;
    const bytes = run.end - run.start - 4 * count;
    const { udp } = this;
    if (udp?.isReady === true) udp.deliver(udp.clampOut(run));
    else if (!this.#distribution.deliver(udp?.clampOut(run) ?? run)) return;
    this.stats.outFrames += count;
    this.stats.outBytes += bytes;
  }

  /** A lane of its own for frames that must not wait, while bulk finds no room. */
  deliverUrgent(run: FrameRun): boolean {
    if (!this.#distribution.deliverUrgent(run)) return false;
    this.stats.outFrames++;
    this.stats.outBytes += run.end - run.start - 4;
    return true;
  }

  flush(): void {
    this.#distribution.flush();
    this.udp?.flush();
  }

  // In: what the connections report.

  get clock(): Clock {
    return this.#deps.clock;
  }

  get inbound(): FrameSink {
    return this.#decoder ?? this.#sink;
  }

  /** Where the parsers count: blocks are frames, unless they must be decoded first. */
  get received(): ReceivedCounts {
    return this.#decoder?.blocks ?? this.stats;
  }

  drained(): void {
    this.#distribution.check();
  }

  keepalive(body: Uint8Array): void {
    if (isGoodbye(body)) this.close({ code: "peer_left" });
    else this.udp?.keepaliveNote(body);
  }

  lost(connection: Connection, reason: string): void {
    const index = this.connections.indexOf(connection);
    if (index < 0 && !this.#retiring.delete(connection)) return;
    if (index >= 0) {
      this.connections.splice(index, 1);
      if (connection.sends) this.#distribution.remove(connection.outlet);
      this.#aliveAt = this.#deps.clock.now();
    }
    const { batch } = connection.outlet;
    this.stats.droppedFrames += batch.lostFrames + batch.close();
    this.onConnectionEnded?.(reason);
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
      const { batch } = connection.outlet;
      if (connection.receives && now - connection.heardAt > timeoutMs) connection.end("timeout");
      else if (batch.isStalled(now) || batch.isBroken) connection.end("no_progress");
      // Rather a beat early: the peer counts on half of the time-out.
      else if (connection.sends && now + BEAT_MS > connection.nextKeepaliveAt) {
        this.#sendKeepalive(connection, now);
      }
    }
    this.#distribution.beat(now);
    if (this.connections.length > 0) this.#aliveAt = now;
    else if (now - this.#aliveAt > timeoutMs) this.close({ code: "timeout" });
  }

  #sendKeepalive(connection: Connection, now: number): void {
    connection.nextKeepaliveAt = now + keepaliveDelay(this.welcome.timeoutMs, this.#deps.random);
    // Bytes that wait are themselves the sign of life; a keep-alive behind them would only add to them.
    const { batch } = connection.outlet;
    if (!batch.isBlocked) batch.send(encodeKeepalive(this.#deps.random));
  }

  close(reason: CloseReason): void {
    if (this.#closed) return;
    this.#closed = true;
    this.onClosing?.();
    this.#deps.heartbeat.remove(this);
    this.#expected?.closeInOrder();
    for (const connection of [...this.connections, ...this.#retiring]) {
      const { batch } = connection.outlet;
      // Without it the peer would keep the session for as long as its time-out (hub.md 5.7).
      if (connection.sends && !batch.isBlocked) batch.send(encodeGoodbye());
      connection.end(reason.code);
    }
    this.#distribution.close();
    this.udp?.close();
    this.#sink = NOWHERE;
    this.onClosed?.(reason);
  }
}

/** The sink for a session that has UDP: flows learn to fit its datagrams, whichever way their SYNs come. */
function clampedSink(into: FrameSink, udp: UdpPath): FrameSink {
  return {
    deliver: (run) => into.deliver(udp.clampIn(run)),
    flush: () => into.flush(),
    get ready() {
      return into.ready;
    },
    onReady: undefined,
  };
}

const NOWHERE: FrameSink = { deliver() {}, flush() {}, ready: true, onReady: undefined };
