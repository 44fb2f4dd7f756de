// Frames of software hosts on their way to hubs. All hosts share one area: what they write lies there as runs until it
// is drained, in order. While a host looks at what it was given nothing is drained, so nothing calls into a hub then.
import { MAX_FRAME_BYTES, WRITE_BATCH_BYTES } from "../base/limits.ts";
import { type MacAddress, writeMac } from "../base/mac.ts";
import type { FrameSink } from "../hub/port.ts";
import { cut, cutFrames } from "../platform/offload.ts";
import { PACKET_BYTES, PACKET_VIEW, reserve } from "../platform/packet-memory.ts";
import { ETHERNET_HEADER_BYTES } from "../wire/ethernet.ts";
import type { HostLink } from "./link.ts";
import { WaitingRuns } from "./waiting-runs.ts";

/** Twice what a port gathers (software-port.ts): its answers, and those of a port that is asked meanwhile. */
const AREA_BYTES = 524_288;
/** Before a run, for a sink that makes a unit of the stream of it (hub/port.ts). */
const HEADROOM_BYTES = 4;
const SIZE_BYTES = 4;

const areaAt = reserve(HEADROOM_BYTES + AREA_BYTES) + HEADROOM_BYTES;
const areaEnd = areaAt + AREA_BYTES;

class Outbox {
  readonly #runs = new WaitingRuns(() => this.#reset(), WRITE_BATCH_BYTES);
  #next = areaAt;
  #collecting = 0;
  /** Of the frame that was begun, where its size stands; its sink. */
  #begunAt = -1;
  #begunFor: FrameSink | undefined;
  /** Frames that found no room. */
  refused = 0;

  /** Bytes that wait; a giver of much drains at 48 KiB or so. */
  get waitingBytes(): number {
    return this.#next - areaAt;
  }

  /** True while a host looks at what it was given: `drain` waits until it is done. */
  get isCollecting(): boolean {
    return this.#collecting > 0;
  }

  /**
   * Writes an Ethernet header and gives the offset in packet memory behind it, where up to `bytes` may be written
   * before `end`; -1 if there is no room.
   */
  begin(link: HostLink, to: MacAddress, etherType: number, bytes: number): number {
    const at = this.#next;
    const frame = at + SIZE_BYTES;
    if (frame + ETHERNET_HEADER_BYTES + bytes > areaEnd) {
      this.refused += 1;
      return -1;
    }
    writeMac(PACKET_BYTES, frame, to);
    writeMac(PACKET_BYTES, frame + 6, link.mac);
    PACKET_VIEW.setUint16(frame + 12, etherType);
    this.#begunAt = at;
    this.#begunFor = link.sink;
    return frame + ETHERNET_HEADER_BYTES;
  }

  /** The frame that was begun last has `bytes` behind its Ethernet header. */
  end(bytes: number): void {
    const at = this.#begunAt;
    const sink = this.#begunFor;
    if (at < 0 || sink === undefined) throw new Error("Cannot end a frame: none was begun");
    const size = ETHERNET_HEADER_BYTES + bytes;
    if (size > MAX_FRAME_BYTES) throw new RangeError(`Cannot send a frame of ${size} bytes`);
    this.#begunAt = -1;
    PACKET_VIEW.setUint32(at, size);
    this.#append(sink, at + SIZE_BYTES + size, 1);
  }

  /**
   * Cuts a super-frame, a virtio-net header with a frame behind it in packet memory, into frames of its segment size.
   * Gives how many; 0 if there is no room. The input is changed.
   */
  sendSuper(link: HostLink, at: number, bytes: number): number {
    const written = cut(at, bytes, this.#next, areaEnd - this.#next);
    if (written <= 0) {
      this.refused += 1;
      return 0;
    }
    const frames = cutFrames();
    this.#append(link.sink, this.#next + written, frames);
    return frames;
  }

  #append(sink: FrameSink, end: number, count: number): void {
    const start = this.#next;
    this.#next = end;
    this.#runs.add(sink, start, end, count);
  }

  /** Until `collected`, frames are kept. Calls nest. */
  collect(): void {
    this.#collecting += 1;
  }

  collected(): void {
    this.#collecting -= 1;
  }

  /** Hands all that waits to the hubs and flushes these. Once an event, and by those who send much. */
  drain(): void {
    if (this.#collecting === 0) this.#runs.drain();
  }

  #reset(): void {
    this.#next = areaAt;
    this.#begunAt = -1;
  }
}

/** The one of the process: hosts in turns, never two at once. */
export const outbox = new Outbox();
