// What the virtual host does for IPv6 besides carrying packets: it is found (ND), it is known as a router (RA), and it
// answers what hosts ask beyond that (DHCPv6).
import type { Clock } from "../../base/clock.ts";
import { type MacAddress, readMac } from "../../base/mac.ts";
import type { Random } from "../../base/random.ts";
import { GroupListener } from "../../ip-host/group-listener.ts";
import type { HostDrops } from "../../ip-host/host-drops.ts";
import { ALL_DHCP_SERVERS, ALL_ROUTERS, solicitedNodeOf } from "../../ip-host/ipv6-address.ts";
import type { HostLink } from "../../ip-host/link.ts";
import { outbox } from "../../ip-host/outbox.ts";
import type { PacketView } from "../../ip-host/packet-view.ts";
import { RouterAdvertiser, type RouterFacts } from "../../ip-host/router-advertiser.ts";
import type { Log } from "../../observe/log.ts";
import { PACKET_BYTES } from "../../platform/packet-memory.ts";
import { DHCPV6_PORT } from "../../wire/dhcpv6.ts";
import { tryEncodeDnsName } from "../../wire/dns.ts";
import { ETHER_TYPE } from "../../wire/ethernet.ts";
import { MLD_QUERY } from "../../wire/mld.ts";
import { NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION } from "../../wire/neighbor-discovery.ts";
import {
  ROUTER_SOLICITATION,
  tryParseRouterSolicitation,
} from "../../wire/router-advertisement.ts";
import { readUdp, sendUdp } from "../datagram.ts";
import { HOST_TTL } from "../virtual-host.ts";
import { type Dhcpv6Facts, Dhcpv6Server, type Dhcpv6Stats } from "./dhcpv6-server.ts";
import { NeighborResponder } from "./neighbor-responder.ts";
import type { WayOut } from "./way-out.ts";

const REDIRECT = 137;
const PREFIX_BITS = 64;

/** The host's addresses of IPv6. */
export interface HostIpv6 {
  readonly linkLocal: Uint8Array;
  readonly global: Uint8Array;
}

export interface Ipv6ServicesDeps {
  readonly hub: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly link: HostLink;
  readonly addresses: HostIpv6;
  /** "": none. */
  readonly domain: string;
  readonly drops: HostDrops;
  /** Without NAT nothing leads out through the host. */
  readonly hasNat: boolean;
  /** Opened by the services and closed with them: tells whether there is a way out, and of changes. */
  readonly watchWayOut: (onChange: () => void) => WayOut;
}

export interface Ipv6Stats {
  /** Advertisements to everybody and to one asker, and how often they were asked for. */
  readonly advertised: number;
  readonly advertisedToOne: number;
  readonly solicited: number;
  readonly dhcp: Readonly<Dhcpv6Stats>;
}

export class Ipv6Services {
  readonly #deps: Ipv6ServicesDeps;
  readonly #neighbors: NeighborResponder;
  readonly #advertiser: RouterAdvertiser;
  readonly #listener: GroupListener;
  readonly #wayOut: WayOut;
  #facts: RouterFacts & Dhcpv6Facts;
  #dhcp: Dhcpv6Server;

  /** Nothing is sent before `start`. */
  constructor(deps: Ipv6ServicesDeps) {
    const { addresses, clock, drops, hub, link, log, random } = deps;
    this.#deps = deps;
    this.#facts = this.#factsOf(deps.domain);
    this.#dhcp = new Dhcpv6Server(this.#facts);
    const send = (to: MacAddress, packet: Uint8Array) => this.#send(to, packet);
    this.#neighbors = new NeighborResponder({
      hub,
      clock,
      log,
      mac: link.mac,
      addresses: [addresses.linkLocal, addresses.global],
      drops,
      send,
    });
    this.#wayOut = deps.watchWayOut(() => this.#advertiser.changed());
    const factsNow = () => this.#facts;
    this.#advertiser = new RouterAdvertiser({
      clock,
      random,
      get facts() {
        return factsNow();
      },
      isDefaultRouter: () => this.isDefaultRouter,
      send,
      settled: () => outbox.drain(),
    });
    const { global, linkLocal } = addresses;
    this.#listener = new GroupListener({
      clock,
      random,
      linkLocal,
      groups: [ALL_ROUTERS, ALL_DHCP_SERVERS, solicitedNodeOf(linkLocal), solicitedNodeOf(global)],
      send,
      settled: () => outbox.drain(),
    });
  }

  get addresses(): HostIpv6 {
    return this.#deps.addresses;
  }

  isOwn(address: Uint8Array): boolean {
    const { linkLocal, global } = this.#deps.addresses;
    return [linkLocal, global].some((own) => Buffer.compare(own, address) === 0);
  }

  get stats(): Ipv6Stats {
    const { multicast, unicast, solicitations } = this.#advertiser.stats;
    return {
      advertised: multicast,
      advertisedToOne: unicast,
      solicited: solicitations,
      dhcp: { ...this.#dhcp.stats },
    };
  }

  /** Whether guests are told that it leads out: only while there is a way. */
  get isDefaultRouter(): boolean {
    return this.#deps.hasNat && this.#wayOut.exists;
  }

  /** The host is on its cable: everybody is told. */
  start(): void {
    this.#listener.start();
    this.#neighbors.announce();
    this.#advertiser.start();
    outbox.drain();
  }

  /** Another domain for hosts to search in. */
  reconfigure({ domain }: { readonly domain: string }): void {
    const next = this.#factsOf(domain);
    if (Bun.deepEquals(next.search, this.#facts.search)) return;
    this.#facts = next;
    const { stats } = this.#dhcp;
    this.#dhcp = new Dhcpv6Server(next);
    Object.assign(this.#dhcp.stats, stats);
    this.#advertiser.changed();
  }

  /** Neighbour and router discovery, and who listens to which group; false for what is none of it. */
  receiveIcmp(packet: PacketView): boolean {
    const { drops } = this.#deps;
    if (packet.l4At >= packet.ipEnd) return false;
    const type = PACKET_BYTES[packet.l4At]!;
    if (type === MLD_QUERY) {
      if (!this.#listener.queried(packet)) drops.header += 1;
      return true;
    }
    if (type < ROUTER_SOLICITATION || type > REDIRECT) return false;
    const from = readMac(PACKET_BYTES, packet.frameAt + 6);
    const bytes = PACKET_BYTES.subarray(packet.ipAt, packet.ipEnd);
    if (type === NEIGHBOR_SOLICITATION) this.#neighbors.solicited(bytes, from);
    else if (type === NEIGHBOR_ADVERTISEMENT) this.#neighbors.advertised(bytes, from);
    else if (type === ROUTER_SOLICITATION) {
      const asked = tryParseRouterSolicitation(bytes);
      if (asked === undefined) drops.header += 1;
      else this.#advertiser.solicited(asked.source, from);
    } else {
      // An advertisement or a redirect: guests do not teach their router (IP-17).
      drops.router_spoof += 1;
    }
    return true;
  }

  /** A datagram to port 547. */
  receiveDhcp(packet: PacketView): void {
    const { addresses, drops, link } = this.#deps;
    const datagram = readUdp(packet, drops);
    if (datagram === undefined) return;
    const source = PACKET_BYTES.slice(packet.sourceAt, packet.sourceAt + 16);
    const answer = this.#dhcp.receive(datagram.payload, {
      address: source,
      isMulticast: PACKET_BYTES[packet.destinationAt] === 0xff,
    });
    if (answer === undefined) return;
    sendUdp(link, readMac(PACKET_BYTES, packet.frameAt + 6), {
      source: { family: 6, bytes: addresses.linkLocal },
      sourcePort: DHCPV6_PORT.SERVER,
      destination: { family: 6, bytes: source },
      destinationPort: DHCPV6_PORT.CLIENT,
      ttl: HOST_TTL[6],
      payload: answer,
    });
  }

  /** Guests are told that the router goes. May be called twice. */
  close(): void {
    this.#advertiser.close();
    this.#listener.close();
    this.#wayOut.close();
    outbox.drain();
  }

  #factsOf(domain: string): RouterFacts & Dhcpv6Facts {
    const { addresses, link } = this.#deps;
    const name = domain === "" ? undefined : tryEncodeDnsName(domain);
    const network = addresses.global.slice();
    network.fill(0, PREFIX_BITS / 8);
    return {
      mac: link.mac,
      linkLocal: addresses.linkLocal,
      mtu: link.mtu,
      prefixes: [{ network, length: PREFIX_BITS }],
      dns: [addresses.global],
      search: name === undefined ? [] : [name],
      hasOtherConfig: true,
    };
  }

  #send(to: MacAddress, packet: Uint8Array): void {
    const at = outbox.begin(this.#deps.link, to, ETHER_TYPE.IPV6, packet.length);
    if (at < 0) return;
    PACKET_BYTES.set(packet, at);
    outbox.end(packet.length);
  }
}
