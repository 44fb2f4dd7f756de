// Packets of a layer 3 switch that are more than rewritten: for the switch itself, with options, at the end of their
// hops, too long, to nobody, or to somebody whose MAC is not known yet.
import type { IpAddress } from "../base/ip.ts";
import { type MacAddress, readMac } from "../base/mac.ts";
import { sendCut } from "../ip-host/fragment.ts";
import type { HostDropReason } from "../ip-host/host-drops.ts";
import type { IcmpErrors, IcmpOrigin } from "../ip-host/icmp-error.ts";
import { ALL_NODES } from "../ip-host/ipv6-address.ts";
import type { Neighbor } from "../ip-host/neighbors.ts";
import { isAddressAt, isLinkLocalAt } from "../ip-host/packet-address.ts";
import { PacketView } from "../ip-host/packet-view.ts";
import type { Reassembly } from "../ip-host/reassembly.ts";
import { PACKET_BYTES, PACKET_VIEW, reserve } from "../platform/packet-memory.ts";
import { ETHER_TYPE, ETHERNET_HEADER_BYTES } from "../wire/ethernet.ts";
import { type IcmpFault, ICMPV6_TYPE } from "../wire/icmp.ts";
import { MLD_QUERY } from "../wire/mld.ts";
import { NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION } from "../wire/neighbor-discovery.ts";
import {
  ICMPV6,
  LINK_HOP_LIMIT,
  ROUTER_ADVERTISEMENT,
  ROUTER_SOLICITATION,
  tryParseRouterSolicitation,
} from "../wire/router-advertisement.ts";
import type { ForwardQueue } from "./forward-queue.ts";
import type { ForwardingPlan } from "./forwarding-plan.ts";
import { address, countHopV4 } from "./frame-header.ts";
import type { Hop } from "./hop.ts";
import type { L3Interface, L3Packet } from "./l3-interface.ts";
import { answerLocal, answerToAll } from "./local-host.ts";

const SIZE_BYTES = 4;
/** A packet that comes back from a queue to be told about. */
const QUOTE_BYTES = 2048;
const quoteAt = reserve(QUOTE_BYTES);
/** The packet at hand, and one that comes back from a queue meanwhile. */
const view = new PacketView();
const waited = new PacketView();

export interface SlowPathDeps {
  readonly queue: ForwardQueue;
  readonly errors: IcmpErrors;
  /** Of packets for the switch itself; others go on in parts, as they come. */
  readonly reassembly: Reassembly;
  /** Of hosts that do not answer, and of ports where nobody listens, senders are told (hub.md 12.2, `l3-errors`). */
  tellsOfSilence(): boolean;
  /** A host asks for routers (RFC 4861 6.2.6). */
  solicited(from: L3Interface, source: Uint8Array, mac: MacAddress): void;
  /** A router or switch asks who listens to groups. False if it is no sound question. */
  queried(from: L3Interface, packet: PacketView): boolean;
}

export class SlowPath {
  plan: ForwardingPlan;
  readonly #deps: SlowPathDeps;

  constructor(plan: ForwardingPlan, deps: SlowPathDeps) {
    this.plan = plan;
    this.#deps = deps;
  }

  /* What is not to be routed */

  /** A frame to a group: address resolution, and who is there (hub.md 12.2). */
  group(frame: number, end: number, from: L3Interface): void {
    const type = PACKET_VIEW.getUint16(frame + 12);
    if (type === ETHER_TYPE.ARP) return this.other(type, frame, end, from);
    if (type !== ETHER_TYPE.IPV6 || !from.discovery.isOn) return;
    const fault = view.aim(frame, end);
    if (fault !== undefined) return drop(from, fault);
    if (view.protocol !== ICMPV6 || view.isFragment || this.#controlV6(from)) return;
    if (isAddressAt(ALL_NODES, view.destinationAt) && this.#isGood6(from)) answerToAll(view, from);
  }

  /** A frame to the interface that holds no IP packet, or ARP to all. */
  other(type: number, frame: number, end: number, from: L3Interface): void {
    switch (type) {
      case ETHER_TYPE.ARP:
        return from.arp.receive(frame, frame + ETHERNET_HEADER_BYTES, end);
      case ETHER_TYPE.VLAN:
      case ETHER_TYPE.QINQ:
        return drop(from, "tagged");
      default:
        return drop(from, "protocol");
    }
  }

  /* What may be routed */

  /** A packet to the interface's MAC. Gives the interface by which the frame leaves as it lies there, if it does. */
  packet(frame: number, end: number, from: L3Interface, now: number): L3Interface | undefined {
    const fault = view.aim(frame, end);
    if (fault !== undefined) {
      drop(from, fault);
      return undefined;
    }
    if (view.version === 6) return this.#packetV6(frame, end, from, now);
    if (!from.arp.isOn) {
      drop(from, "not_served");
      return undefined;
    }
    if (!this.plan.isSource4(view.sourceAt)) {
      drop(from, "martian");
      return undefined;
    }
    return this.#meet(this.plan.hop4(view.destinationAt), frame, end, from, now);
  }

  #packetV6(frame: number, end: number, from: L3Interface, now: number): L3Interface | undefined {
    if (!from.discovery.isOn) {
      drop(from, "not_served");
      return undefined;
    }
    if (isOfLinkAlone() && this.#controlV6(from)) return undefined;
    if (!this.#isGood6(from)) return undefined;
    if (isAddressAt(from.linkLocal.bytes, view.destinationAt)) {
      this.#local(from);
      return undefined;
    }
    return this.#meet(this.plan.hop6(view.destinationAt), frame, end, from, now);
  }

  /** False for a source that is the switch's own, or nobody's. */
  #isGood6(from: L3Interface): boolean {
    const { sourceAt } = view;
    if (!isAddressAt(from.linkLocal.bytes, sourceAt) && this.plan.isSource6(sourceAt)) return true;
    drop(from, "martian");
    return false;
  }

  #meet(
    hop: Hop | undefined,
    frame: number,
    end: number,
    from: L3Interface,
    now: number,
  ): L3Interface | undefined {
    if (hop === undefined) {
      drop(from, "limit");
      return undefined;
    }
    if (hop.kind === "local") {
      this.#local(from);
      return undefined;
    }
    if (hop.kind === "refused") {
      drop(from, "martian");
      return undefined;
    }
    if (view.ttl <= 1) return this.#refuse("time_exceeded", from);
    if (hop.kind === "no_route") return this.#refuse("no_route", from);
    // RFC 4443 3.1, RFC 4007 9: on its own link it may go on.
    const isOfLink = view.version === 6 && isLinkLocalAt(view.sourceAt);
    if (isOfLink && hop.egress !== from) return this.#refuse("beyond_scope", from);
    const { mtu } = hop.egress;
    const isLong = view.ipEnd - view.ipAt > mtu;
    if (isLong && view.mayNotFragment) return this.#refuse("too_big", from, mtu);
    this.#countHop();
    const { egress, neighbor } = hop;
    const table = egress.neighbors(view.version);
    if (!neighbor.isUsable) {
      const packet = { bytes: PACKET_BYTES.slice(frame, end), from };
      if (!table.wait(neighbor, packet)) drop(from, "limit");
      return undefined;
    }
    if (now >= neighbor.checkAt) table.used(neighbor);
    if (isLong) {
      this.#cut(view, neighbor, egress);
      return undefined;
    }
    address(frame, neighbor, egress);
    return egress;
  }

  #local(from: L3Interface): void {
    const { reassembly, errors } = this.#deps;
    if (view.isFragment && !reassembly.receive(view)) return;
    answerLocal(view, from, this.#deps.tellsOfSilence() ? errors : undefined);
  }

  #countHop(): void {
    const { ipAt, version, ttl } = view;
    if (version === 4) countHopV4(ipAt, PACKET_VIEW.getInt32(ipAt + 8));
    else PACKET_BYTES[ipAt + 7] = ttl - 1;
  }

  #cut({ ipAt, ipEnd }: PacketView, neighbor: Neighbor, egress: L3Interface): void {
    if (!sendCut(egress, neighbor.mac, ipAt, ipEnd)) drop(egress, "outbox_full");
  }

  #refuse(fault: IcmpFault, from: L3Interface, word = 0, packet = view): undefined {
    drop(from, fault === "time_exceeded" ? "ttl_zero" : "not_served");
    const origin = originFor(packet, from);
    if (origin !== undefined) this.#deps.errors.about(packet, fault, origin, word);
    return undefined;
  }

  /* What has waited */

  /** The MAC is known: what waited for it goes. */
  resolved(egress: L3Interface, neighbor: Neighbor, waiting: readonly L3Packet[]): void {
    for (const { bytes, from } of waiting) {
      if (bytes.length - ETHERNET_HEADER_BYTES > egress.mtu)
        this.#sendLong(bytes, neighbor, egress, from);
      else this.#enqueue(bytes, neighbor, egress, from);
    }
  }

  #enqueue(bytes: Uint8Array, neighbor: Neighbor, egress: L3Interface, from: L3Interface): void {
    const { queue } = this.#deps;
    const at = queue.begin(SIZE_BYTES + bytes.length);
    if (at < 0) return drop(from, "limit");
    PACKET_VIEW.setUint32(at, bytes.length);
    PACKET_BYTES.set(bytes, at + SIZE_BYTES);
    address(at + SIZE_BYTES, neighbor, egress);
    queue.send(egress.sink, at, at + SIZE_BYTES + bytes.length, 1);
  }

  /** What is longer than the MTU may be cut, or it waited while a reload made that smaller. */
  #sendLong(bytes: Uint8Array, neighbor: Neighbor, egress: L3Interface, from: L3Interface): void {
    PACKET_BYTES.set(bytes, quoteAt);
    if (waited.aim(quoteAt, quoteAt + bytes.length) !== undefined) return;
    const isLong = waited.ipEnd - waited.ipAt > egress.mtu;
    if (isLong && waited.mayNotFragment) this.#refuse("too_big", from, egress.mtu, waited);
    else this.#cut(waited, neighbor, egress);
  }

  /** Nobody has answered: those who sent packets there are told. */
  failed(waiting: readonly L3Packet[]): void {
    for (const { bytes, from } of waiting) {
      drop(from, "not_served");
      if (!this.#deps.tellsOfSilence()) continue;
      PACKET_BYTES.set(bytes, quoteAt);
      if (waited.aim(quoteAt, quoteAt + bytes.length) !== undefined) continue;
      const origin = originFor(waited, from);
      if (origin !== undefined) this.#deps.errors.about(waited, "host_unreachable", origin);
    }
  }

  /* Neighbour discovery */

  /** True if the message was one about neighbours, routers and listeners. */
  #controlV6(from: L3Interface): boolean {
    switch (PACKET_BYTES[view.l4At]) {
      case NEIGHBOR_SOLICITATION:
      case NEIGHBOR_ADVERTISEMENT:
        from.discovery.receive(view);
        return true;
      case MLD_QUERY:
        if (!this.#deps.queried(from, view)) drop(from, "header");
        return true;
      case ROUTER_SOLICITATION:
        this.#routerSolicited(from);
        return true;
      case ROUTER_ADVERTISEMENT:
        // Of another router, which is its right; this one has its routes by configuration.
        return true;
      case ICMPV6_TYPE.REDIRECT:
        drop(from, "router_spoof");
        return true;
      default:
        return false;
    }
  }

  #routerSolicited(from: L3Interface): void {
    const asked = tryParseRouterSolicitation(PACKET_BYTES.subarray(view.ipAt, view.ipEnd));
    if (asked === undefined) return drop(from, "header");
    this.#deps.solicited(from, asked.source, readMac(PACKET_BYTES, view.frameAt + 6));
  }
}

/** Neighbours, routers and listeners are told of by messages that no router has passed on (RFC 4861 6.1, RFC 3810 5). */
function isOfLinkAlone(): boolean {
  if (view.protocol !== ICMPV6 || view.isFragment) return false;
  if (view.ttl === LINK_HOP_LIMIT) return true;
  return view.ttl === 1 && PACKET_BYTES[view.l4At] === MLD_QUERY && isLinkLocalAt(view.sourceAt);
}

/** Errors come from the interface by which the packet came in (RFC 1812 4.3.2.4). */
function originFor(packet: PacketView, from: L3Interface): IcmpOrigin | undefined {
  const { version, sourceAt, addressBytes } = packet;
  const sender: IpAddress = {
    family: version,
    bytes: PACKET_BYTES.subarray(sourceAt, sourceAt + addressBytes),
  };
  const own = from.addressFor(sender);
  return own === undefined ? undefined : { link: from, address: own };
}

function drop(from: L3Interface, reason: HostDropReason): void {
  from.drops[reason] += 1;
}
