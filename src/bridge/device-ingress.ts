// From a frame device into the hub. Stages of a frame:
//
//   1. wait: the poller tells that there is something; nothing runs while there is not
//   2. read: until the device is empty or the turn is used up, one super-frame or frame a call
//   3. cut: into frames of the wire, behind those already there
//   4. hand over: a run worth a write, or what there is when the device is empty
//
// While the sink is full nothing is read: the device's queue drops, and TCP behind it slows down.
import { SystemError } from "../base/errors.ts";
import { MAX_FRAME_BYTES, MIN_FRAME_BYTES, WRITE_BATCH_BYTES } from "../base/limits.ts";
import type { FrameRun, FrameSink } from "../hub/port.ts";
import { DEVICE_ERROR, type FrameDevice } from "../platform/frame-device.ts";
import { CUT, cut, cutFrames } from "../platform/offload.ts";
import { PACKET_BYTES, PACKET_VIEW, reserve } from "../platform/packet-memory.ts";
import type { Poller, Watch } from "../platform/poller.ts";
import type { DeviceStats } from "./device-stats.ts";

/** The largest super-frame with its virtio-net header and two tags. */
const READ_BYTES = 65_664;
/** A run that is nearly worth a write, and behind it the frames of a super-frame even if they are small. */
const RUN_BYTES = WRITE_BATCH_BYTES + 2 * READ_BYTES;
/** Before a run, for a sink that makes a unit of the stream of it (hub/port.ts). */
const HEADROOM_BYTES = 4;
const SIZE_BYTES = 4;
/** After this much other events of the process get their turn: about a millisecond's work. */
const TURN_READS = 32;
const TURN_BYTES = 262_144;

// One area for all devices: a run is only lent, and no two are read at once.
const readAt = reserve(READ_BYTES);
const runAt = reserve(HEADROOM_BYTES + RUN_BYTES) + HEADROOM_BYTES;

export class DeviceIngress {
  readonly #device: FrameDevice;
  readonly #stats: DeviceStats;
  readonly #watch: Watch;
  readonly #onLost: (errno: number) => void;
  readonly #run: FrameRun = {
    bytes: PACKET_BYTES,
    view: PACKET_VIEW,
    start: runAt,
    end: runAt,
    count: 0,
  };
  #sink: FrameSink | undefined;
  #isStopped = false;
  /** A turn is due without the poller. */
  #isDue = false;
  /** Something was delivered since the last flush. */
  #isUnflushed = false;

  /** @param onLost the device cannot be read any more; the errno tells why */
  constructor(
    device: FrameDevice,
    poller: Poller,
    stats: DeviceStats,
    onLost: (errno: number) => void,
  ) {
    this.#device = device;
    this.#stats = stats;
    this.#onLost = onLost;
    this.#watch = poller.add(device.fd, this.#turn);
  }

  start(sink: FrameSink): void {
    this.#sink = sink;
    sink.onReady = this.#resume;
    this.#resume();
  }

  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    if (this.#sink !== undefined) this.#sink.onReady = undefined;
    this.#watch.remove();
  }

  /* 1. Wait */

  /** Does not read at once: the caller may be in the middle of another device's run. */
  readonly #resume = (): void => {
    if (this.#isStopped || this.#isDue) return;
    this.#isDue = true;
    setImmediate(this.#turn);
  };

  readonly #turn = (): void => {
    this.#isDue = false;
    const sink = this.#sink;
    // A full sink calls `onReady` later, and that brings the next turn.
    if (this.#isStopped || sink === undefined || !sink.ready) return;
    const result = this.#readTurn(sink);
    this.#handOver(sink);
    if (this.#isUnflushed) {
      this.#isUnflushed = false;
      sink.flush();
    }
    if (this.#isStopped) return;
    if (result < 0) this.#onLost(-result);
    else if (result > 0) this.#resume();
    else this.#arm();
  };

  #arm(): void {
    try {
      this.#watch.arm();
    } catch (thrown) {
      if (!(thrown instanceof SystemError)) throw thrown;
      this.#onLost(thrown.errno);
    }
  }

  /* 2. Read */

  /** Gives the bytes read: 0 from a device that is empty, a negative errno from one that is lost. */
  #readTurn(sink: FrameSink): number {
    let bytes = 0;
    const device = this.#device;
    for (let reads = 0; device.hasMore || (reads < TURN_READS && bytes < TURN_BYTES); reads += 1) {
      const length = device.hasVnetHeader ? this.#readAndCut(sink) : this.#readPlain();
      if (length === -DEVICE_ERROR.EAGAIN || length === -DEVICE_ERROR.EINTR) break;
      if (length < 0) return length;
      bytes += length;
      if (this.#run.end - runAt >= WRITE_BATCH_BYTES) this.#handOver(sink);
      // What was read already goes on even so, to be dropped by the sink: there is no room to keep it.
      if (this.#isStopped || (!sink.ready && !device.hasMore)) break;
    }
    return bytes;
  }

  #readPlain(): number {
    const run = this.#run;
    const length = this.#device.read(run.end + SIZE_BYTES, READ_BYTES);
    if (length < 0) return length;
    this.#stats.reads += 1;
    if (length < MIN_FRAME_BYTES || length > MAX_FRAME_BYTES) {
      this.#stats.drops.frame_length += 1;
      return length;
    }
    PACKET_VIEW.setUint32(run.end, length);
    this.#extend(SIZE_BYTES + length, 1);
    return length;
  }

  /* 3. Cut */

  #readAndCut(sink: FrameSink): number {
    const length = this.#device.read(readAt, READ_BYTES);
    if (length < 0) return length;
    this.#stats.reads += 1;
    const at = this.#device.frameAt;
    const run = this.#run;
    let made = cut(at, length, run.end, runAt + RUN_BYTES - run.end);
    if (made === CUT.noRoom && run.count > 0) {
      this.#handOver(sink);
      made = cut(at, length, run.end, RUN_BYTES);
    }
    if (made >= 0) this.#extend(made, cutFrames());
    else if (made === CUT.tooLong) this.#stats.drops.frame_length += 1;
    else this.#stats.drops.frame_header += 1;
    return length;
  }

  #extend(bytes: number, frames: number): void {
    this.#run.end += bytes;
    this.#run.count += frames;
    this.#stats.ingressFrames += frames;
    this.#stats.ingressBytes += bytes - SIZE_BYTES * frames;
  }

  /* 4. Hand over */

  #handOver(sink: FrameSink): void {
    const run = this.#run;
    if (run.count > 0 && !this.#isStopped) {
      this.#isUnflushed = true;
      sink.deliver(run);
    }
    run.start = runAt;
    run.end = runAt;
    run.count = 0;
  }
}
