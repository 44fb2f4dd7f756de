// Where the frames of a monitoring session end: pcapng in memory, and from there to a file or a pipe.
// deliver (filter, stamp, a block in the memory that waits) -> flush -> pump (write, next file of a ring).
import type { Clock } from "../../base/clock.ts";
import { MAX_CAPTURE_BYTES } from "../../base/limits.ts";
import type { FrameRun, FrameSink } from "../../hub/port.ts";
import {
  encodeCaptureEnd,
  encodeCaptureStart,
  packetBlockBytes,
  writePacketBlock,
  type CapturedFrame,
  type CaptureOrigin,
} from "../../wire/pcapng.ts";
import { CaptureRoom } from "./capture-room.ts";
import type { CaptureFilter } from "./filter.ts";
import { microsecondsOf } from "./microseconds.ts";

const PREFIX_BYTES = 4;
const NO_BYTES = new Uint8Array(0);
const END_BYTES = encodeCaptureEnd({
  startedUs: 0,
  endedUs: 0,
  received: 0,
  accepted: 0,
  dropped: 0,
  written: 0,
}).length;

/** Where the bytes of a capture go. */
export interface CaptureFiles {
  /** Resolves when the bytes were taken, which are the caller's again then. One call at a time. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends the present file and begins the next one of a ring. */
  next(): Promise<void>;
  /** May be called twice. */
  close(): Promise<void>;
}

/** When the next file of a ring begins: before one would be longer, and with the first frame after this time. */
export interface RingBounds {
  readonly maxBytes: number;
  readonly maxMs: number;
}

export interface CaptureOptions {
  readonly origin: Omit<CaptureOrigin, "filter">;
  readonly filter: CaptureFilter | undefined;
  readonly ring: RingBounds | undefined;
  /** Frames after which `onFull` is called and no more are taken. */
  readonly maxFrames: number;
  readonly onFull: () => void;
  /** Writing has failed, once and for all. */
  readonly onFailure: (error: unknown) => void;
}

/** Numbers that only grow. */
export interface CaptureStats {
  /** Frames that came. */
  received: number;
  /** Frames that the filter let pass. */
  accepted: number;
  /** Frames that were lost because the disk or the reader was too slow, or failed. */
  dropped: number;
  /** Frames in the files, and bytes of those files. */
  written: number;
  bytes: number;
  files: number;
}

/** A sink that never makes anybody wait: what finds no room is dropped and counted. */
export class Capture implements FrameSink {
  readonly ready = true;
  onReady: (() => void) | undefined = undefined;
  readonly stats: CaptureStats = {
    received: 0,
    accepted: 0,
    dropped: 0,
    written: 0,
    bytes: 0,
    files: 1,
  };
  readonly #options: CaptureOptions;
  readonly #files: CaptureFiles;
  readonly #clock: Clock;
  readonly #microseconds: () => number;
  readonly #start: Uint8Array;
  readonly #startedUs: number;
  readonly #frame: { -readonly [K in keyof CapturedFrame]: CapturedFrame[K] } = {
    bytes: NO_BYTES,
    start: 0,
    size: 0,
  };
  /** What waits, and what is being written. */
  #waiting = new CaptureRoom();
  #other = new CaptureRoom();
  #pumping: Promise<void> | undefined;
  #lostBefore = 0;
  #fileBytes = 0;
  #fileFrames = 0;
  #fileSince: number;
  #hasEnded = false;
  #hasFailed = false;
  #isFinished = false;

  /** Frames come as soon as it is plugged in; the start of the file is written at once. */
  constructor(files: CaptureFiles, options: CaptureOptions, clock: Clock) {
    this.#files = files;
    this.#options = options;
    this.#clock = clock;
    this.#microseconds = microsecondsOf(clock);
    const { origin, filter } = options;
    this.#start = encodeCaptureStart({ ...origin, filter: filter?.text });
    this.#startedUs = this.#microseconds();
    this.#fileSince = clock.now();
    this.#append(this.#start);
    this.#pump();
  }

  deliver(run: FrameRun): void {
    const { filter } = this.#options;
    const { view } = run;
    const atUs = this.#microseconds();
    for (let at = run.start; at < run.end && !this.#hasEnded;) {
      const start = at + PREFIX_BYTES;
      const size = view.getUint32(at);
      at = start + size;
      this.stats.received += 1;
      if (filter !== undefined && !filter.matches(view, start, size)) continue;
      this.stats.accepted += 1;
      this.#take(run.bytes, start, size, atUs);
    }
    filter?.release();
    this.#frame.bytes = NO_BYTES;
  }

  /** What has come is written at once; while something is being written, more gathers for the next write. */
  flush(): void {
    this.#pump();
  }

  #take(bytes: Uint8Array, start: number, size: number, atUs: number): void {
    const { snapLength } = this.#options.origin;
    const kept = snapLength === 0 ? size : Math.min(size, snapLength);
    const length = packetBlockBytes(kept, this.#lostBefore);
    if (!this.#tryBegin(length)) {
      this.#lostBefore += 1;
      this.stats.dropped += 1;
      return;
    }
    const frame = this.#frame;
    frame.bytes = bytes;
    frame.start = start;
    frame.size = size;
    const room = this.#waiting;
    room.used = writePacketBlock(room, room.used, frame, kept, atUs, this.#lostBefore);
    room.frames += 1;
    this.#lostBefore = 0;
    this.#fileBytes += length;
    this.#fileFrames += 1;
    this.stats.bytes += length;
    this.stats.written += 1;
    if (this.stats.written >= this.#options.maxFrames) {
      this.#hasEnded = true;
      this.#options.onFull();
    }
  }

  /** Makes room for a block of this length, and begins the next file of a ring if it is time. */
  #tryBegin(length: number): boolean {
    if (this.#hasFailed) return false;
    if (!this.#isFileOver(length)) return this.#waiting.reserve(length, MAX_CAPTURE_BYTES);
    const end = this.#end();
    const whole = end.length + this.#start.length + length;
    if (!this.#waiting.reserve(whole, MAX_CAPTURE_BYTES)) return false;
    this.#append(end);
    this.#waiting.cut();
    this.stats.files += 1;
    this.#fileBytes = 0;
    this.#fileFrames = 0;
    this.#fileSince = this.#clock.now();
    this.#append(this.#start);
    return true;
  }

  #isFileOver(length: number): boolean {
    const { ring } = this.#options;
    if (ring === undefined || this.#fileFrames === 0) return false;
    const isFull = this.#fileBytes + length + END_BYTES > ring.maxBytes;
    return isFull || this.#clock.now() - this.#fileSince >= ring.maxMs;
  }

  #append(block: Uint8Array): void {
    this.#waiting.append(block);
    this.#fileBytes += block.length;
    this.stats.bytes += block.length;
  }

  #end(): Uint8Array {
    const { received, accepted, dropped, written } = this.stats;
    const endedUs = this.#microseconds();
    const startedUs = this.#startedUs;
    return encodeCaptureEnd({ startedUs, endedUs, received, accepted, dropped, written });
  }

  #pump(): void {
    if (this.#pumping !== undefined || this.#hasFailed || this.#waiting.used === 0) return;
    this.#pumping = this.#writeAll()
      .catch((error: unknown) => {
        this.#hasFailed = true;
        this.#lose(this.#other);
        this.#lose(this.#waiting);
        this.#options.onFailure(error);
      })
      .finally(() => (this.#pumping = undefined));
  }

  /** What was to be written never will be, some of it perhaps but for its end. */
  #lose(room: CaptureRoom): void {
    this.stats.written -= room.frames;
    this.stats.dropped += room.frames;
    this.stats.bytes -= room.used;
    room.empty();
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.used > 0) {
      const room = this.#waiting;
      this.#waiting = this.#other;
      this.#other = room;
      let from = 0;
      for (const cut of room.cuts) {
        await this.#files.write(room.bytes.subarray(from, cut));
        await this.#files.next();
        from = cut;
      }
      await this.#files.write(room.bytes.subarray(from, room.used));
      room.empty();
    }
  }

  /** Writes what waits and the statistics, and closes the file. May be called twice. */
  async finish(): Promise<void> {
    this.#hasEnded = true;
    await this.#pumping;
    if (!this.#isFinished && !this.#hasFailed) this.#append(this.#end());
    this.#isFinished = true;
    this.#pump();
    await this.#pumping;
    await this.#files.close();
  }
}
