// Neighbour discovery of one interface (RFC 4861 7): what it asks, answers and believes.
import type { Clock } from "../base/clock.ts";
import { type IpAddress, type Net, netContains } from "../base/ip.ts";
import { isGroupMac, type MacAddress, readMac } from "../base/mac.ts";
import type { GroupAnswers } from "../ip-host/group-answers.ts";
import type { HostDrops } from "../ip-host/host-drops.ts";
import {
  ALL_NODES,
  groupMacOf,
  isLinkLocal,
  isUnspecified,
  solicitedNodeOf,
} from "../ip-host/ipv6-address.ts";
import type { HostLink } from "../ip-host/link.ts";
import {
  addressKey,
  type Neighbor,
  type NeighborEvents,
  NeighborTable,
  type WaitingPacket,
  type WaitingRoom,
} from "../ip-host/neighbors.ts";
import { outbox } from "../ip-host/outbox.ts";
import type { PacketView } from "../ip-host/packet-view.ts";
import { PACKET_BYTES } from "../platform/packet-memory.ts";
import { ETHER_TYPE } from "../wire/ethernet.ts";
import {
  encodeNeighborAdvertisement,
  encodeNeighborSolicitation,
  NEIGHBOR_SOLICITATION,
  tryParseNeighborAdvertisement,
  tryParseNeighborSolicitation,
} from "../wire/neighbor-discovery.ts";

export interface DiscoveryLink extends HostLink {
  readonly addresses: readonly Net[];
  readonly linkLocal: IpAddress;
  readonly groupAnswers: GroupAnswers;
}

export class NeighborDiscovery<P extends WaitingPacket> {
  readonly table: NeighborTable<P>;
  readonly #link: DiscoveryLink;
  /** Own addresses, with the networks that they are in; the link-local one apart. */
  readonly #addresses: readonly Net[];
  readonly #own: ReadonlySet<string>;
  readonly #drops: HostDrops;

  constructor(
    link: DiscoveryLink,
    deps: {
      readonly clock: Clock;
      readonly drops: HostDrops;
      readonly room: WaitingRoom;
      readonly events: Omit<NeighborEvents<P>, "ask">;
    },
  ) {
    const { clock, drops, room, events } = deps;
    this.#link = link;
    this.#drops = drops;
    this.#addresses = link.addresses.filter(({ family }) => family === 6);
    this.#own = new Set(
      [...this.#addresses, link.linkLocal].map(({ bytes }) => addressKey(bytes, 0, bytes.length)),
    );
    this.table = new NeighborTable(clock, { ...events, ask: (...who) => this.#ask(...who) }, room);
  }

  /** False: the interface has no IPv6 at all. */
  get isOn(): boolean {
    return this.#addresses.length > 0;
  }

  /** Tells everybody who has the interface's addresses (RFC 4861 7.2.6). */
  announce(): void {
    for (const { bytes } of this.#addresses) {
      this.#advertise(bytes, ALL_NODES, groupMacOf(ALL_NODES), false);
    }
  }

  /** A solicitation or an advertisement. */
  receive(packet: PacketView): void {
    const bytes = PACKET_BYTES.subarray(packet.ipAt, packet.ipEnd);
    const from = readMac(PACKET_BYTES, packet.frameAt + 6);
    if (PACKET_BYTES[packet.l4At] === NEIGHBOR_SOLICITATION) this.#solicited(bytes, from);
    else this.#advertised(bytes, from);
  }

  #solicited(bytes: Uint8Array, from: MacAddress): void {
    const asked = tryParseNeighborSolicitation(bytes);
    if (asked === undefined) return this.#drop("header");
    const { source, target, mac } = asked;
    if (!this.#own.has(addressKey(target, 0, target.length))) return;
    if (isUnspecified(source)) {
      // Somebody is about to take the address: all are told who has it (RFC 4862 5.4.3).
      if (!this.#link.groupAnswers.take(from)) return this.#drop("limit");
      return this.#advertise(target, ALL_NODES, groupMacOf(ALL_NODES), false);
    }
    const asker: IpAddress = { family: 6, bytes: source };
    if (this.#own.has(addressKey(source, 0, source.length))) return this.#drop("martian");
    if (mac !== undefined && mac !== from) return this.#drop("arp_spoof");
    if (mac !== undefined && this.#isNear(asker)) this.table.heard(asker, mac);
    this.#advertise(target, source, from, true);
  }

  #advertised(bytes: Uint8Array, from: MacAddress): void {
    const told = tryParseNeighborAdvertisement(bytes);
    if (told === undefined) return this.#drop("header");
    const { target, mac = from, isSolicited } = told;
    const key = addressKey(target, 0, target.length);
    if (this.#own.has(key) || mac !== from || isGroupMac(mac)) return this.#drop("arp_spoof");
    if (isSolicited && this.table.answered(key, mac)) return;
    const known = this.table.find(key);
    if (known === undefined || (known.isUsable && known.mac === mac)) return;
    this.#drop("arp_spoof");
    this.table.claimed(key, mac);
  }

  #ask({ address }: Neighbor<P>, to: MacAddress | undefined): void {
    const group = solicitedNodeOf(address.bytes);
    const { linkLocal, mac } = this.#link;
    this.#send(
      to ?? groupMacOf(group),
      encodeNeighborSolicitation({
        source: linkLocal.bytes,
        destination: to === undefined ? group : address.bytes,
        target: address.bytes,
        mac,
      }),
    );
  }

  #advertise(target: Uint8Array, destination: Uint8Array, to: MacAddress, isSolicited: boolean) {
    const { mac } = this.#link;
    const source = target;
    this.#send(
      to,
      encodeNeighborAdvertisement({
        source,
        destination,
        target,
        mac,
        isSolicited,
        isRouter: true,
      }),
    );
  }

  #send(to: MacAddress, packet: Uint8Array): void {
    const at = outbox.begin(this.#link, to, ETHER_TYPE.IPV6, packet.length);
    if (at < 0) return;
    PACKET_BYTES.set(packet, at);
    outbox.end(packet.length);
  }

  #isNear(address: IpAddress): boolean {
    return isLinkLocal(address.bytes) || this.#addresses.some((own) => netContains(own, address));
  }

  #drop(reason: keyof HostDrops): void {
    this.#drops[reason] += 1;
  }
}
