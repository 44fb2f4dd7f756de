// A frame device and a poller in memory, for ports that are tested without an interface.
import type { FrameRun, FrameSink } from "../../src/hub/port.ts";
import type { FrameDevice, VectorList } from "../../src/platform/frame-device.ts";
import { PACKET_BASE, PACKET_BYTES, PACKET_VIEW } from "../../src/platform/packet-memory.ts";
import type { Poller, Watch } from "../../src/platform/poller.ts";
import { framesOf } from "../wasm/random-frames.ts";

const EAGAIN = 11;

export class FakeDevice implements FrameDevice {
  readonly name = "fake0";
  readonly fd = 1_000_000;
  readonly hasVnetHeader: boolean;
  /** What reads give: bytes as the kernel would, or a negative errno. Empty: EAGAIN. */
  readonly incoming: (Uint8Array | number)[] = [];
  /** What was written, virtio-net header included. */
  readonly written: Uint8Array[] = [];
  /** Negative errnos for the next writes. */
  readonly writeErrors: number[] = [];
  closes = 0;
  /** Takes all frames of a call. */
  batches = false;
  frameAt = 0;
  hasMore = false;
  /** What `takeDropped` tells next. */
  dropped = 0;

  constructor(hasVnetHeader = true) {
    this.hasVnetHeader = hasVnetHeader;
  }

  read(at: number, bytes: number): number {
    if (this.closes > 0) throw new Error("read of a closed device");
    this.frameAt = at;
    const next = this.incoming.shift() ?? -EAGAIN;
    if (typeof next === "number") return next;
    const part = next.subarray(0, bytes);
    PACKET_BYTES.set(part, at);
    return part.length;
  }

  write(at: number, bytes: number): number {
    return this.#take(PACKET_BYTES.slice(at, at + bytes));
  }

  /** As many as go, one a call unless `batches`. */
  writev(frames: VectorList, from: number, to: number): number {
    let index = from;
    for (; index < to && (index === from || this.batches); index += 1) {
      // An error is told by the call that begins with the frame.
      if (index > from && this.writeErrors.length > 0) break;
      const result = this.#writeParts(frames.at(index), frames.count(index));
      if (result < 0) return result;
    }
    return index - from;
  }

  #writeParts(at: number, count: number): number {
    const parts = Array.from({ length: count }, (_, n) => {
      const entry = at + n * 16;
      const from = Number(PACKET_VIEW.getBigUint64(entry, true)) - PACKET_BASE;
      return PACKET_BYTES.slice(from, from + Number(PACKET_VIEW.getBigUint64(entry + 8, true)));
    });
    return this.#take(new Uint8Array(Bun.concatArrayBuffers(parts)));
  }

  takeDropped(): number {
    return this.dropped;
  }

  close(): void {
    this.closes += 1;
  }

  #take(bytes: Uint8Array): number {
    if (this.closes > 0) throw new Error("write to a closed device");
    const error = this.writeErrors.shift();
    if (error !== undefined) return error;
    this.written.push(bytes);
    return bytes.length;
  }
}

export class FakePoller implements Poller {
  readonly watches: FakeWatch[] = [];

  add(fd: number, onReadable: () => void): FakeWatch {
    const watch = new FakeWatch(fd, onReadable);
    this.watches.push(watch);
    return watch;
  }

  close(): void {
    for (const watch of this.watches) watch.remove();
  }
}

export class FakeWatch implements Watch {
  isArmed = false;
  isRemoved = false;
  /** Thrown by the next `arm`. */
  failure: Error | undefined;
  readonly fd: number;
  readonly #onReadable: () => void;

  constructor(fd: number, onReadable: () => void) {
    this.fd = fd;
    this.#onReadable = onReadable;
  }

  arm(): void {
    if (this.failure !== undefined) throw this.failure;
    this.isArmed = !this.isRemoved;
  }

  remove(): void {
    this.isArmed = false;
    this.isRemoved = true;
  }

  /** The descriptor has become readable. */
  fire(): void {
    if (!this.isArmed) throw new Error("fired without being armed");
    this.isArmed = false;
    this.#onReadable();
  }
}

/** Keeps what it is given, and is ready or not as it is told. */
export class RecordingSink implements FrameSink {
  ready = true;
  onReady: (() => void) | undefined;
  readonly runs: { frames: Uint8Array[]; headroom: number }[] = [];
  flushes = 0;
  /** Called inside `deliver`. */
  onDeliver: (() => void) | undefined;

  deliver(run: FrameRun): void {
    const frames = framesOf(run.bytes.slice(run.start, run.end));
    if (frames.length !== run.count) throw new Error(`run of ${frames.length} says ${run.count}`);
    // As a session does that sends the run as it lies.
    run.view.setUint32(run.start - 4, 0xffff_ffff);
    this.runs.push({ frames, headroom: run.start });
    this.onDeliver?.();
  }

  flush(): void {
    this.flushes += 1;
  }

  get frames(): Uint8Array[] {
    return this.runs.flatMap((run) => run.frames);
  }

  becomeReady(): void {
    this.ready = true;
    this.onReady?.();
  }
}

/** Lets what is due by `setImmediate` happen, and what that makes due. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
