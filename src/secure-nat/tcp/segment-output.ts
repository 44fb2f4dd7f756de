// The voice of a connection: segments with the sequence numbers, the acknowledgment, the window and the options that are
// right at that moment.
import { PACKET_BYTES } from "../../platform/packet-memory.ts";
import { TCP_FLAG } from "../../wire/tcp.ts";
import { type HandshakeTerms, synOptions } from "./handshake-terms.ts";
import type { TcpReceiver } from "./receiver.ts";
import { Outgoing, type SegmentWriter } from "./segment-writer.ts";
import type { SendBuffer } from "./send-buffer.ts";
import type { TcpStats } from "./tcp-stats.ts";

const MAX_WINDOW_FIELD = 0xffff;
/** SACK blocks beside timestamps, and without (RFC 2018 3). */
const MAX_BLOCKS = { withTimestamps: 3, alone: 4 } as const;

// One for all connections: one segment is written at a time.
const outgoing = new Outgoing();
const edges = new Float64Array(8);

export interface OutputParts {
  readonly writer: SegmentWriter;
  readonly terms: HandshakeTerms;
  readonly receiver: TcpReceiver;
  readonly initialSequence: number;
  readonly stats: TcpStats;
  /** Value of the timestamps option now. */
  readonly timestamp: () => number;
}

export class SegmentOutput {
  readonly #parts: OutputParts;
  /** RFC 7323 `TS.Recent`, and `Last.ACK.sent` as a position. */
  recentTimestamp = 0;
  lastAcknowledged = 0;

  constructor(parts: OutputParts) {
    this.#parts = parts;
  }

  synAck(): boolean {
    const { writer, terms, receiver } = this.#parts;
    this.#begin(0, TCP_FLAG.SYN | TCP_FLAG.ACK);
    // The window of a SYN is not scaled (RFC 7323 2.2).
    outgoing.window = Math.min(receiver.advertise(), MAX_WINDOW_FIELD);
    outgoing.options = synOptions(terms, writer.maxSegmentBytes);
    return this.#end(0, undefined);
  }

  /** From `position` on `bytes` of the buffer, or none. Gives false if there is no room now. */
  data(position: number, bytes: number, flags: number, buffer: SendBuffer): boolean {
    this.#begin(position, flags);
    outgoing.window = this.#windowField();
    return this.#end(bytes, buffer, position);
  }

  /** @param position of the next byte that will be sent */
  acknowledgment(position: number): boolean {
    const { terms, receiver } = this.#parts;
    this.#begin(position, TCP_FLAG.ACK);
    outgoing.window = this.#windowField();
    if (terms.hasSack) {
      const most = terms.hasTimestamps ? MAX_BLOCKS.withTimestamps : MAX_BLOCKS.alone;
      outgoing.blocks = receiver.blocks(most, edges);
      for (let n = 0; n < 2 * outgoing.blocks; n += 1) {
        outgoing.edges[n] = receiver.sequenceOf(edges[n]!);
      }
    }
    if (!this.#end(0, undefined)) return false;
    receiver.forgetRepeat();
    return true;
  }

  reset(position: number, isPlain: boolean): void {
    this.#begin(position, isPlain ? TCP_FLAG.RST : TCP_FLAG.RST | TCP_FLAG.ACK);
    if (isPlain) outgoing.acknowledgment = 0;
    outgoing.hasTimestamps = false;
    this.#end(0, undefined);
  }

  #begin(position: number, flags: number): void {
    const { terms, receiver, initialSequence, timestamp } = this.#parts;
    outgoing.clear();
    outgoing.flags = flags;
    outgoing.sequence = (initialSequence + position) >>> 0;
    outgoing.acknowledgment = receiver.sequenceOf(receiver.next);
    if (terms.hasTimestamps) {
      outgoing.hasTimestamps = true;
      outgoing.timestampValue = timestamp();
      outgoing.timestampEcho = this.recentTimestamp;
    }
  }

  #windowField(): number {
    const { receiver, terms } = this.#parts;
    return Math.min(Math.floor(receiver.advertise() / 2 ** terms.ourScale), MAX_WINDOW_FIELD);
  }

  #end(bytes: number, buffer: SendBuffer | undefined, position = 0): boolean {
    const { writer, terms, receiver, stats } = this.#parts;
    const at = writer.begin(outgoing);
    buffer?.copy(position, bytes, PACKET_BYTES, at);
    const sent = writer.end(at, bytes, terms.mss);
    if (sent === 0) return false;
    stats.segmentsOut += sent;
    stats.bytesOut += bytes;
    receiver.acknowledged();
    this.lastAcknowledged = receiver.next;
    return true;
  }
}
