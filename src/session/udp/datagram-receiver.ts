// From the socket to the session. Stages of a datagram:
//
//   1. open: the tag, and with it everything that the datagram says, is genuine or it is nobody's
//   2. judge: not seen before, not from long ago; the newest one tells where the peer is
//   3. gather: payloads become a run, which is handed over when it is worth it or nothing more has come
import { NOT_OPENED, SLACK_BYTES } from "../../crypto/datagram-module.ts";
import type { FrameRun } from "../../hub/port.ts";
import { PACKET_BYTES, PACKET_VIEW, reserve } from "../../platform/packet-memory.ts";
import type { IncomingMessage } from "../../platform/receive-messages.ts";
import { type DatagramCodec, FLAG_CODED, MAX_DATAGRAM_BYTES } from "./datagram.ts";
import type { Liveness } from "./liveness.ts";
import type { UdpDropReason, UdpPathStats } from "./path-stats.ts";
import type { PeerAddresses } from "./peer-addresses.ts";
import { ReplayWindow } from "./replay-window.ts";

const SIZE_BYTES = 4;
/** A run of this size is handed over: it stays in the processor's cache until it is written. */
const RUN_BYTES = 49_152;
/** Before a run: where its taker may write a unit's block count, and the opening of a datagram a header. */
const HEADROOM_BYTES = 64;

// One area for all paths: a run is only lent, and no two are read at once.
const runAt =
  reserve(HEADROOM_BYTES + RUN_BYTES + MAX_DATAGRAM_BYTES + SLACK_BYTES) + HEADROOM_BYTES;

const FAULT_REASON: Readonly<Record<number, UdpDropReason>> = {
  [NOT_OPENED.tooShort]: "short",
  [NOT_OPENED.wrongTag]: "tag",
  [NOT_OPENED.wrongCookie]: "cookie",
  [NOT_OPENED.wrongSize]: "size",
  [NOT_OPENED.tooLong]: "long",
};

export interface ReceiverDeps {
  readonly codec: DatagramCodec;
  readonly liveness: Liveness;
  readonly addresses: PeerAddresses;
  readonly stats: UdpPathStats;
  /** Our own cookie. */
  readonly cookie: number;
  /** Takes payloads as a run; `isCoded` as the session's compression has them. */
  take(run: FrameRun, isCoded: boolean): void;
}

export class DatagramReceiver {
  readonly #deps: ReceiverDeps;
  readonly #replay = new ReplayWindow();
  readonly #run: FrameRun = {
    bytes: PACKET_BYTES,
    view: PACKET_VIEW,
    start: runAt,
    end: runAt,
    count: 0,
  };
  #isCoded = false;

  constructor(deps: ReceiverDeps) {
    this.#deps = deps;
  }

  /** Takes the datagrams of a message. What they carry waits for `handOver`, which must follow before others read. */
  takeMessage({ at, bytes, segment, fromAt }: IncomingMessage, now: number): void {
    if (bytes === 0) this.#deps.stats.drops.short += 1;
    for (let from = 0; from < bytes; from += segment) {
      this.#takeDatagram(at + from, Math.min(segment, bytes - from), fromAt, now);
    }
  }

  /* 1. Open */

  #takeDatagram(at: number, bytes: number, fromAt: number, now: number): void {
    const { codec, stats, cookie } = this.#deps;
    const run = this.#run;
    if (run.end - runAt >= RUN_BYTES) this.handOver();
    stats.receivedDatagrams += 1;
    const size = codec.open(at, bytes, run.end, cookie);
    if (size < 0) {
      stats.drops[FAULT_REASON[size] ?? "tag"] += 1;
      return;
    }
    if (!this.#judge(fromAt, now)) return;
    if (size > 0) this.#gather(size);
  }

  /* 2. Judge */

  #judge(fromAt: number, now: number): boolean {
    const { codec, liveness, addresses, stats } = this.#deps;
    const { tick, echo, ivHigh, ivLow } = codec.opened;
    const verdict = Number.isSafeInteger(tick) ? liveness.judge(tick) : "stale";
    if (verdict === "stale") {
      stats.drops.tick += 1;
      return false;
    }
    const newest = Math.max(tick, liveness.peerTick);
    if (codec.isEncrypted && !this.#replay.admit(ivHigh, ivLow, tick, newest)) {
      stats.drops.replay += 1;
      return false;
    }
    if (verdict === "newest") addresses.follow(fromAt);
    liveness.heard(tick, echo, now);
    return true;
  }

  /* 3. Gather */

  #gather(size: number): void {
    const run = this.#run;
    const isCoded = (this.#deps.codec.opened.flag & FLAG_CODED) !== 0;
    if (isCoded !== this.#isCoded && run.count > 0) {
      // It stands behind those of the other kind, which go first, and then moves to the front.
      const at = run.end;
      this.handOver();
      PACKET_BYTES.copyWithin(runAt, at, at + SIZE_BYTES + size);
    }
    this.#isCoded = isCoded;
    run.end += SIZE_BYTES + size;
    run.count += 1;
  }

  handOver(): void {
    const run = this.#run;
    if (run.count > 0) {
      this.#deps.stats.inFrames += run.count;
      this.#deps.take(run, this.#isCoded);
    }
    run.start = run.end = runAt;
    run.count = 0;
  }
}
