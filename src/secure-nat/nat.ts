// NAT wholly in user mode: each flow of the inside has a socket of this machine (hub.md 11.3).
import { formatAddress, type IpAddress, type Ipv4 } from "../base/ip.ts";
import { MAX_HALF_OPEN_PER_ADDRESS } from "../base/limits.ts";
import { type MacAddress, readMac } from "../base/mac.ts";
import type { SecureNatConfig } from "../config/secure-nat-config.ts";
import type { HostDrops } from "../ip-host/host-drops.ts";
import { readAddress } from "../ip-host/packet-address.ts";
import type { PacketView } from "../ip-host/packet-view.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../platform/packet-memory.ts";
import { ICMP_HEADER_BYTES, ICMP_TYPE, ICMPV6_TYPE } from "../wire/icmp.ts";
import { IP_PROTOCOL } from "../wire/ipv4.ts";
import { ICMPV6 } from "../wire/router-advertisement.ts";
import { TCP_FLAG, TCP_HEADER_BYTES } from "../wire/tcp.ts";
import { AddressQuota } from "./address-quota.ts";
import { isSoundUdp } from "./datagram.ts";
import type { Flow, FlowEnd, FlowEnds, FlowFactory, FlowHost, FlowProtocol } from "./flow.ts";
import { FlowTable } from "./flow-table.ts";

const ECHO_REQUEST = { 4: ICMP_TYPE.ECHO_REQUEST, 6: ICMPV6_TYPE.ECHO_REQUEST } as const;

/** The way out of a virtual network. */
export interface Nat {
  /** Parts of packets are welcome as they are. */
  readonly takesFragments?: boolean;
  /** A packet of the inside that is for nobody in it, with a TTL of 2 or more; whole, unless it takes fragments. */
  receive(packet: PacketView): void;
  /** Somebody has said by ARP who has an address. */
  heard?(address: Ipv4, mac: MacAddress): void;
  /** All packets of the event were received. */
  handled(): void;
  reconfigure(config: SecureNatConfig): void;
  readonly entries: readonly NatEntry[];
  readonly counts: NatCounts;
  /** Ends one; false if there is none of this number. */
  remove(id: number): boolean;
  /** Frees all it holds. May be called twice. */
  close(): void;
}

/** A flow as lists show it. */
export interface NatEntry {
  readonly id: number;
  readonly flow: Flow;
}

export type NatCounts = Readonly<Record<FlowProtocol, number>>;

export interface NatDeps extends Omit<FlowHost, "soil" | "opened" | "ended"> {
  /** Seed of the table. */
  readonly seed: number;
  readonly factories: Readonly<Record<FlowProtocol, FlowFactory>>;
  /** Where a flow to the virtual host itself goes instead; undefined for all others. */
  dialOf(ends: FlowEnds): FlowEnds["dial"];
  /** Guests may go there. */
  mayReach(ends: FlowEnds): boolean;
  /** Tells the sender that it may not: RST, or ICMP. */
  prohibited(packet: PacketView): void;
  /** Answers a TCP segment that belongs to nothing. */
  reset(packet: PacketView): void;
  /** For the hub's log. */
  readonly began?: (id: number, ends: FlowEnds, mac: MacAddress) => void;
  readonly finished?: (id: number, flow: Flow) => void;
}

interface FlowRecord {
  readonly id: number;
  readonly guest: Guest;
  isHalfOpen: boolean;
}

/** An inner address with what it has. */
interface Guest {
  readonly key: string;
  flows: number;
  halfOpen: number;
}

export class UserNat implements Nat, FlowHost {
  readonly link;
  readonly clock;
  readonly random;
  readonly epoll;
  readonly log;
  readonly drops: HostDrops;
  readonly isPlain: boolean;
  config: SecureNatConfig;
  readonly #deps: NatDeps;
  readonly #table: FlowTable;
  readonly #records = new Map<Flow, FlowRecord>();
  readonly #guests = new Map<string, Guest>();
  readonly #counts = { tcp: 0, udp: 0, icmp: 0 };
  readonly #soiled = new Set<Flow>();
  /** Only where options of the hub limit what one address has. */
  #quota: AddressQuota | undefined;
  #nextId = 1;
  #isClosed = false;

  constructor(deps: NatDeps) {
    this.#deps = deps;
    this.link = deps.link;
    this.clock = deps.clock;
    this.random = deps.random;
    this.epoll = deps.epoll;
    this.log = deps.log;
    this.drops = deps.drops;
    this.isPlain = deps.isPlain;
    this.config = deps.config;
    this.#table = new FlowTable(deps.seed);
    this.#keepQuota();
  }

  addressOf(family: 4 | 6): IpAddress {
    return this.#deps.addressOf(family);
  }

  get counts(): NatCounts {
    return { ...this.#counts };
  }

  get entries(): readonly NatEntry[] {
    return Array.from(this.#records, ([flow, { id }]) => ({ id, flow }));
  }

  /* Packets of the inside */

  receive(packet: PacketView): void {
    if (this.#isClosed) return;
    const { protocol } = packet;
    if (protocol === IP_PROTOCOL.TCP) this.#receiveTcp(packet);
    else if (protocol === IP_PROTOCOL.UDP) this.#receiveUdp(packet);
    else if (protocol === (packet.version === 4 ? IP_PROTOCOL.ICMP : ICMPV6))
      this.#receiveIcmp(packet);
    else this.drops.not_served += 1;
  }

  #receiveTcp(packet: PacketView): void {
    const { l4At, ipEnd } = packet;
    const { drops } = this;
    if (l4At + TCP_HEADER_BYTES > ipEnd) return void (drops.header += 1);
    if (!packet.hasRightSum) return void (drops.checksum += 1);
    packet.isVerified = true;
    const headerBytes = (PACKET_BYTES[l4At + 12]! >>> 4) * 4;
    const flags = PACKET_BYTES[l4At + 13]!;
    const isNonsense =
      (flags & TCP_FLAG.SYN) !== 0 && (flags & (TCP_FLAG.FIN | TCP_FLAG.RST)) !== 0;
    if (headerBytes < TCP_HEADER_BYTES || l4At + headerBytes > ipEnd || isNonsense) {
      return void (drops.header += 1);
    }
    const innerPort = PACKET_VIEW.getUint16(l4At);
    const outerPort = PACKET_VIEW.getUint16(l4At + 2);
    if (innerPort === 0 || outerPort === 0) return void (drops.header += 1);
    const isOpening = (flags & (TCP_FLAG.SYN | TCP_FLAG.ACK)) === TCP_FLAG.SYN;
    const flow = this.#table.find(packet, "tcp", innerPort, outerPort);
    if (flow !== undefined) {
      flow.receive(packet);
      // A SYN ends a connection in TIME-WAIT, and begins the next one (RFC 9293 3.10.7.4).
      if (!isOpening || this.#records.has(flow)) return;
    }
    if ((flags & TCP_FLAG.RST) !== 0) return;
    if (!isOpening) return this.#deps.reset(packet);
    this.#open(packet, "tcp", innerPort, outerPort);
  }

  #receiveUdp(packet: PacketView): void {
    if (!isSoundUdp(packet, this.drops)) return;
    const innerPort = PACKET_VIEW.getUint16(packet.l4At);
    const outerPort = PACKET_VIEW.getUint16(packet.l4At + 2);
    const flow = this.#table.find(packet, "udp", innerPort, outerPort);
    if (flow !== undefined) flow.receive(packet);
    else this.#open(packet, "udp", innerPort, outerPort);
  }

  #receiveIcmp(packet: PacketView): void {
    const { l4At, ipEnd, version } = packet;
    const { drops } = this;
    if (l4At + ICMP_HEADER_BYTES > ipEnd) return void (drops.header += 1);
    if (!(version === 4 ? packet.hasRightPlainSum : packet.hasRightSum)) {
      return void (drops.checksum += 1);
    }
    packet.isVerified = true;
    // Errors of guests about what they were sent, and what hosts do not ask others: nothing depends on them.
    if (PACKET_BYTES[l4At] !== ECHO_REQUEST[version]) return void (drops.not_served += 1);
    const id = PACKET_VIEW.getUint16(l4At + 4);
    const flow = this.#table.find(packet, "icmp", id, 0);
    if (flow !== undefined) flow.receive(packet);
    else this.#open(packet, "icmp", id, 0);
  }

  /* Flows come and go */

  #open(packet: PacketView, protocol: FlowProtocol, innerPort: number, outerPort: number): void {
    const deps = this.#deps;
    const inner = readAddress(packet.sourceAt, packet.version);
    const outer = readAddress(packet.destinationAt, packet.version);
    const asked: FlowEnds = { protocol, inner, innerPort, outer, outerPort };
    const dial = deps.dialOf(asked);
    const ends: FlowEnds = dial === undefined ? asked : { ...asked, dial };
    if (dial === undefined && !deps.mayReach(ends)) return deps.prohibited(packet);
    const guest = this.#guestOf(inner);
    if (this.#isFull(guest, protocol) || !this.#makeRoom(guest, protocol)) {
      this.drops.limit += 1;
      const text = `${guest.key} has reached a limit of NAT entries: ${guest.flows} of its own, ${this.#table.size} in all`;
      deps.log.warn("nat_limit", text);
      if (protocol === "tcp") deps.reset(packet);
      if (guest.flows === 0) this.#guests.delete(guest.key);
      return;
    }
    const mac = readMac(PACKET_BYTES, packet.frameAt + 6);
    const flow = deps.factories[protocol](ends, this, packet, mac);
    if (flow === undefined) {
      if (guest.flows === 0) this.#guests.delete(guest.key);
      return;
    }
    this.#enter(flow, guest);
    deps.began?.(this.#records.get(flow)!.id, ends, mac);
    flow.receive(packet);
  }

  #enter(flow: Flow, guest: Guest): void {
    const { protocol } = flow.ends;
    const isHalfOpen = protocol === "tcp";
    this.#table.add(flow);
    this.#records.set(flow, { id: this.#nextId++, guest, isHalfOpen });
    this.#counts[protocol] += 1;
    guest.flows += 1;
    // It left with the last of its flows, where that one made room for this.
    this.#guests.set(guest.key, guest);
    this.#quota?.enter(guest.key, flow);
    if (isHalfOpen) guest.halfOpen += 1;
  }

  opened(flow: Flow): void {
    const known = this.#records.get(flow);
    if (known?.isHalfOpen !== true) return;
    known.isHalfOpen = false;
    known.guest.halfOpen -= 1;
  }

  ended(flow: Flow): void {
    const known = this.#records.get(flow);
    if (known === undefined) return;
    this.opened(flow);
    this.#records.delete(flow);
    this.#table.remove(flow);
    this.#soiled.delete(flow);
    this.#counts[flow.ends.protocol] -= 1;
    known.guest.flows -= 1;
    this.#quota?.leave(known.guest.key, flow);
    if (known.guest.flows === 0) this.#guests.delete(known.guest.key);
    this.#deps.finished?.(known.id, flow);
  }

  #isFull(guest: Guest, protocol: FlowProtocol): boolean {
    const { maxEntries, maxEntriesPerAddress } = this.config;
    return (
      this.#table.size >= maxEntries ||
      guest.flows >= maxEntriesPerAddress ||
      (protocol === "tcp" && guest.halfOpen >= MAX_HALF_OPEN_PER_ADDRESS)
    );
  }

  /** Ends what options of the hub leave no room for beside another flow; false if that is refused instead (hub.md 3). */
  #makeRoom({ key, halfOpen }: Guest, protocol: FlowProtocol): boolean {
    const limits = this.config.perAddress;
    if (limits === undefined || this.#quota === undefined) return true;
    const { halfOpenTcp } = limits;
    if (protocol === "tcp" && halfOpenTcp > 0 && halfOpen >= halfOpenTcp) return false;
    const most = limits[protocol];
    if (most === 0 || this.#quota.count(key, protocol) < most) return true;
    const mayEnd = (flow: Flow) => this.#records.get(flow)?.isHalfOpen === false;
    const oldest = this.#quota.oldest(key, protocol, mayEnd);
    if (oldest === undefined) return false;
    this.#end(oldest, "limit");
    return true;
  }

  #keepQuota(): void {
    if (this.config.perAddress === undefined) this.#quota = undefined;
    else if (this.#quota === undefined) {
      this.#quota = new AddressQuota();
      for (const [flow, { guest }] of this.#records) this.#quota.enter(guest.key, flow);
    }
  }

  #guestOf({ bytes }: IpAddress): Guest {
    const key = formatAddress(bytes);
    const known = this.#guests.get(key) ?? { key, flows: 0, halfOpen: 0 };
    this.#guests.set(key, known);
    return known;
  }

  /* Turns */

  soil(flow: Flow): void {
    this.#soiled.add(flow);
  }

  handled(): void {
    for (const flow of this.#soiled) {
      this.#soiled.delete(flow);
      flow.flush();
    }
  }

  /* Administration */

  reconfigure(config: SecureNatConfig): void {
    this.config = config;
    this.#keepQuota();
    for (const flow of this.#records.keys()) flow.reconfigured?.();
  }

  /** Ends what may not be reached any more. */
  endForbidden(): void {
    for (const flow of this.#records.keys()) {
      const { ends } = flow;
      if (ends.dial === undefined && !this.#deps.mayReach(ends)) this.#end(flow, "deleted");
    }
  }

  remove(id: number): boolean {
    for (const [flow, known] of this.#records) {
      if (known.id === id) {
        this.#end(flow, "deleted");
        return true;
      }
    }
    return false;
  }

  close(): void {
    this.#isClosed = true;
    for (const flow of this.#records.keys()) this.#end(flow, "closing");
  }

  #end(flow: Flow, why: FlowEnd): void {
    flow.close(why);
    this.ended(flow);
  }
}
