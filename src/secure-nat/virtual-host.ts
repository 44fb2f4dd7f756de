// The host that SecureNAT puts into the network: answers to its own addresses, and hands the rest to its way out
// (hub.md 11.2).
import type { Clock } from "../base/clock.ts";
import {
  formatIpv4,
  type IpAddress,
  type Ipv4,
  maskOfPrefix,
  readIpv4,
  ipv4Address,
} from "../base/ip.ts";
import { type MacAddress, formatMac, MAC_BROADCAST, MAC_ZERO, readMac } from "../base/mac.ts";
import { GroupAnswers } from "../ip-host/group-answers.ts";
import type { HostDrops } from "../ip-host/host-drops.ts";
import type { IcmpErrors } from "../ip-host/icmp-error.ts";
import { ALL_NODES } from "../ip-host/ipv6-address.ts";
import type { HostLink } from "../ip-host/link.ts";
import { isAddressAt, isLinkLocalAt, readAddress } from "../ip-host/packet-address.ts";
import type { PacketView } from "../ip-host/packet-view.ts";
import type { PacketHandler } from "../ip-host/software-port.ts";
import { sendPacket } from "../ip-host/send-packet.ts";
import type { Reassembly } from "../ip-host/reassembly.ts";
import type { Log } from "../observe/log.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../platform/packet-memory.ts";
import { ARP_OPERATION, tryParseArp } from "../wire/arp.ts";
import { DHCP_PORT } from "../wire/dhcp.ts";
import { ICMP_HEADER_BYTES, ICMP_TYPE, ICMPV6_TYPE } from "../wire/icmp.ts";
import { IP_PROTOCOL } from "../wire/ipv4.ts";
import { ICMPV6 } from "../wire/router-advertisement.ts";
import { AddressProbes } from "./address-probe.ts";
import { sendArp } from "../ip-host/arp-sender.ts";
import { readUdp, sendUdp } from "./datagram.ts";
import type { Nat } from "./nat.ts";

export const DNS_PORT = 53;
const DHCPV6_SERVER_PORT = 547;
/** What the reference answers with; an IPv6 host uses the usual limit (RFC 4861 6.3.2). */
export const HOST_TTL = { 4: 128, 6: 64 } as const;
/** Of the host's network of IPv6. */
const PREFIX_BYTES = 8;

/** Who the host is. A change of any of these is a new host. */
export interface HostAddresses {
  readonly v4: Ipv4;
  readonly prefix: number;
  /** Undefined where IPv6 is off: 16 octets each, and the /64 of the second. */
  readonly v6: { readonly linkLocal: Uint8Array; readonly global: Uint8Array } | undefined;
}

/** What the host serves. Where one is missing, nobody is at its port. */
export interface HostServices {
  readonly dhcp:
    | {
        receive(
          bytes: Uint8Array,
          from: {
            readonly mac: MacAddress;
            readonly sourceIp: Ipv4;
            readonly sourcePort: number;
          },
        ): void;
      }
    | undefined;
  readonly dns: {
    ask(
      question: Uint8Array,
      from: { readonly address: IpAddress; readonly port: number },
      answer: (bytes: Uint8Array) => void,
    ): void;
  };
  readonly ipv6:
    | {
        /** Neighbour and router discovery; false for what is none of it. */
        receiveIcmp(packet: PacketView): boolean;
        /** A datagram to port 547. */
        receiveDhcp(packet: PacketView): void;
      }
    | undefined;
  /** Without one, only the host itself can be reached. */
  readonly nat: Nat | undefined;
  /** What those who want to go out without one are told: that there is no way, or, of TCP alone, a reset. */
  readonly withoutNat: "no_route" | "reset";
  /** Carries questions by TCP: flows to the host's own port go to a resolver. */
  readonly dnsStreams: Nat | undefined;
}

export interface VirtualHostDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly hub: string;
  readonly link: HostLink;
  readonly addresses: HostAddresses;
  readonly drops: HostDrops;
  readonly icmp: IcmpErrors;
  readonly reassembly: Reassembly;
  readonly services: HostServices;
  /** Answers a TCP segment that belongs to nothing. */
  reset(packet: PacketView): void;
  /** Improvements of `nat-errors` are switched off. */
  readonly isPlain: boolean;
  /** All packets of an event were looked at. */
  handled(): void;
}

/** Dispatches what comes to SecureNAT's port. */
export class VirtualHost implements PacketHandler {
  readonly #deps: VirtualHostDeps;
  readonly #v4: IpAddress;
  readonly #mask: Ipv4;
  readonly #probes: AddressProbes;
  readonly #groupAnswers: GroupAnswers;
  #spoofedAt = -Infinity;

  constructor(deps: VirtualHostDeps) {
    this.#deps = deps;
    this.#v4 = ipv4Address(deps.addresses.v4);
    this.#mask = maskOfPrefix(deps.addresses.prefix);
    this.#probes = new AddressProbes(deps.clock, deps.link);
    this.#groupAnswers = new GroupAnswers(deps.clock);
  }

  get mac(): MacAddress {
    return this.#deps.link.mac;
  }

  /** Whether somebody in the network has this address, as far as an ARP probe finds out in `ms` (RFC 5227). */
  probe(address: Ipv4, ms: number, done: (owner: MacAddress | undefined) => void): void {
    this.#probes.probe(address, ms, done);
  }

  /** Tells everybody, so that those who knew another MAC forget it (RFC 5227 2.3). */
  announce(): void {
    const { addresses, link } = this.#deps;
    sendArp(link, {
      operation: ARP_OPERATION.REQUEST,
      senderMac: link.mac,
      senderIp: addresses.v4,
      targetMac: MAC_ZERO,
      targetIp: addresses.v4,
      to: MAC_BROADCAST,
    });
  }

  /** Forgets probes that go on. */
  close(): void {
    this.#probes.close();
  }

  handled(): void {
    const { nat, dnsStreams } = this.#deps.services;
    nat?.handled();
    if (dnsStreams !== nat) dnsStreams?.handled();
    this.#deps.handled();
  }

  /* ARP */

  arp(_frameAt: number, at: number, end: number): void {
    const { addresses, drops, link } = this.#deps;
    const arp = tryParseArp(PACKET_BYTES, at, end);
    if (arp === undefined) return void (drops.header += 1);
    if (arp.senderMac === link.mac) return;
    this.#probes.heard(arp);
    if (arp.senderIp === addresses.v4) return this.#spoofed(arp.senderMac);
    this.#deps.services.nat?.heard?.(arp.senderIp, arp.senderMac);
    if (arp.operation !== ARP_OPERATION.REQUEST || arp.targetIp !== addresses.v4) return;
    sendArp(link, {
      operation: ARP_OPERATION.REPLY,
      senderMac: link.mac,
      senderIp: addresses.v4,
      targetMac: arp.senderMac,
      targetIp: arp.senderIp,
    });
  }

  /** Somebody says that the host's address is his. Others must not believe it, so they are told again (RFC 5227 2.4). */
  #spoofed(mac: MacAddress): void {
    const { addresses, clock, drops, hub, log } = this.#deps;
    drops.arp_spoof += 1;
    const now = clock.now();
    if (now - this.#spoofedAt < DEFEND_INTERVAL_MS) return;
    this.#spoofedAt = now;
    const text = `${formatMac(mac)} in hub ${hub} claims ${formatIpv4(addresses.v4)}, the address of SecureNAT`;
    log.warn("nat_address_conflict", text, { hub, mac: formatMac(mac) });
    this.announce();
  }

  /* IP */

  packet(packet: PacketView): void {
    if (packet.version === 4) this.#packetV4(packet);
    else this.#packetV6(packet);
  }

  #packetV4(packet: PacketView): void {
    const { addresses, drops } = this.#deps;
    const source = readIpv4(PACKET_BYTES, packet.sourceAt);
    const destination = readIpv4(PACKET_BYTES, packet.destinationAt);
    const host = addresses.v4;
    const network = (host & this.#mask) >>> 0;
    const broadcast = (host | ~this.#mask) >>> 0;
    if (source === host || source === broadcast) return void (drops.martian += 1);
    const isBroadcast = destination === broadcast || destination === 0xffff_ffff;
    if ((destination === host || isBroadcast) && !this.#putTogether(packet)) return;
    if (destination === host) return this.#localV4(packet);
    if (isBroadcast) {
      if (isDatagramTo(packet, DHCP_PORT.SERVER)) this.#dhcp(packet);
      else drops.not_served += 1;
      return;
    }
    const isGroupFrame = (PACKET_BYTES[packet.frameAt]! & 1) === 1;
    const isInside = (destination & this.#mask) >>> 0 === network;
    if (isGroupFrame || isInside || destination >>> 28 === 14 || source === 0) {
      drops.not_served += 1;
      return;
    }
    this.#forward(packet, this.#v4);
  }

  #packetV6(packet: PacketView): void {
    const { addresses, drops, services } = this.#deps;
    const own = addresses.v6;
    if (own === undefined || services.ipv6 === undefined) return void (drops.not_served += 1);
    const { sourceAt, destinationAt } = packet;
    if (isAddressAt(own.linkLocal, sourceAt) || isAddressAt(own.global, sourceAt)) {
      drops.martian += 1;
      return;
    }
    const isOurs =
      isAddressAt(own.linkLocal, destinationAt) || isAddressAt(own.global, destinationAt);
    const isGroup = PACKET_BYTES[destinationAt] === 0xff;
    if ((isOurs || isGroup) && !this.#putTogether(packet)) return;
    if (isOurs) return this.#localV6(packet);
    if (isGroup) {
      if (isDatagramTo(packet, DHCPV6_SERVER_PORT)) services.ipv6.receiveDhcp(packet);
      else if (packet.protocol !== ICMPV6) drops.not_served += 1;
      else if (!services.ipv6.receiveIcmp(packet)) this.#groupIcmp(packet, own);
      return;
    }
    const isGroupFrame = (PACKET_BYTES[packet.frameAt]! & 1) === 1;
    const isInside = isAddressAt(own.global.subarray(0, PREFIX_BYTES), destinationAt);
    // Link-local addresses do not leave their link, nor does who has no address yet (RFC 4291 2.5.2, 2.5.6).
    const isLink = isLinkLocalAt(sourceAt) || isLinkLocalAt(destinationAt);
    const isNobody = isAddressAt(UNSPECIFIED, sourceAt);
    if (isGroupFrame || isInside || isLink || isNobody) return void (drops.not_served += 1);
    this.#forward(packet, { family: 6, bytes: own.global });
  }

  /** False while parts of the packet are missing. */
  #putTogether(packet: PacketView): boolean {
    return !packet.isFragment || this.#deps.reassembly.receive(packet);
  }

  #forward(packet: PacketView, from: IpAddress): void {
    const { drops, icmp, link, services } = this.#deps;
    const { nat } = services;
    if (nat === undefined) {
      drops.not_served += 1;
      if (services.withoutNat === "no_route")
        icmp.about(packet, "no_route", { link, address: from });
      else if (packet.protocol === IP_PROTOCOL.TCP && !packet.isFragment) this.#deps.reset(packet);
    } else if (packet.ttl <= 1) {
      icmp.about(packet, "time_exceeded", { link, address: from });
    } else if (nat.takesFragments === true || this.#putTogether(packet)) nat.receive(packet);
  }

  /* To the host itself */

  #localV4(packet: PacketView): void {
    const { drops } = this.#deps;
    if (packet.protocol === IP_PROTOCOL.ICMP) {
      if (packet.l4At + ICMP_HEADER_BYTES > packet.ipEnd) return void (drops.header += 1);
      if (!packet.hasRightPlainSum) return void (drops.checksum += 1);
      if (PACKET_BYTES[packet.l4At] === ICMP_TYPE.ECHO_REQUEST) this.#echo(packet, this.#v4);
      else drops.not_served += 1;
    } else this.#local(packet, this.#v4);
  }

  #localV6(packet: PacketView): void {
    const { services } = this.#deps;
    const address = readAddress(packet.destinationAt, 6);
    if (packet.protocol === ICMPV6) {
      if (services.ipv6?.receiveIcmp(packet) !== true) this.#icmpV6(packet, address);
    } else if (isDatagramTo(packet, DHCPV6_SERVER_PORT)) services.ipv6?.receiveDhcp(packet);
    else this.#local(packet, address);
  }

  #icmpV6(packet: PacketView, from: IpAddress): void {
    const { drops } = this.#deps;
    if (packet.l4At + ICMP_HEADER_BYTES > packet.ipEnd) return void (drops.header += 1);
    if (!packet.hasRightSum) return void (drops.checksum += 1);
    if (PACKET_BYTES[packet.l4At] === ICMPV6_TYPE.ECHO_REQUEST) this.#echo(packet, from);
    else drops.not_served += 1;
  }

  /** To all nodes: those who ask who is there hear of the address that is of their scope (RFC 4443 4.2, RFC 6724 5). */
  #groupIcmp(packet: PacketView, own: NonNullable<HostAddresses["v6"]>): void {
    const { drops } = this.#deps;
    const { destinationAt, frameAt, sourceAt } = packet;
    const isEcho = PACKET_BYTES[packet.l4At] === ICMPV6_TYPE.ECHO_REQUEST;
    if (!isEcho || !isAddressAt(ALL_NODES, destinationAt) || isAddressAt(UNSPECIFIED, sourceAt))
      return void (drops.not_served += 1);
    if (!this.#groupAnswers.take(readMac(PACKET_BYTES, frameAt + 6)))
      return void (drops.limit += 1);
    const bytes = isLinkLocalAt(sourceAt) ? own.linkLocal : own.global;
    this.#icmpV6(packet, { family: 6, bytes });
  }

  #local(packet: PacketView, address: IpAddress): void {
    const { services, drops, isPlain, icmp, link } = this.#deps;
    if (packet.protocol === IP_PROTOCOL.TCP) {
      const isDns =
        packet.l4At + 4 <= packet.ipEnd && PACKET_VIEW.getUint16(packet.l4At + 2) === DNS_PORT;
      if (isDns && services.dnsStreams !== undefined) services.dnsStreams.receive(packet);
      else this.#deps.reset(packet);
    } else if (packet.version === 4 && isDatagramTo(packet, DHCP_PORT.SERVER)) this.#dhcp(packet);
    else if (isDatagramTo(packet, DNS_PORT)) this.#dns(packet, address);
    else {
      drops.not_served += 1;
      if (isPlain) return;
      const fault =
        packet.protocol === IP_PROTOCOL.UDP ? "port_unreachable" : "protocol_unreachable";
      icmp.about(packet, fault, { link, address });
    }
  }

  /** The same packet back, with the type of a reply. */
  #echo(packet: PacketView, source: IpAddress): void {
    const { l4At, ipEnd, version } = packet;
    PACKET_BYTES[l4At] = version === 4 ? ICMP_TYPE.ECHO_REPLY : ICMPV6_TYPE.ECHO_REPLY;
    sendPacket(
      this.#deps.link,
      readMac(PACKET_BYTES, packet.frameAt + 6),
      {
        source,
        destination: readAddress(packet.sourceAt, version),
        protocol: packet.protocol,
        ttl: HOST_TTL[version],
      },
      { at: l4At, bytes: ipEnd - l4At, sum: version === 4 ? "plain" : "pseudo" },
    );
  }

  #dhcp(packet: PacketView): void {
    const datagram = readUdp(packet, this.#deps.drops);
    if (datagram === undefined) return;
    this.#deps.services.dhcp?.receive(datagram.payload, {
      mac: readMac(PACKET_BYTES, packet.frameAt + 6),
      sourceIp: readIpv4(PACKET_BYTES, packet.sourceAt),
      sourcePort: datagram.sourcePort,
    });
  }

  #dns(packet: PacketView, address: IpAddress): void {
    const { link, services, drops } = this.#deps;
    const datagram = readUdp(packet, drops);
    if (datagram === undefined) return;
    const mac = readMac(PACKET_BYTES, packet.frameAt + 6);
    const guest = readAddress(packet.sourceAt, packet.version);
    const { sourcePort } = datagram;
    services.dns.ask(datagram.payload, { address: guest, port: sourcePort }, (bytes) =>
      sendUdp(link, mac, {
        source: address,
        sourcePort: DNS_PORT,
        destination: guest,
        destinationPort: sourcePort,
        ttl: HOST_TTL[guest.family],
        payload: bytes,
      }),
    );
  }
}

const UNSPECIFIED = new Uint8Array(16);
/** RFC 5227 2.4 c. */
const DEFEND_INTERVAL_MS = 10_000;

function isDatagramTo(packet: PacketView, port: number): boolean {
  return (
    packet.protocol === IP_PROTOCOL.UDP &&
    packet.l4At + 8 <= packet.ipEnd &&
    PACKET_VIEW.getUint16(packet.l4At + 2) === port
  );
}
