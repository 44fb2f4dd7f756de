// Runs on their way through a switch: copied once, rewritten where they lie, and handed to the other hubs as runs when
// the event is over. While a run is looked at nothing calls into a hub.
import type { FrameRun, FrameSink } from "../hub/port.ts";
import { WaitingRuns } from "../ip-host/waiting-runs.ts";
import { PACKET_BYTES, SlotPool } from "../platform/packet-memory.ts";

/** Before each run, for a sink that makes a unit of the stream of it (hub/port.ts). */
const HEADROOM_BYTES = 4;
/** A run of a hub (MAX_FORWARD_BYTES) with its headroom. */
const SLOT_BYTES = 53_248;
/** For all switches: what the largest read of a socket brings, there and back several times. */
const MAX_SLOTS = 64;

const slots = new SlotPool(SLOT_BYTES, MAX_SLOTS);

export class ForwardQueue {
  /** In use, in the order in which they were filled. */
  readonly #slots: number[] = [];
  /** Where the next run goes, and where that slot ends. */
  #next = 0;
  #slotEnd = 0;
  readonly #runs = new WaitingRuns(() => this.#reset());

  /** Copies a run and gives where it lies in packet memory; -1 if there is no room. */
  take({ bytes, start, end }: FrameRun): number {
    const size = end - start;
    const at = this.#reserve(size);
    if (at < 0) return -1;
    if (bytes === PACKET_BYTES) PACKET_BYTES.copyWithin(at, start, end);
    else PACKET_BYTES.set(bytes.subarray(start, end), at);
    return at;
  }

  /** Room for a run of a single frame that is yet to be written: gives where its size prefix goes, or -1. */
  begin(bytes: number): number {
    // What lies before is part of another run, which may still be waiting.
    const at = this.#reserve(HEADROOM_BYTES + bytes);
    return at < 0 ? -1 : at + HEADROOM_BYTES;
  }

  /** The frames from `start` to `end` of what was taken go to a hub. In the order of their addresses, best. */
  send(sink: FrameSink, start: number, end: number, count: number): void {
    this.#runs.add(sink, start, end, count);
  }

  /** Of the run that lies from `at` to `end` nothing is needed: its room is used again, unless others lie behind it. */
  undo(at: number, end: number): void {
    if (this.#next === end) this.#next = at;
  }

  /** Hands all that waits to the hubs and flushes these; what comes back meanwhile goes, too. */
  drain(): void {
    this.#runs.drain();
  }

  /** Drops all that waits. */
  clear(): void {
    this.#runs.clear();
  }

  #reserve(size: number): number {
    if (this.#next + size > this.#slotEnd) {
      if (HEADROOM_BYTES + size > SLOT_BYTES) return -1;
      const slot = slots.take();
      if (slot === undefined) return -1;
      this.#slots.push(slot);
      this.#next = slot + HEADROOM_BYTES;
      this.#slotEnd = slot + SLOT_BYTES;
    }
    const at = this.#next;
    this.#next += size;
    return at;
  }

  #reset(): void {
    this.#next = this.#slotEnd = 0;
    for (let slot = this.#slots.pop(); slot !== undefined; slot = this.#slots.pop()) {
      slots.give(slot);
    }
  }
}
