// What the TCP connections of one SecureNAT share: timers, buffers, and the turn in which they send.
import type { Clock } from "../../base/clock.ts";
import { MAX_NAT_TCP_BYTES, MAX_TIME_WAIT } from "../../base/limits.ts";
import type { MacAddress } from "../../base/mac.ts";
import type { Random } from "../../base/random.ts";
import type { HostLink } from "../../ip-host/link.ts";
import { outbox } from "../../ip-host/outbox.ts";
import type { PacketView } from "../../ip-host/packet-view.ts";
import { ChunkPool } from "./chunk-pool.ts";
import type { TcpEndpoints } from "./endpoints.ts";
import { InitialSequence } from "./initial-sequence.ts";
import { rejectSegment } from "./reject.ts";
import { TcpConnection } from "./tcp-connection.ts";
import type { TcpIo } from "./tcp-io.ts";
import { noTcpStats, type TcpStats } from "./tcp-stats.ts";
import { TimerWheel, WheelTimer } from "./timer-wheel.ts";

/** Frames that wait are handed over at this figure: they are still in the processor's cache. */
const DRAIN_BYTES = 49_152;
/** Bytes of one connection before another one's turn. */
const QUANTUM_BYTES = 131_072;
/** A hub that is in the middle of something is given more after this. */
const RETRY_MS = 1;

/** While buffers are short, so long apart the connection is looked for that has held some in vain for longest. */
const RELIEF_MS = 1_000;
const LEAST_STUCK_MS = 10_000;
/** Ended at once at most. */
const RELIEF_CONNECTIONS = 64;

export interface TcpStackDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly link: HostLink;
  /** RST without ACK for refused connections, as the reference does (hub.md 17 `nat-errors`). */
  readonly isPlainReset: boolean;
  /** Bound of all buffers together. */
  readonly maxBytes?: number;
}

export class TcpStack {
  readonly clock: Clock;
  readonly link: HostLink;
  readonly isPlainReset: boolean;
  readonly wheel: TimerWheel;
  readonly chunks: ChunkPool;
  readonly sequences: InitialSequence;
  /** Of connections that are over; `totals` has those that live as well. */
  readonly finished: TcpStats = noTcpStats();
  /** Segments that belonged to nothing and were answered by RST. */
  rejected = 0;
  readonly #connections = new Set<TcpConnection>();
  /** In the order in which they got there. */
  readonly #waiting = new Set<TcpConnection>();
  /** Those with something to send. */
  readonly #soiled: TcpConnection[] = [];
  readonly #retry: WheelTimer;
  readonly #relief = new WheelTimer(() => this.#relieve());
  #isFlushing = false;

  constructor(deps: TcpStackDeps) {
    this.clock = deps.clock;
    this.link = deps.link;
    this.isPlainReset = deps.isPlainReset;
    this.wheel = new TimerWheel(deps.clock, () => this.flush());
    this.chunks = new ChunkPool(deps.maxBytes ?? MAX_NAT_TCP_BYTES, deps.clock, this.wheel);
    this.sequences = new InitialSequence(deps.random);
    this.#retry = new WheelTimer(() => undefined);
  }

  /** The guest's end of a connection; its SYN follows by `receive`. */
  connect(ends: TcpEndpoints, innerMac: MacAddress, io: TcpIo): TcpConnection {
    const connection = new TcpConnection(this, ends, innerMac, io);
    this.#connections.add(connection);
    return connection;
  }

  /** Answers a segment that belongs to no connection: RST (RFC 9293 3.10.7.1), unless it is one itself. */
  reject(packet: PacketView): void {
    if (rejectSegment(this.link, packet, this.isPlainReset)) this.rejected += 1;
  }

  /**
   * Sends what the connections have to send, and hands it to the hub. Whoever called `receive`, `write`, `resume` or
   * `finish` of a connection in an event calls this at the event's end; timers do it by themselves.
   */
  flush(): void {
    if (this.#isFlushing || outbox.isCollecting) return;
    this.#isFlushing = true;
    try {
      this.#flushAll();
      this.chunks.wake();
      if (this.chunks.isShort && !this.#relief.isSet) {
        this.wheel.set(this.#relief, this.clock.now() + RELIEF_MS);
      }
    } finally {
      this.#isFlushing = false;
    }
    outbox.drain();
  }

  #flushAll(): void {
    const soiled = this.#soiled;
    for (let n = 0; n < soiled.length; n += 1) {
      const connection = soiled[n]!;
      const isMore = connection.flush(QUANTUM_BYTES);
      if (isMore) soiled.push(connection);
      else connection.isSoiled = false;
      if (outbox.waitingBytes < DRAIN_BYTES) continue;
      outbox.drain();
      if (outbox.waitingBytes < DRAIN_BYTES) continue;
      // A drain is under way further up: what is left goes after it.
      soiled.splice(0, n + 1);
      this.wheel.set(this.#retry, this.clock.now() + RETRY_MS);
      return;
    }
    soiled.length = 0;
  }

  /** Whoever lets buffers lie while others wait for one loses its connection: it is as good as dead (robustness.md IP-14). */
  #relieve(): void {
    if (!this.chunks.isShort) return;
    const latest = this.clock.now() - LEAST_STUCK_MS;
    const stuck = [...this.#connections].filter(({ stuckSince }) => stuckSince <= latest);
    stuck.sort((a, b) => a.stuckSince - b.stuckSince);
    for (const connection of stuck.slice(0, RELIEF_CONNECTIONS)) connection.abort();
  }

  /** The connection has something to send at the end of the event. */
  soil(connection: TcpConnection): void {
    if (connection.isSoiled) return;
    connection.isSoiled = true;
    this.#soiled.push(connection);
  }

  /** The connection only waits for late segments: too many of those, and the first goes. */
  wait(connection: TcpConnection): void {
    this.#waiting.add(connection);
    if (this.#waiting.size <= MAX_TIME_WAIT) return;
    for (const oldest of this.#waiting) {
      oldest.expire();
      return;
    }
  }

  /** The connection is over. */
  forget(connection: TcpConnection, stats: Readonly<TcpStats>): void {
    if (!this.#connections.delete(connection)) return;
    this.#waiting.delete(connection);
    add(this.finished, stats);
  }

  /** Sums of all connections since the start. */
  get totals(): TcpStats {
    const sum = { ...this.finished };
    for (const connection of this.#connections) add(sum, connection.stats);
    return sum;
  }

  /** Ends all connections by RST and frees what they share. May be called twice. */
  close(): void {
    for (const connection of this.#connections) connection.abort();
    this.#soiled.length = 0;
    this.chunks.close();
    this.wheel.close();
  }
}

const COUNTERS = Object.keys(noTcpStats()) as (keyof TcpStats)[];

function add(sum: TcpStats, part: Readonly<TcpStats>): void {
  for (const key of COUNTERS) sum[key] += part[key];
}
