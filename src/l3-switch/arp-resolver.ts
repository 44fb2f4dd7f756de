// ARP of one interface (RFC 826, RFC 5227): what it asks, answers and believes.
import type { Clock } from "../base/clock.ts";
import { type Ipv4, type Net, netContains, readIpv4, ipv4Address } from "../base/ip.ts";
import { NEIGHBOR_DEFEND_MS } from "../base/limits.ts";
import { isGroupMac, MAC_BROADCAST, MAC_ZERO, type MacAddress, readMac } from "../base/mac.ts";
import { sendArp } from "../ip-host/arp-sender.ts";
import type { HostDrops } from "../ip-host/host-drops.ts";
import type { HostLink } from "../ip-host/link.ts";
import {
  addressKey,
  type Neighbor,
  type NeighborEvents,
  NeighborTable,
  type WaitingPacket,
  type WaitingRoom,
} from "../ip-host/neighbors.ts";
import { PACKET_BYTES } from "../platform/packet-memory.ts";
import { ARP_OPERATION, type ArpPacket, tryParseArp } from "../wire/arp.ts";

export class ArpResolver<P extends WaitingPacket> {
  readonly table: NeighborTable<P>;
  readonly #link: HostLink;
  /** Own addresses, with the networks that they are in. */
  readonly #addresses: readonly Net[];
  readonly #own: ReadonlySet<string>;
  readonly #clock: Clock;
  readonly #drops: HostDrops;
  #defendedAt = -Infinity;

  constructor(
    link: HostLink & { readonly addresses: readonly Net[] },
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
    this.#addresses = link.addresses.filter(({ family }) => family === 4);
    this.#own = new Set(this.#addresses.map(({ bytes }) => addressKey(bytes, 0, bytes.length)));
    this.table = new NeighborTable(clock, { ...events, ask: (...who) => this.#ask(...who) }, room);
  }

  /** False: the interface has no IPv4 at all. */
  get isOn(): boolean {
    return this.#addresses.length > 0;
  }

  /** Tells everybody who has the interface's addresses (RFC 5227 2.3). */
  announce(): void {
    for (const { bytes } of this.#addresses) this.#announce(readIpv4(bytes, 0));
  }

  /** ARP from `at` to `end` of packet memory, in the frame at `frameAt`. */
  receive(frameAt: number, at: number, end: number): void {
    const packet = tryParseArp(PACKET_BYTES, at, end);
    if (packet === undefined) return this.#drop("header");
    const { senderMac, senderIp, targetIp, operation } = packet;
    // Who speaks for another station is not believed (hub.md 12.2).
    if (senderMac !== readMac(PACKET_BYTES, frameAt + 6)) return this.#drop("arp_spoof");
    if (isGroupMac(senderMac) || senderMac === MAC_ZERO) return this.#drop("martian");
    const isProbe = senderIp === 0;
    if (!isProbe && this.#isOwn(senderIp)) return this.#defend(senderIp);
    if (!isProbe && !this.#isNear(senderIp)) return this.#drop("martian");
    if (operation === ARP_OPERATION.REPLY) return this.#heardReply(packet);
    if (!this.#isOwn(targetIp)) {
      // Of a question to others only what contradicts is worth a thought (RFC 5227 2.3: an announcement).
      if (!isProbe && senderIp === targetIp) this.table.claimed(keyOf(senderIp), senderMac);
      return;
    }
    if (!isProbe) this.table.heard(ipv4Address(senderIp), senderMac);
    this.#sendArp(senderMac, {
      operation: ARP_OPERATION.REPLY,
      senderIp: targetIp,
      targetMac: senderMac,
      targetIp: senderIp,
    });
  }

  #heardReply({ senderIp, senderMac }: ArpPacket): void {
    const key = keyOf(senderIp);
    if (this.table.answered(key, senderMac)) return;
    const known = this.table.find(key);
    if (known?.isUsable === true && known.mac === senderMac) return;
    this.#drop("arp_spoof");
    this.table.claimed(key, senderMac);
  }

  /** Another station has one of our addresses: everybody is told who has it, at most so often (RFC 5227 2.4 c). */
  #defend(address: Ipv4): void {
    this.#drop("arp_spoof");
    const now = this.#clock.now();
    if (now - this.#defendedAt < NEIGHBOR_DEFEND_MS) return;
    this.#defendedAt = now;
    this.#announce(address);
  }

  #announce(address: Ipv4): void {
    this.#sendArp(MAC_BROADCAST, {
      operation: ARP_OPERATION.REQUEST,
      senderIp: address,
      targetMac: MAC_ZERO,
      targetIp: address,
    });
  }

  #ask({ address }: Neighbor<P>, to: MacAddress | undefined): void {
    const near = this.#addresses.find((own) => netContains(own, address));
    if (near === undefined) return;
    this.#sendArp(to ?? MAC_BROADCAST, {
      operation: ARP_OPERATION.REQUEST,
      senderIp: readIpv4(near.bytes, 0),
      targetMac: MAC_ZERO,
      targetIp: readIpv4(address.bytes, 0),
    });
  }

  #sendArp(to: MacAddress, packet: Omit<ArpPacket, "senderMac">): void {
    sendArp(this.#link, { ...packet, senderMac: this.#link.mac, to });
  }

  #isOwn(address: Ipv4): boolean {
    return this.#own.has(keyOf(address));
  }

  #isNear(address: Ipv4): boolean {
    const asked = ipv4Address(address);
    return this.#addresses.some((own) => netContains(own, asked));
  }

  #drop(reason: keyof HostDrops): void {
    this.#drops[reason] += 1;
  }
}

function keyOf(address: Ipv4): string {
  return addressKey(ipv4Address(address).bytes, 0, 4);
}
