// From a hub to a host in software. Stages of a frame:
//
//   1. gather: the run is copied, since it is only lent
//   2. merge: consecutive segments of a TCP flow become one packet with a vector of payloads
//   3. handle: each packet meets the host; what it answers waits in the outbox
//   4. drain: the answers enter the hub
import { MIN_FRAME_BYTES } from "../base/limits.ts";
import { type MacAddress, readMac } from "../base/mac.ts";
import type { CloseReason, FrameRun, FrameSink, Port } from "../hub/port.ts";
import { takeInPieces } from "../hub/run-pieces.ts";
import {
  jobFrameAt,
  jobFrameBytes,
  jobHeaderBytes,
  jobHeadersAt,
  jobPayloadBytes,
  jobVectorAt,
  jobVectors,
  merge,
  mergeJobs,
  mergeRefused,
} from "../platform/offload.ts";
import { PACKET_BASE, PACKET_BYTES, PACKET_VIEW, reserve } from "../platform/packet-memory.ts";
import { ETHER_TYPE, ETHERNET_HEADER_BYTES } from "../wire/ethernet.ts";
import { IP_PROTOCOL } from "../wire/ipv4.ts";
import { TCP_FIELD, TCP_HEADER_BYTES } from "../wire/tcp.ts";
import { type HostDropReason, type HostDrops, noHostDrops } from "./host-drops.ts";
import { outbox } from "./outbox.ts";
import { PacketView } from "./packet-view.ts";

const VECTOR_BYTES = 16;
/** Vectors of a job of one frame: the virtio-net header, and the frame. */
const SINGLE = 2;
/** As much as a device gathers (bridge/device-egress.ts). */
const GATHER_BYTES = 196_608;

// One area for all hosts: whoever gathers next has the one before handle what it has.
const gatherAt = reserve(GATHER_BYTES);
const area: { holder: SoftwarePort | undefined } = { holder: undefined };
/** The vector of a segment that stands alone. */
const loneVectorAt = reserve(VECTOR_BYTES);
const packet = new PacketView();

/** What a software host does with what it is sent. It must not keep the packet, and must not call into a hub. */
export interface PacketHandler {
  readonly mac: MacAddress;
  /** A sound IP packet for the host's MAC or a group. */
  packet(packet: PacketView): void;
  /** ARP, behind the Ethernet header from `at` to `end`; the frame begins at `frameAt`. */
  arp(frameAt: number, at: number, end: number): void;
  /** All packets of this event were handled; now much may be sent and drained. */
  handled(): void;
}

/** The cable end of a host in software. What it is given is handled by the end of the event. */
export class SoftwarePort implements Port {
  readonly name: string;
  readonly ready = true;
  /** Never called: the port is always ready. */
  onReady: (() => void) | undefined;
  readonly #handler: PacketHandler;
  readonly #drops: HostDrops;
  #onClose: ((reason: CloseReason) => void) | undefined;
  #sink: FrameSink | undefined;
  #gatheredBytes = 0;
  #isClosed = false;

  constructor(
    name: string,
    handler: PacketHandler,
    options: {
      readonly drops?: HostDrops;
      readonly onClose?: (reason: CloseReason) => void;
    } = {},
  ) {
    this.name = name;
    this.#handler = handler;
    this.#drops = options.drops ?? noHostDrops();
    this.#onClose = options.onClose;
  }

  /** Where the host's frames go; they are lost before there is a cable. */
  get sink(): FrameSink | undefined {
    return this.#sink;
  }

  plug(into: FrameSink): void {
    this.#sink = into;
  }

  /* 1. Gather */

  deliver(run: FrameRun): void {
    if (this.#isClosed) {
      this.#drops.port_closed += run.count;
      return;
    }
    if (run.end - run.start <= GATHER_BYTES) this.#take(run, run.start, run.end);
    else this.#takeLong(run);
  }

  /** A frame that is longer than all frames may be ends the run, as `merge` has it. */
  #takeLong(run: FrameRun): void {
    const isWhole = takeInPieces(run, GATHER_BYTES, (from, to) => this.#take(run, from, to));
    if (!isWhole) this.#drops.frame_length += 1;
  }

  #take({ bytes }: FrameRun, from: number, to: number): void {
    if (area.holder !== this) {
      area.holder?.handle();
      area.holder = this;
    }
    if (this.#gatheredBytes + to - from > GATHER_BYTES) this.handle();
    const at = gatherAt + this.#gatheredBytes;
    if (bytes === PACKET_BYTES) PACKET_BYTES.copyWithin(at, from, to);
    else PACKET_BYTES.set(bytes.subarray(from, to), at);
    this.#gatheredBytes += to - from;
  }

  flush(): void {
    this.handle();
    if (!this.#isClosed) this.#handler.handled();
    outbox.drain();
  }

  close(reason: CloseReason): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#gatheredBytes = 0;
    if (area.holder === this) area.holder = undefined;
    this.#onClose?.(reason);
    this.#onClose = undefined;
  }

  /* 2. Merge, 3. Handle */

  /** Handles what was gathered, without sending what comes of it. */
  handle(): void {
    const end = gatherAt + this.#gatheredBytes;
    this.#gatheredBytes = 0;
    if (end === gatherAt || this.#isClosed) return;
    outbox.collect();
    try {
      for (let at = gatherAt; at < end;) {
        const next = merge(at, end);
        this.#drops.frame_length += mergeRefused();
        const jobs = mergeJobs();
        for (let job = 0; job < jobs; job += 1) this.#handleJob(job);
        if (next === at) break;
        at = next;
      }
    } finally {
      outbox.collected();
    }
  }

  #handleJob(job: number): void {
    const vectors = jobVectors(job);
    if (vectors > SINGLE) {
      const at = jobHeadersAt(job);
      if (!this.#isForUs(at)) return;
      if (PACKET_VIEW.getUint16(at + 12) === ETHER_TYPE.VLAN) return this.#drop("tagged");
      const payload = jobVectorAt(job) + VECTOR_BYTES;
      const bytes = jobPayloadBytes(job);
      this.#meet(packet.aimMerged(at, jobHeaderBytes(job), payload, vectors - 1, bytes));
      return;
    }
    const at = jobFrameAt(job);
    if (!this.#isForUs(at)) return;
    const end = at + jobFrameBytes(job);
    const type = PACKET_VIEW.getUint16(at + 12);
    if (type === ETHER_TYPE.ARP) return this.#handler.arp(at, at + ETHERNET_HEADER_BYTES, end);
    if (type === ETHER_TYPE.VLAN || type === ETHER_TYPE.QINQ) return this.#drop("tagged");
    if (end - at < MIN_FRAME_BYTES) return this.#drop("frame_length");
    const fault = packet.aim(at, end);
    if (fault === undefined && packet.protocol === IP_PROTOCOL.TCP && !packet.isFragment)
      aimLone(packet);
    this.#meet(fault);
  }

  #meet(fault: HostDropReason | undefined): void {
    if (fault === undefined) this.#handler.packet(packet);
    else this.#drop(fault);
  }

  /** To the host's own MAC or a group; frames to others come while the hub does not know these. */
  #isForUs(at: number): boolean {
    return (PACKET_BYTES[at]! & 1) === 1 || readMac(PACKET_BYTES, at) === this.#handler.mac;
  }

  #drop(reason: HostDropReason): void {
    this.#drops[reason] += 1;
  }
}

/** Gives a segment that stands alone the vector that merged ones have. A header that is cut leaves it empty. */
function aimLone(lone: PacketView): void {
  const { l4At, ipEnd } = lone;
  lone.vectorAt = loneVectorAt;
  if (l4At + TCP_HEADER_BYTES > ipEnd) return;
  const headerBytes = (PACKET_BYTES[l4At + TCP_FIELD.DATA_OFFSET]! >>> 4) * 4;
  const bytes = ipEnd - l4At - headerBytes;
  if (headerBytes < TCP_HEADER_BYTES || bytes <= 0) return;
  const address = PACKET_BASE + l4At + headerBytes;
  PACKET_VIEW.setUint32(loneVectorAt, address >>> 0, true);
  PACKET_VIEW.setUint32(loneVectorAt + 4, Math.floor(address / 0x1_0000_0000), true);
  PACKET_VIEW.setUint32(loneVectorAt + 8, bytes, true);
  PACKET_VIEW.setUint32(loneVectorAt + 12, 0, true);
  lone.vectors = 1;
  lone.payloadBytes = bytes;
}
