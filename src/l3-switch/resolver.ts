// ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861) of one interface: what it asks, answers and believes.
import type { Clock } from "../base/clock.ts";
import {
  type IpAddress,
  type Ipv4,
  type Net,
  netContains,
  readIpv4,
  writeIpv4,
} from "../base/ip.ts";
import { NEIGHBOR_DEFEND_MS } from "../base/limits.ts";
import { isGroupMac, MAC_BROADCAST, MAC_ZERO, type MacAddress, readMac } from "../base/mac.ts";
import type { HostDrops } from "../ip-host/host-drops.ts";
import { ALL_NODES, groupMacOf, isLinkLocal, isUnspecified } from "../ip-host/ipv6-address.ts";
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
import { ARP_BYTES, ARP_OPERATION, type ArpPacket, encodeArp, tryParseArp } from "../wire/arp.ts";
import { ETHER_TYPE } from "../wire/ethernet.ts";
import {
  encodeNeighborAdvertisement,
  encodeNeighborSolicitation,
  NEIGHBOR_SOLICITATION,
  tryParseNeighborAdvertisement,
  tryParseNeighborSolicitation,
} from "../wire/neighbor-discovery.ts";
import { solicitedNode } from "./link-address.ts";

/** Whose addresses are resolved, and told. */
export interface ResolvedLink extends HostLink {
  readonly addresses: readonly Net[];
  readonly linkLocal: IpAddress;
}

export class Resolver<P extends WaitingPacket> {
  readonly #link: ResolvedLink;
  readonly #clock: Clock;
  readonly #drops: HostDrops;
  readonly #v4: NeighborTable<P>;
  readonly #v6: NeighborTable<P>;
  /** Keys of addresses that are the interface's own. */
  readonly #own: ReadonlySet<string>;
  #defendedAt = -Infinity;

  constructor(
    link: ResolvedLink,
    deps: {
      readonly clock: Clock;
      readonly drops: HostDrops;
      readonly room: WaitingRoom;
      readonly events: Omit<NeighborEvents<P>, "ask">;
    },
  ) {
    const { clock, drops, room, events } = deps;
    this.#link = link;
    this.#clock = clock;
    this.#drops = drops;
    const { resolved, failed, timed } = events;
    const common = { resolved, failed, timed };
    this.#v4 = new NeighborTable(clock, { ...common, ask: (...who) => this.#askV4(...who) }, room);
    this.#v6 = new NeighborTable(clock, { ...common, ask: (...who) => this.#askV6(...who) }, room);
    this.#own = new Set(
      [...link.addresses, link.linkLocal].map(({ bytes }) => addressKey(bytes, 0, bytes.length)),
    );
  }

  table(family: 4 | 6): NeighborTable<P> {
    return family === 4 ? this.#v4 : this.#v6;
  }

  get hasV6(): boolean {
    return this.#link.addresses.some(({ family }) => family === 6);
  }

  /** Tells everybody who has the interface's addresses (RFC 5227 2.3, RFC 4861 7.2.6). */
  announce(): void {
    for (const { family, bytes } of this.#link.addresses) {
      if (family === 4) this.#announceV4(readIpv4(bytes, 0));
      else this.#advertise(bytes, ALL_NODES, groupMacOf(ALL_NODES), false);
    }
  }

  /** All that was learnt is forgotten, and what waits is lost. */
  clear(): void {
    this.#v4.clear();
    this.#v6.clear();
  }

  /* ARP */

  /** ARP from `at` to `end` of packet memory, in the frame at `frameAt`. */
  arp(frameAt: number, at: number, end: number): void {
    const packet = tryParseArp(PACKET_BYTES, at, end);
    if (packet === undefined) return this.#drop("header");
    const { senderMac, senderIp, targetIp, operation } = packet;
    // Who speaks for another station is not believed (hub.md 12.2).
    if (senderMac !== readMac(PACKET_BYTES, frameAt + 6)) return this.#drop("arp_spoof");
    if (isGroupMac(senderMac) || senderMac === MAC_ZERO) return this.#drop("martian");
    const isProbe = senderIp === 0;
    if (!isProbe && this.#isOwnV4(senderIp)) return this.#defend(senderIp);
    if (!isProbe && !this.#isNear(senderIp)) return this.#drop("martian");
    if (operation === ARP_OPERATION.REPLY) return this.#heardReply(packet);
    if (!this.#isOwnV4(targetIp)) {
      // Of a question to others only what contradicts is worth a thought (RFC 5227 2.3: an announcement).
      if (!isProbe && senderIp === targetIp) this.#v4.claimed(keyOf(senderIp), senderMac);
      return;
    }
    if (!isProbe) this.#v4.heard(addressOf(senderIp), senderMac);
    this.#sendArp(senderMac, {
      operation: ARP_OPERATION.REPLY,
      senderIp: targetIp,
      targetMac: senderMac,
      targetIp: senderIp,
    });
  }

  #heardReply({ senderIp, senderMac }: ArpPacket): void {
    const key = keyOf(senderIp);
    if (this.#v4.answered(key, senderMac)) return;
    const known = this.#v4.find(key);
    if (known?.isUsable === true && known.mac === senderMac) return;
    this.#drop("arp_spoof");
    this.#v4.claimed(key, senderMac);
  }

  /** Another station has one of our addresses: everybody is told who has it, at most so often (RFC 5227 2.4 c). */
  #defend(address: Ipv4): void {
    this.#drop("arp_spoof");
    const now = this.#clock.now();
    if (now - this.#defendedAt < NEIGHBOR_DEFEND_MS) return;
    this.#defendedAt = now;
    this.#announceV4(address);
  }

  #announceV4(address: Ipv4): void {
    this.#sendArp(MAC_BROADCAST, {
      operation: ARP_OPERATION.REQUEST,
      senderIp: address,
      targetMac: MAC_ZERO,
      targetIp: address,
    });
  }

  #askV4({ address }: Neighbor<P>, to: MacAddress | undefined): void {
    const near = this.#link.addresses.find((own) => netContains(own, address));
    if (near === undefined) return;
    this.#sendArp(to ?? MAC_BROADCAST, {
      operation: ARP_OPERATION.REQUEST,
      senderIp: readIpv4(near.bytes, 0),
      targetMac: MAC_ZERO,
      targetIp: readIpv4(address.bytes, 0),
    });
  }

  #sendArp(to: MacAddress, packet: Omit<ArpPacket, "senderMac">): void {
    const at = outbox.begin(this.#link, to, ETHER_TYPE.ARP, ARP_BYTES);
    if (at < 0) return;
    PACKET_BYTES.set(encodeArp({ ...packet, senderMac: this.#link.mac }), at);
    outbox.end(ARP_BYTES);
  }

  #isOwnV4(address: Ipv4): boolean {
    return this.#own.has(keyOf(address));
  }

  #isNear(address: Ipv4): boolean {
    const asked = addressOf(address);
    return this.#link.addresses.some((own) => netContains(own, asked));
  }

  /* Neighbour discovery */

  /** A solicitation or an advertisement. */
  neighborMessage(packet: PacketView): void {
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
      return this.#advertise(target, ALL_NODES, groupMacOf(ALL_NODES), false);
    }
    const asker: IpAddress = { family: 6, bytes: source };
    if (this.#own.has(addressKey(source, 0, source.length))) return this.#drop("martian");
    if (mac !== undefined && mac !== from) return this.#drop("arp_spoof");
    if (mac !== undefined && this.#isNearV6(asker)) this.#v6.heard(asker, mac);
    this.#advertise(target, source, from, true);
  }

  #advertised(bytes: Uint8Array, from: MacAddress): void {
    const told = tryParseNeighborAdvertisement(bytes);
    if (told === undefined) return this.#drop("header");
    const { target, mac = from, isSolicited } = told;
    const key = addressKey(target, 0, target.length);
    if (this.#own.has(key) || mac !== from || isGroupMac(mac)) return this.#drop("arp_spoof");
    if (isSolicited && this.#v6.answered(key, mac)) return;
    const known = this.#v6.find(key);
    if (known === undefined || (known.isUsable && known.mac === mac)) return;
    this.#drop("arp_spoof");
    this.#v6.claimed(key, mac);
  }

  #askV6({ address }: Neighbor<P>, to: MacAddress | undefined): void {
    const group = solicitedNode(address.bytes);
    const { linkLocal, mac } = this.#link;
    this.#sendIpv6(
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
    this.#sendIpv6(
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

  #sendIpv6(to: MacAddress, packet: Uint8Array): void {
    const at = outbox.begin(this.#link, to, ETHER_TYPE.IPV6, packet.length);
    if (at < 0) return;
    PACKET_BYTES.set(packet, at);
    outbox.end(packet.length);
  }

  #isNearV6(address: IpAddress): boolean {
    return (
      isLinkLocal(address.bytes) || this.#link.addresses.some((own) => netContains(own, address))
    );
  }

  #drop(reason: keyof HostDrops): void {
    this.#drops[reason] += 1;
  }
}

function addressOf(address: Ipv4): IpAddress {
  const bytes = new Uint8Array(4);
  writeIpv4(bytes, 0, address);
  return { family: 4, bytes };
}

function keyOf(address: Ipv4): string {
  return addressKey(addressOf(address).bytes, 0, 4);
}
