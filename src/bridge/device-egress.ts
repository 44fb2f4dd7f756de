// From the hub to a frame device. Stages of a frame:
//
//   1. gather: the run is copied, since it is only lent and the next one may continue its flows
//   2. merge: segments of a flow become one super-frame
//   3. write: one call each, or one for all if the device can
import { MAX_FRAME_BYTES, MIN_FRAME_BYTES } from "../base/limits.ts";
import type { MacAddress } from "../base/mac.ts";
import type { FrameRun } from "../hub/port.ts";
import { takeInPieces } from "../hub/run-pieces.ts";
import { DEVICE_ERROR, type FrameDevice } from "../platform/frame-device.ts";
import {
  jobBytes,
  jobFrameAt,
  JOBS,
  jobVectors,
  merge,
  mergeJobs,
  mergeRefused,
} from "../platform/offload.ts";
import { PACKET_BYTES, PACKET_VIEW, reserve } from "../platform/packet-memory.ts";
import { isDhcpOf } from "./dhcp-of-station.ts";
import type { DeviceDropReason, DeviceStats } from "./device-stats.ts";

const SIZE_BYTES = 4;
/** Parts of a job of one frame: the virtio-net header, and the frame. */
const SINGLE = 2;
/** Three super-frames' worth, which stays in the processor's cache from copying to writing. */
const GATHER_BYTES = 196_608;

// One area for all devices: whoever gathers next has the one before written out first.
const gatherAt = reserve(GATHER_BYTES);
const area: { holder: DeviceEgress | undefined } = { holder: undefined };

export class DeviceEgress {
  readonly #device: FrameDevice;
  readonly #stats: DeviceStats;
  #gatheredBytes = 0;
  #isClosed = false;
  /** Whose DHCP messages are not written. */
  refusedStation: MacAddress | undefined;

  constructor(device: FrameDevice, stats: DeviceStats) {
    this.#device = device;
    this.#stats = stats;
  }

  /* 1. Gather */

  gather(run: FrameRun): void {
    if (this.#isClosed) {
      this.#stats.drops.port_closed += run.count;
      return;
    }
    if (area.holder !== this) {
      area.holder?.flush();
      area.holder = this;
    }
    if (run.end - run.start <= GATHER_BYTES) this.#take(run, run.start, run.end);
    else this.#takeLong(run);
  }

  /** A frame that is longer than all frames may be ends the run, as `merge` has it. */
  #takeLong(run: FrameRun): void {
    const isWhole = takeInPieces(run, GATHER_BYTES, (from, to) => this.#take(run, from, to));
    if (!isWhole) this.#stats.drops.frame_length += 1;
  }

  #take({ bytes }: FrameRun, from: number, to: number): void {
    if (this.#gatheredBytes + to - from > GATHER_BYTES) this.flush();
    const at = gatherAt + this.#gatheredBytes;
    if (bytes === PACKET_BYTES) PACKET_BYTES.copyWithin(at, from, to);
    else PACKET_BYTES.set(bytes.subarray(from, to), at);
    this.#gatheredBytes += to - from;
  }

  /** Writes what was gathered. */
  flush(): void {
    const end = gatherAt + this.#gatheredBytes;
    this.#gatheredBytes = 0;
    if (end === gatherAt) return;
    if (this.#device.hasVnetHeader) this.#writeMerged(end);
    else this.#writePlain(end);
  }

  /** Writes what was gathered and takes no more. */
  close(): void {
    this.flush();
    this.#isClosed = true;
    if (area.holder === this) area.holder = undefined;
  }

  /* 2. Merge, 3. Write */

  #writeMerged(end: number): void {
    for (let at = gatherAt; at < end;) {
      const next = merge(at, end);
      this.#stats.drops.frame_length += mergeRefused();
      this.#writeJobs(mergeJobs());
      if (next === at) return;
      at = next;
    }
  }

  #writeJobs(jobs: number): void {
    let from = 0;
    if (this.refusedStation !== undefined) {
      for (let job = 0; job < jobs; job += 1) {
        if (jobVectors(job) !== SINGLE) continue;
        if (!this.#isRefused(jobFrameAt(job), jobBytes(job))) continue;
        this.#send(from, job);
        from = job + 1;
      }
    }
    this.#send(from, jobs);
  }

  #send(from: number, to: number): void {
    for (let job = from; job < to;) {
      const written = this.#device.writev(JOBS, job, to);
      if (written < 0) {
        this.#stats.drops[reasonOf(-written)] += jobVectors(job) - 1;
        job += 1;
        continue;
      }
      this.#stats.writes += 1;
      for (const end = job + written; job < end; job += 1) {
        this.#stats.egressFrames += jobVectors(job) - 1;
        this.#stats.egressBytes += jobBytes(job);
      }
    }
  }

  #writePlain(end: number): void {
    for (let at = gatherAt; at + SIZE_BYTES <= end;) {
      const length = PACKET_VIEW.getUint32(at);
      at += SIZE_BYTES;
      if (length < MIN_FRAME_BYTES || length > MAX_FRAME_BYTES || at + length > end) {
        this.#stats.drops.frame_length += 1;
      } else if (!this.#isRefused(at, length)) {
        this.#count(this.#device.write(at, length));
      }
      at += length;
    }
  }

  #isRefused(at: number, length: number): boolean {
    const station = this.refusedStation;
    if (station === undefined || !isDhcpOf(station, PACKET_VIEW, at, length)) return false;
    this.#stats.drops.own_dhcp += 1;
    return true;
  }

  #count(written: number): void {
    if (written < 0) {
      this.#stats.drops[reasonOf(-written)] += 1;
      return;
    }
    this.#stats.writes += 1;
    this.#stats.egressFrames += 1;
    this.#stats.egressBytes += written;
  }
}

function reasonOf(errno: number): DeviceDropReason {
  switch (errno) {
    case DEVICE_ERROR.EIO:
    case DEVICE_ERROR.ENETDOWN:
    case DEVICE_ERROR.ENXIO:
      return "interface_down";
    case DEVICE_ERROR.EAGAIN:
    case DEVICE_ERROR.ENOMEM:
    case DEVICE_ERROR.ENOBUFS:
      return "queue_full";
    case DEVICE_ERROR.EMSGSIZE:
      return "over_mtu";
    default:
      return "refused";
  }
}
