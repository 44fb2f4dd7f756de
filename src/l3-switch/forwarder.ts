// The way of a packet through a layer 3 switch (hub.md 12.2). Stages of a run:
//
//   1. take: the run is copied into packet memory, since it is only lent
//   2. route: each frame to the interface's MAC is sent on to the next hop of its destination, rewritten where it lies
//   3. gather: consecutive frames for one hub are one run again
//   4. what is out of the ordinary (slow-path.ts) answers by the outbox, or waits for the MAC of its next hop
//
// All of it goes into the hubs when the event is over.
import type { Clock } from "../base/clock.ts";
import type { FrameRun } from "../hub/port.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../platform/packet-memory.ts";
import { ETHER_TYPE, ETHERNET_HEADER_BYTES } from "../wire/ethernet.ts";
import { IPV4_HEADER_BYTES } from "../wire/ipv4.ts";
import { isLinkLocalAt } from "../ip-host/packet-address.ts";
import { IPV6_HEADER_BYTES } from "../ip-host/packet-view.ts";
import type { ForwardQueue } from "./forward-queue.ts";
import type { ForwardingPlan } from "./forwarding-plan.ts";
import { address, countHopV4 } from "./frame-header.ts";
import type { Hop } from "./hop.ts";
import type { L3Interface } from "./l3-interface.ts";
import type { SlowPath } from "./slow-path.ts";

const SIZE_BYTES = 4;
/** Version 4 and a header without options. */
const PLAIN_IPV4 = 0x45;
/** IPv6 headers that are looked into: what routers must see, and what may hide a source route. */
const NEXT = { HOP_BY_HOP: 0, ROUTING: 43, FRAGMENT: 44, DESTINATION: 60 } as const;

export class Forwarder {
  readonly #clock: Clock;
  readonly #queue: ForwardQueue;
  readonly #slow: SlowPath;
  #plan: ForwardingPlan;
  /** The addresses of the IPv4 packet before, where it came in, and its hop: packets of a flow come together. */
  #lastFrom: L3Interface | undefined;
  #lastSource = 0;
  #lastDestination = 0;
  #lastHop: Hop | undefined;
  /** The same of IPv6: both addresses in words. */
  #lastFrom6: L3Interface | undefined;
  readonly #last6 = new Int32Array(8);
  #lastHop6: Hop | undefined;

  constructor(plan: ForwardingPlan, slow: SlowPath, queue: ForwardQueue, clock: Clock) {
    this.#plan = plan;
    this.#slow = slow;
    this.#queue = queue;
    this.#clock = clock;
  }

  /** Other routes or interfaces: packets from now on. */
  follow(plan: ForwardingPlan): void {
    this.#plan = plan;
    this.#slow.plan = plan;
    this.#lastFrom = this.#lastFrom6 = undefined;
    this.#lastHop = this.#lastHop6 = undefined;
  }

  /* 1. Take */

  receive(run: FrameRun, from: L3Interface): void {
    const at = this.#queue.take(run);
    if (at < 0) {
      from.drops.limit += run.count;
      return;
    }
    const end = at + run.end - run.start;
    if (!this.#walk(at, end, from)) this.#queue.undo(at, end);
  }

  /* 3. Gather. True if a part of it goes on. */

  #walk(start: number, end: number, from: L3Interface): boolean {
    const now = this.#clock.now();
    let egress: L3Interface | undefined;
    let begin = start;
    let count = 0;
    let isUsed = false;
    let at = start;
    while (at + SIZE_BYTES + ETHERNET_HEADER_BYTES <= end) {
      const frame = at + SIZE_BYTES;
      const next = frame + PACKET_VIEW.getUint32(at);
      if (next > end) break;
      const out = this.#route(frame, next, from, now);
      if (out !== egress) {
        if (egress !== undefined) this.#queue.send(egress.sink, begin, at, count);
        egress = out;
        begin = at;
        count = 0;
      }
      count += 1;
      if (out !== undefined) isUsed = true;
      at = next;
    }
    if (egress !== undefined) this.#queue.send(egress.sink, begin, at, count);
    return isUsed;
  }

  /* 2. Route. The interface by which the frame leaves, undefined if it does not, or not as it lies here. */

  #route(frame: number, end: number, from: L3Interface, now: number): L3Interface | undefined {
    if (
      PACKET_VIEW.getInt32(frame) !== from.macHigh ||
      PACKET_VIEW.getUint16(frame + 4) !== from.macLow
    ) {
      // To a group; others are for stations that the hub does not know yet.
      if ((PACKET_BYTES[frame]! & 1) === 1) this.#slow.group(frame, end, from);
      return undefined;
    }
    const type = PACKET_VIEW.getUint16(frame + 12);
    if (type === ETHER_TYPE.IPV4) return this.#routeV4(frame, end, from, now);
    if (type === ETHER_TYPE.IPV6) return this.#routeV6(frame, end, from, now);
    this.#slow.other(type, frame, end, from);
    return undefined;
  }

  #routeV4(frame: number, end: number, from: L3Interface, now: number): L3Interface | undefined {
    const ip = frame + ETHERNET_HEADER_BYTES;
    if (ip + IPV4_HEADER_BYTES > end || PACKET_BYTES[ip] !== PLAIN_IPV4) {
      return this.#slow.packet(frame, end, from, now);
    }
    const total = PACKET_VIEW.getUint16(ip + 2);
    const word8 = PACKET_VIEW.getInt32(ip + 8);
    const source = PACKET_VIEW.getInt32(ip + 12);
    const destination = PACKET_VIEW.getInt32(ip + 16);
    if (
      total < IPV4_HEADER_BYTES ||
      ip + total > end ||
      // TTL 0 and 1.
      word8 >>> 25 === 0 ||
      !isSound(ip, word8, source, destination)
    ) {
      return this.#slow.packet(frame, end, from, now);
    }
    if (
      destination !== this.#lastDestination ||
      source !== this.#lastSource ||
      from !== this.#lastFrom
    ) {
      const isGood = from.arp.isOn && source !== destination && this.#plan.isSource4(ip + 12);
      this.#lastHop = isGood ? this.#plan.hop4(ip + 16) : undefined;
      this.#lastDestination = destination;
      this.#lastSource = source;
      this.#lastFrom = from;
    }
    const hop = this.#lastHop;
    if (hop?.kind !== "forward" || !hop.neighbor.isUsable || total > hop.egress.mtu) {
      // What is wrong may be over with the next packet: it is looked up again.
      this.#lastFrom = undefined;
      return this.#slow.packet(frame, end, from, now);
    }
    const { egress, neighbor } = hop;
    if (now >= neighbor.checkAt) egress.neighbors(4).used(neighbor);
    countHopV4(ip, word8);
    address(frame, neighbor, egress);
    return egress;
  }

  #routeV6(frame: number, end: number, from: L3Interface, now: number): L3Interface | undefined {
    const ip = frame + ETHERNET_HEADER_BYTES;
    if (ip + IPV6_HEADER_BYTES > end || PACKET_BYTES[ip]! >>> 4 !== 6) {
      return this.#slow.packet(frame, end, from, now);
    }
    const total = IPV6_HEADER_BYTES + PACKET_VIEW.getUint16(ip + 4);
    const hops = PACKET_BYTES[ip + 7]!;
    if (ip + total > end || hops <= 1 || isLookedInto(PACKET_BYTES[ip + 6]!)) {
      return this.#slow.packet(frame, end, from, now);
    }
    if (from !== this.#lastFrom6 || !this.#isLast6(ip + 8)) {
      const isGood = from.discovery.isOn && isApart(ip) && this.#isSource6(ip + 8);
      this.#lastHop6 = isGood ? this.#plan.hop6(ip + 24) : undefined;
      for (let word = 0; word < 8; word += 1) {
        this.#last6[word] = PACKET_VIEW.getInt32(ip + 8 + word * 4);
      }
      this.#lastFrom6 = from;
    }
    const hop = this.#lastHop6;
    if (hop?.kind !== "forward" || !hop.neighbor.isUsable || total > hop.egress.mtu) {
      this.#lastFrom6 = undefined;
      return this.#slow.packet(frame, end, from, now);
    }
    const { egress, neighbor } = hop;
    if (now >= neighbor.checkAt) egress.neighbors(6).used(neighbor);
    PACKET_BYTES[ip + 7] = hops - 1;
    address(frame, neighbor, egress);
    return egress;
  }

  /** Packets of one link stay there, but for what the slow path knows. */
  #isSource6(at: number): boolean {
    return !isLinkLocalAt(at) && this.#plan.isSource6(at);
  }

  /** Whether the addresses at `at` are those of the packet before. */
  #isLast6(at: number): boolean {
    const last = this.#last6;
    for (let word = 0; word < 8; word += 1) {
      if (last[word] !== PACKET_VIEW.getInt32(at + word * 4)) return false;
    }
    return true;
  }
}

/** Whether an IPv6 packet is not to its own sender: hosts of two networks often differ in the first words alone. */
function isApart(ip: number): boolean {
  for (let at = ip + 8; at < ip + 24; at += 4) {
    if (PACKET_VIEW.getInt32(at) !== PACKET_VIEW.getInt32(at + 16)) return true;
  }
  return false;
}

/** Whether the checksum of a header of 20 bytes is right; three of its words are at hand. */
function isSound(ip: number, word8: number, source: number, destination: number): boolean {
  const word0 = PACKET_VIEW.getInt32(ip);
  const word4 = PACKET_VIEW.getInt32(ip + 4);
  const sum =
    (word0 >>> 16) +
    (word0 & 0xffff) +
    (word4 >>> 16) +
    (word4 & 0xffff) +
    (word8 >>> 16) +
    (word8 & 0xffff) +
    (source >>> 16) +
    (source & 0xffff) +
    (destination >>> 16) +
    (destination & 0xffff);
  const folded = (sum & 0xffff) + (sum >>> 16);
  return (folded & 0xffff) + (folded >>> 16) === 0xffff;
}

function isLookedInto(next: number): boolean {
  return (
    next === NEXT.HOP_BY_HOP ||
    next === NEXT.ROUTING ||
    next === NEXT.FRAGMENT ||
    next === NEXT.DESTINATION
  );
}
