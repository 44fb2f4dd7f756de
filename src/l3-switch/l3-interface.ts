import type { Clock } from "../base/clock.ts";
import { type IpAddress, type Net, netContains } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";
import type { CloseReason, FrameRun, FrameSink, Port } from "../hub/port.ts";
import { GroupAnswers } from "../ip-host/group-answers.ts";
import { type HostDrops, noHostDrops } from "../ip-host/host-drops.ts";
import { isLinkLocal, linkLocalOf } from "../ip-host/ipv6-address.ts";
import type {
  NeighborEvents,
  NeighborTable,
  WaitingPacket,
  WaitingRoom,
} from "../ip-host/neighbors.ts";
import { outbox } from "../ip-host/outbox.ts";
import { ArpResolver } from "./arp-resolver.ts";
import { interfaceMac } from "./link-address.ts";
import { NeighborDiscovery } from "./neighbor-discovery.ts";

/** A packet that waits for the MAC of its next hop: its frame, with the hop counted already. */
export interface L3Packet extends WaitingPacket {
  /** Where it came in: its sender is told there if it cannot go on. */
  readonly from: L3Interface;
}

/** What the switch does with what comes in by its interfaces. */
export interface InterfaceOwner {
  /** Frames that a hub hands out; the run is borrowed. */
  receive(run: FrameRun, from: L3Interface): void;
  /** The event is over: what was routed may go. */
  flush(): void;
  /** The hub has let go of the interface. */
  closed(from: L3Interface): void;
}

const NOWHERE: FrameSink = {
  deliver: () => undefined,
  flush: () => undefined,
  ready: true,
  onReady: undefined,
};

/** One leg of a layer 3 switch: a port of a hub with addresses of its own. */
export class L3Interface implements Port {
  readonly name: string;
  readonly hub: string;
  readonly addresses: readonly Net[];
  readonly mac: MacAddress;
  /** The octets of the MAC as the frame path compares and writes them: 4 and 2 of a destination, 2 and 4 of a source. */
  readonly macHigh: number;
  readonly macLow: number;
  readonly sourceHigh: number;
  readonly sourceLow: number;
  readonly linkLocal: IpAddress;
  readonly arp: ArpResolver<L3Packet>;
  readonly discovery: NeighborDiscovery<L3Packet>;
  readonly groupAnswers: GroupAnswers;
  readonly drops: HostDrops = noHostDrops();
  readonly ready = true;
  /** Never called: the port is always ready. */
  onReady: (() => void) | undefined;
  mtu: number;
  sink: FrameSink = NOWHERE;
  readonly #owner: InterfaceOwner;
  #isClosed = false;

  constructor(
    of: {
      /** Of the switch, as written. */
      readonly name: string;
      readonly hub: string;
      readonly addresses: readonly Net[];
      readonly mtu: number;
    },
    deps: {
      readonly clock: Clock;
      readonly room: WaitingRoom;
      readonly owner: InterfaceOwner;
      readonly events: Omit<NeighborEvents<L3Packet>, "ask" | "resolved"> & {
        resolved(
          egress: L3Interface,
          ...what: Parameters<NeighborEvents<L3Packet>["resolved"]>
        ): void;
      };
    },
  ) {
    const { name, hub, addresses, mtu } = of;
    const { clock, room, owner, events } = deps;
    this.name = `${name}/${hub}`;
    this.hub = hub;
    this.addresses = addresses;
    this.mtu = mtu;
    this.#owner = owner;
    const first = addresses.find(({ family }) => family === 4) ?? addresses[0]!;
    this.mac = interfaceMac({ name, hub, address: first });
    const low = this.mac % 0x1_0000_0000;
    this.macHigh = Math.floor(this.mac / 0x1_0000) | 0;
    this.macLow = low & 0xffff;
    this.sourceHigh = Math.floor(this.mac / 0x1_0000_0000);
    this.sourceLow = low | 0;
    this.linkLocal = { family: 6, bytes: linkLocalOf(this.mac) };
    this.groupAnswers = new GroupAnswers(clock);
    const { failed, timed } = events;
    const resolving = {
      clock,
      drops: this.drops,
      room,
      events: {
        failed,
        timed,
        resolved: (...what: Parameters<NeighborEvents<L3Packet>["resolved"]>) =>
          events.resolved(this, ...what),
      },
    };
    this.arp = new ArpResolver(this, resolving);
    this.discovery = new NeighborDiscovery(this, resolving);
  }

  /** Who is there, by family. */
  neighbors(family: 4 | 6): NeighborTable<L3Packet> {
    return family === 4 ? this.arp.table : this.discovery.table;
  }

  /**
   * Which address speaks to somebody on this side: the one in his network, else the first of the family. Whoever has
   * an address of the link alone hears from one of the same scope (RFC 6724 5, rule 2).
   */
  addressFor(peer: IpAddress): IpAddress | undefined {
    if (peer.family === 6 && isLinkLocal(peer.bytes)) return this.linkLocal;
    const own = this.addresses.filter(({ family }) => family === peer.family);
    return own.find((net) => netContains(net, peer)) ?? own[0];
  }

  plug(into: FrameSink): void {
    this.sink = into;
  }

  deliver(run: FrameRun): void {
    if (this.#isClosed) this.drops.port_closed += run.count;
    else this.#owner.receive(run, this);
  }

  flush(): void {
    if (!this.#isClosed) this.#owner.flush();
    outbox.drain();
  }

  /** Says where it is, so that hubs and hosts know from the start. */
  announce(): void {
    this.arp.announce();
    this.discovery.announce();
  }

  /** By the hub, or by the switch. May be called twice. */
  close(_reason: CloseReason): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.sink = NOWHERE;
    this.arp.table.clear();
    this.discovery.table.clear();
    this.#owner.closed(this);
  }
}
