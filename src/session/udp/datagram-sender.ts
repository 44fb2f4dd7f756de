// From the session to the socket. Stages of a frame:
//
//   1. bring: the run into packet memory, unless it lies there
//   2. seal: its blocks into datagrams of one size, as long as sizes allow: one message of the kernel
//   3. send: all messages at the end of the batch, or when the area is full
import type { Random } from "../../base/random.ts";
import { SLACK_BYTES } from "../../crypto/datagram-module.ts";
import type { FrameRun } from "../../hub/port.ts";
import { PACKET_BYTES, PACKET_VIEW, reserve } from "../../platform/packet-memory.ts";
import {
  MAX_MESSAGE_BYTES,
  MAX_SEGMENTS,
  SEND_MESSAGES,
  type OutgoingMessage,
  type UdpSocket,
} from "../../platform/udp-socket.ts";
import {
  type DatagramCodec,
  MAX_DATAGRAM_BYTES,
  MAX_PADDING_BYTES,
  WHOLE_DATAGRAM_BYTES,
} from "./datagram.ts";
import type { Liveness } from "./liveness.ts";
import type { UdpPathStats } from "./path-stats.ts";
import type { PeerAddresses } from "./peer-addresses.ts";

const SIZE_BYTES = 4;
/** What is brought at once, at least one block. */
const BRING_BYTES = 65_536;
const AREA_BYTES = 196_608;

// One area for all paths: whoever seals next has the one before sent first.
const bringAt = reserve(BRING_BYTES + SLACK_BYTES);
const areaAt = reserve(AREA_BYTES + SLACK_BYTES);
const area: { holder: DatagramSender | undefined } = { holder: undefined };

export interface SenderDeps {
  readonly socket: UdpSocket;
  readonly codec: DatagramCodec;
  readonly liveness: Liveness;
  readonly addresses: PeerAddresses;
  readonly stats: UdpPathStats;
  readonly random: Random;
  /** Cookie of the peer. */
  readonly cookie: number;
}

export class DatagramSender {
  readonly #deps: SenderDeps;
  readonly #whole: number;
  readonly #messages: OutgoingMessage[] = Array.from({ length: SEND_MESSAGES }, () => ({
    at: 0,
    bytes: 0,
    segment: 0,
    datagrams: 0,
  }));
  /** The message that is being filled, at place `count`: those before it are closed. */
  #open: OutgoingMessage | undefined;
  #count = 0;
  #used = 0;

  constructor(deps: SenderDeps) {
    this.#deps = deps;
    this.#whole = WHOLE_DATAGRAM_BYTES[deps.socket.local.family];
  }

  /* 1. Bring */

  /** Takes all blocks of the run; `flag` goes with each. */
  take(run: FrameRun, flag: number, now: number): void {
    if (area.holder !== this) {
      area.holder?.flush();
      area.holder = this;
    }
    if (run.bytes === PACKET_BYTES) return this.#sealRun(run.start, run.end, flag, now);
    for (let from = run.start; from < run.end;) {
      let to = from;
      while (to < run.end) {
        const next = to + SIZE_BYTES + run.view.getUint32(to);
        if (next - from > BRING_BYTES) break;
        to = next;
      }
      // A block that does not fit is none.
      if (to === from) return;
      PACKET_BYTES.set(run.bytes.subarray(from, to), bringAt);
      this.#sealRun(bringAt, bringAt + to - from, flag, now);
      from = to;
    }
  }

  /* 2. Seal */

  #sealRun(from: number, to: number, flag: number, now: number): void {
    const { codec, liveness, stats, socket } = this.#deps;
    while (from + SIZE_BYTES <= to) {
      if (this.#used + MAX_DATAGRAM_BYTES > AREA_BYTES) this.flush();
      const message = this.#message();
      const first = PACKET_VIEW.getUint32(from);
      this.#begin(first, now);
      const joins = socket.joins(codec.emptyBytes + first + MAX_PADDING_BYTES);
      const sealed = codec.seal(from, to, {
        out: areaAt + this.#used,
        room: Math.min(AREA_BYTES - this.#used, MAX_MESSAGE_BYTES - message.bytes),
        most: joins ? MAX_SEGMENTS - message.datagrams : 1,
        segment: message.segment,
        padding: this.#padding(),
        whole: this.#whole,
        flag,
      });
      codec.end();
      stats.drops.block_length += sealed.refused;
      if (sealed.datagrams > 0) {
        liveness.sent(sealed.segment, now);
        this.#used += sealed.bytes;
        message.bytes += sealed.bytes;
        message.datagrams += sealed.datagrams;
        message.segment = sealed.segment;
        stats.outFrames += sealed.datagrams;
      } else if (message.datagrams === 0 && sealed.stoppedAt === from) {
        // The run ends within a block.
        return;
      }
      from = sealed.stoppedAt;
      if (sealed.datagrams === 0 || !this.#mayGrow(message)) this.#closeMessage();
    }
  }

  /** The message that is open, or a new one. */
  #message(): OutgoingMessage {
    if (this.#open !== undefined) return this.#open;
    if (this.#count === SEND_MESSAGES) this.flush();
    const message = this.#messages[this.#count]!;
    message.at = areaAt + this.#used;
    message.bytes = message.segment = message.datagrams = 0;
    return (this.#open = message);
  }

  #closeMessage(): void {
    if (this.#open !== undefined && this.#open.datagrams > 0) this.#count += 1;
    this.#open = undefined;
  }

  #mayGrow({ segment, datagrams }: OutgoingMessage): boolean {
    return datagrams < MAX_SEGMENTS && this.#deps.socket.joins(segment);
  }

  #padding(): number {
    return Math.floor(this.#deps.random.fraction() * (MAX_PADDING_BYTES + 1));
  }

  /** @param size of the first payload */
  #begin(size: number, now: number): void {
    const { codec, liveness, cookie } = this.#deps;
    const tick = liveness.tickFor(codec.emptyBytes + size + MAX_PADDING_BYTES, now);
    codec.begin({ cookie, tick, echo: liveness.peerTick });
  }

  /* 3. Send */

  flush(): void {
    this.#closeMessage();
    const count = this.#count;
    this.#count = 0;
    this.#used = 0;
    if (area.holder === this) area.holder = undefined;
    if (count === 0) return;
    const to = this.#deps.addresses.current;
    if (to !== undefined) this.#deps.socket.send(this.#messages, count, to);
    else this.#dropUnaddressed(count);
  }

  #dropUnaddressed(count: number): void {
    for (const { datagrams } of this.#messages.slice(0, count)) {
      this.#deps.stats.drops.no_address += datagrams;
    }
  }

  /** Sends a keep-alive at once, to the peer's address and to `others`. */
  sendKeepalive(now: number, others: Iterable<Uint8Array>): void {
    area.holder?.flush();
    const { codec, liveness, addresses, socket } = this.#deps;
    const bytes = liveness.largest > 0 ? liveness.largest : codec.emptyBytes + this.#padding();
    this.#begin(bytes, now);
    const size = codec.sealKeepalive(areaAt, bytes);
    codec.end();
    const message = this.#messages[0]!;
    message.at = areaAt;
    message.bytes = size;
    message.segment = 0;
    message.datagrams = 1;
    if (addresses.current !== undefined) socket.send(this.#messages, 1, addresses.current);
    for (const other of others) socket.send(this.#messages, 1, other);
  }

  /** Drops what has not been sent. */
  close(): void {
    if (area.holder === this) area.holder = undefined;
    this.#open = undefined;
    this.#count = 0;
    this.#used = 0;
  }
}
