import type { Clock, Timer } from "../base/clock.ts";
import { MAX_EGRESS_BYTES } from "../base/limits.ts";
import { emptyRun, releaseRun, shareRun, type FrameRun } from "../hub/port.ts";
import { isPriority } from "../hub/urgent.ts";
import { PACKET_BYTES } from "../platform/packet-memory.ts";
import type { BlockCodec } from "./block-codec.ts";
import { flowHash } from "./flow-hash.ts";
import { Outlet } from "./outlet.ts";

// Which connection a frame goes by. With one there is nothing to choose. With several each flow has a home, so that
// its frames keep their order and the flows of a slow path share all connections; frames that must not wait have the
// newest connection to themselves where QoS was agreed (protocol.md 15.1). A receiver expects nothing of it (15.2).

/**
 * A connection that has been full for less than this is only busy, and its flows wait for it: moving them would
 * cost their order. One that is full for longer stands before a slow path, and other ways are used beside it.
 */
const PATIENCE_MS = 10;
/** With several connections one may have so much before it without stopping what goes by the others. */
const WAY_SLACK_BYTES = 65_536;
/** Frames wait so long for a connection to come back; later they would be of no use to anybody. */
export const PARK_MS = 2_000;

/** A connection seen from here. */
interface Way {
  readonly outlet: Outlet;
  /** When its socket was first found full; undefined while it takes bytes. */
  fullSince: number | undefined;
}

export interface DistributionOptions {
  readonly clock: Clock;
  /** Bytes that may wait before `isFull` turns true. */
  readonly stopAt: number;
  readonly hasQos: boolean;
  /**
   * Keep frames for a short time while no connection is left. For the end that opens the next one: a server's
   * memory would be taken by all that a hub floods to those who are gone.
   */
  readonly parks: boolean;
  readonly codec: BlockCodec | undefined;
  /** Counts frames that found no way and no room. */
  readonly stats: { droppedFrames: number };
  /** `isFull` turned false. */
  readonly onRoom: () => void;
}

/** The connections that a session may send on, and the queues before them. */
export class Distribution {
  isFull = false;
  readonly #options: DistributionOptions;
  /** In the order of joining, the newest last. */
  readonly #ways: Way[] = [];
  /** Those of them that carry what can wait. */
  #common: Way[] = [];
  /** Keeps frames while there is no way, for a short time after there was one. */
  #parking: Outlet | undefined;
  #parkedUntil = 0;
  #patience: Timer | undefined;
  readonly #piece: FrameRun = emptyRun(PACKET_BYTES);

  constructor(options: DistributionOptions) {
    this.#options = options;
  }

  add(outlet: Outlet): void {
    this.#ways.push({ outlet, fullSince: undefined });
    this.#sort();
    this.#parking?.batch.moveTo(outlet.batch);
    this.#leaveParking();
    this.check();
  }

  /**
   * Takes a way out. What waits before it goes by another one, but for the rest of a unit that the socket has
   * begun: that stays with the outlet.
   */
  remove(outlet: Outlet): void {
    const index = this.#ways.findIndex((way) => way.outlet === outlet);
    if (index < 0) return;
    this.#ways.splice(index, 1);
    this.#sort();
    const heir = this.#common.at(-1)?.outlet ?? this.#openParking();
    if (heir !== undefined) outlet.batch.moveTo(heir.batch);
    this.check();
  }

  /** Takes a run; false where there is neither a way nor the prospect of one. */
  deliver(run: FrameRun): boolean {
    const ways = this.#ways;
    if (ways.length === 1) {
      const { outlet } = ways[0]!;
      outlet.send(run, true);
      if (outlet.batch.isBlocked && outlet.batch.heldBytes >= this.#options.stopAt) this.check();
    } else if (ways.length > 1) {
      this.#spread(run);
      if (ways.some(isBlocked)) this.check();
    } else {
      return this.#park(run);
    }
    return true;
  }

  /** Takes one frame that must not wait, while `isFull`. */
  deliverUrgent(run: FrameRun): boolean {
    const way = this.#wayOf(run.view, run.start + 4, run.end - run.start - 4);
    return way?.outlet.sendUrgent(run) ?? false;
  }

  flush(): void {
    for (const { outlet } of this.#ways) outlet.batch.flush();
  }

  /** Looks whether there is room: after something went out, or a way came or went. */
  check(): void {
    const wasFull = this.isFull;
    this.isFull = this.#judge(this.#options.clock.now());
    if (wasFull && !this.isFull) this.#options.onRoom();
  }

  /** Drops what was kept for a connection that did not come. */
  beat(now: number): void {
    if (this.#parking === undefined || now < this.#parkedUntil) return;
    this.#leaveParking();
    this.check();
  }

  close(): void {
    this.#patience?.cancel();
    this.#leaveParking();
    for (const { outlet } of this.#ways) outlet.batch.close();
    this.#ways.length = 0;
    this.#common = [];
  }

  #sort(): void {
    const ways = this.#ways;
    this.#common = this.#options.hasQos && ways.length > 1 ? ways.slice(0, -1) : ways.slice();
  }

  #wayOf(view: DataView, start: number, size: number): Way | undefined {
    const common = this.#common;
    if (common.length < this.#ways.length && isPriority(view, start, size))
      return this.#ways.at(-1);
    if (common.length < 2) return common[0];
    return common[(flowHash(view, start, size) * common.length) >>> 16];
  }

  /** Cuts the run where the way changes; a run of one flow stays as it is. */
  #spread(run: FrameRun): void {
    const { view, end } = run;
    const now = this.#options.clock.now();
    const piece = this.#piece;
    shareRun(piece, run);
    piece.start = run.start;
    piece.count = 0;
    let way: Way | undefined;
    for (let at = run.start; at < end;) {
      const size = view.getUint32(at);
      const next = this.#wayOf(view, at + 4, size);
      if (next !== way && piece.count > 0) {
        piece.end = at;
        this.#send(piece, way!, piece.start === run.start, now);
        piece.start = at;
        piece.count = 0;
      }
      way = next;
      piece.count++;
      at += 4 + size;
    }
    piece.end = end;
    if (piece.count > 0) this.#send(piece, way!, piece.start === run.start, now);
    releaseRun(piece);
  }

  #send(piece: FrameRun, home: Way, isFirst: boolean, now: number): void {
    const way = this.#hasRoom(home, now) ? home : this.#common.find((one) => !isBlocked(one));
    if (way === undefined) this.#options.stats.droppedFrames += piece.count;
    else way.outlet.send(piece, isFirst);
  }

  #hasRoom(way: Way, now: number): boolean {
    if (this.#common.length === 1 || !this.#isSlow(way, now))
      return this.#heldBytes() < MAX_EGRESS_BYTES;
    return way.outlet.batch.heldBytes < this.#share();
  }

  #isSlow(way: Way, now: number): boolean {
    if (!isBlocked(way)) {
      way.fullSince = undefined;
      return false;
    }
    way.fullSince ??= now;
    return now - way.fullSince >= PATIENCE_MS;
  }

  #heldBytes(): number {
    let held = 0;
    for (const { outlet } of this.#ways) held += outlet.batch.heldBytes;
    return held;
  }

  #share(): number {
    return MAX_EGRESS_BYTES / this.#common.length;
  }

  #judge(now: number): boolean {
    const { stopAt } = this.#options;
    const ways = this.#ways;
    if (ways.length === 0) {
      return this.#parking !== undefined && this.#parking.batch.heldBytes >= stopAt;
    }
    const common = this.#common;
    if (common.length === 1) {
      const way = common[0]!;
      return isBlocked(way) && way.outlet.batch.heldBytes >= stopAt;
    }
    const stopWayAt = Math.max(stopAt, WAY_SLACK_BYTES);
    let isEveryWaySlow = true;
    for (const way of common) {
      const { heldBytes } = way.outlet.batch;
      if (this.#isSlow(way, now)) {
        if (heldBytes < this.#share()) isEveryWaySlow = false;
      } else if (isBlocked(way) && heldBytes >= stopWayAt) {
        this.#lookAgain();
        return true;
      } else {
        isEveryWaySlow = false;
      }
    }
    return isEveryWaySlow;
  }

  /** A way that is full now may turn out to be slow: then the others need not wait for it. */
  #lookAgain(): void {
    this.#patience ??= this.#options.clock.after(PATIENCE_MS, () => {
      this.#patience = undefined;
      this.check();
    });
  }

  #openParking(): Outlet | undefined {
    if (!this.#options.parks) return undefined;
    this.#parkedUntil = this.#options.clock.now() + PARK_MS;
    this.#parking = new Outlet({ write: () => 0 }, this.#options.codec);
    return this.#parking;
  }

  #leaveParking(): void {
    if (this.#parking === undefined) return;
    this.#options.stats.droppedFrames +=
      this.#parking.batch.lostFrames + this.#parking.batch.close();
    this.#parking = undefined;
  }

  #park(run: FrameRun): boolean {
    const parking = this.#parking;
    const held = parking?.batch.heldBytes ?? 0;
    if (parking === undefined || held + run.end - run.start > MAX_EGRESS_BYTES) {
      this.#options.stats.droppedFrames += run.count;
      return false;
    }
    parking.send(run, true);
    parking.batch.flush();
    this.check();
    return true;
  }
}

function isBlocked({ outlet }: Way): boolean {
  return outlet.batch.isBlocked;
}
