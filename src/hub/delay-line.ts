import type { Clock, Timer } from "../base/clock.ts";
import { MAX_DELAYED_BYTES } from "../base/limits.ts";
import type { FrameView } from "./frame-view.ts";
import { emptyRun, type FrameRun } from "./port.ts";

/** A frame that waits, as a run of one. */
export interface DelayedFrame<Source> {
  readonly run: FrameRun;
  readonly from: Source;
  readonly isJudged: boolean;
  readonly due: number;
  /** Of frames that are due together the one that came first goes first. */
  readonly order: number;
}

const PREFIX_BYTES = 4;
/** Memory of a frame that waits besides its bytes: buffer, view and records. */
const RECORD_BYTES = 400;

/** Frames that go on later (hub.md 2.15), soonest first; bounded in bytes. */
export class DelayLine<Source> {
  readonly #clock: Clock;
  readonly #release: (frame: DelayedFrame<Source>) => void;
  readonly #afterwards: () => void;
  /** A heap: the frame at n is not due before the one at (n - 1) / 2. */
  readonly #heap: DelayedFrame<Source>[] = [];
  #bytes = 0;
  #order = 0;
  #timer: Timer | undefined;
  #isClosed = false;

  /** @param afterwards called when all frames that were due have been released */
  constructor(
    clock: Clock,
    release: (frame: DelayedFrame<Source>) => void,
    afterwards: () => void,
  ) {
    this.#clock = clock;
    this.#release = release;
    this.#afterwards = afterwards;
  }

  /** Copies the frame; false if there is no room, or the line is closed. */
  add(frame: FrameView, from: Source, delayMs: number): boolean {
    const size = frame.end - frame.start;
    if (this.#isClosed || this.#bytes + size + RECORD_BYTES > MAX_DELAYED_BYTES) return false;
    this.#bytes += size + RECORD_BYTES;
    const bytes = new Uint8Array(PREFIX_BYTES + size);
    const run = emptyRun(bytes);
    run.view.setUint32(0, size);
    bytes.set(
      new Uint8Array(frame.view.buffer, frame.view.byteOffset + frame.start, size),
      PREFIX_BYTES,
    );
    run.end = bytes.length;
    run.count = 1;
    const due = this.#clock.now() + delayMs;
    const delayed = { run, from, isJudged: frame.isJudged, due, order: this.#order };
    this.#order += 1;
    this.#push(delayed);
    if (this.#heap[0] === delayed) this.#schedule();
    return true;
  }

  /** Forgets what waits, and takes nothing more. */
  close(): void {
    this.#isClosed = true;
    this.#heap.length = 0;
    this.#bytes = 0;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #schedule(): void {
    this.#timer?.cancel();
    const first = this.#heap[0];
    this.#timer =
      first === undefined
        ? undefined
        : this.#clock.after(Math.max(0, first.due - this.#clock.now()), () => this.#run());
  }

  #run(): void {
    const now = this.#clock.now();
    try {
      for (
        let first = this.#heap[0];
        first !== undefined && first.due <= now;
        first = this.#heap[0]
      ) {
        this.#pop();
        this.#bytes -= first.run.end - PREFIX_BYTES + RECORD_BYTES;
        this.#release(first);
      }
    } finally {
      // Also after a port has thrown: what still waits must not wait for ever.
      this.#schedule();
    }
    this.#afterwards();
  }

  #push(frame: DelayedFrame<Source>): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent]!, frame)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = frame;
  }

  /** Takes the first away. */
  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (isBefore(last, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: DelayedFrame<unknown>, b: DelayedFrame<unknown>): boolean {
  return a.due === b.due ? a.order < b.order : a.due < b.due;
}
