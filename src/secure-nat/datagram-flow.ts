// What flows of datagrams have in common, UDP and echoes: a place in a mapping, an end by idleness, and errors that are
// handed on to the guest as if the packet that they are about had come from it to where they arose.
import { SystemError } from "../base/errors.ts";
import { type MacAddress, readMac } from "../base/mac.ts";
import type { IcmpErrors } from "../ip-host/icmp-error.ts";
import { finishIpHeader, writeIpHeader, writePayloadSum } from "../ip-host/ip-writer.ts";
import { outbox } from "../ip-host/outbox.ts";
import { IPV6_HEADER_BYTES, type PacketView } from "../ip-host/packet-view.ts";
import { type DatagramOwner, datagramStage } from "../platform/datagram-stage.ts";
import type { DatagramError } from "../platform/error-queue.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../platform/packet-memory.ts";
import type { IncomingMessage } from "../platform/receive-messages.ts";
import { encodeSocketAddress } from "../platform/socket-address.ts";
import { type IcmpFault, tryFaultOfIcmp } from "../wire/icmp.ts";
import { IP_PROTOCOL, IPV4_HEADER_BYTES } from "../wire/ipv4.ts";
import { ICMPV6 } from "../wire/router-advertisement.ts";
import type { Flow, FlowEnd, FlowEnds, FlowHost, FlowInfo } from "./flow.ts";
import { type MappedFlow, type Mapping, type Mappings, peerOf } from "./mapping.ts";
import { faultOfErrno, shortageOfErrno } from "./outside.ts";
import { TimerWheel, WheelTimer } from "./tcp/timer-wheel.ts";

const EMSGSIZE = 90;
/** Least MTU of IPv4 and IPv6 that an error may tell of (RFC 791, RFC 8200 5). */
const LEAST_MTU = { 4: 68, 6: 1280 } as const;
/**
 * What goes outside of the traffic class: how urgent a packet is, as a router would leave it. Of congestion nothing could
 * be told to the guest, so it is not asked for (RFC 3168).
 */
const DSCP = 0xfc;
/** Of what is quoted: whoever sent it has forgotten what it was. */
const QUOTED_TTL = 1;

/** Used again for each, since there are a million a second. */
const outgoing = { at: 0, bytes: 0, ttl: 0, trafficClass: 0, mayFragment: false };

/** What all flows of one kind share. */
export class DatagramFlows {
  readonly errors: IcmpErrors;
  readonly mappings: Mappings;
  #wheel: TimerWheel | undefined;

  constructor(errors: IcmpErrors, mappings: Mappings) {
    this.errors = errors;
    this.mappings = mappings;
  }

  wheelOf(host: FlowHost): TimerWheel {
    return (this.#wheel ??= new TimerWheel(host.clock, () => outbox.drain()));
  }
}

export abstract class DatagramFlow implements Flow, MappedFlow, DatagramOwner {
  readonly ends: FlowEnds;
  readonly name: Uint8Array;
  protected readonly host: FlowHost;
  protected readonly mapping: Mapping;
  protected innerMac: MacAddress;
  readonly #shared: DatagramFlows;
  readonly #timer: WheelTimer;
  readonly #created: number;
  #lastUsed: number;
  #bytesOut = 0;
  #bytesIn = 0;
  #isClosed = false;

  /** Takes a place in the mapping. */
  constructor(
    ends: FlowEnds,
    host: FlowHost,
    shared: DatagramFlows,
    at: { readonly mapping: Mapping; readonly innerMac: MacAddress },
  ) {
    const peer = peerOf(ends);
    this.ends = ends;
    this.host = host;
    this.mapping = at.mapping;
    this.innerMac = at.innerMac;
    this.name = encodeSocketAddress({ ...peer.address, port: peer.port });
    this.#shared = shared;
    this.#created = this.#lastUsed = host.clock.now();
    this.#timer = new WheelTimer(() => this.#watch());
    at.mapping.add(this);
  }

  abstract receive(packet: PacketView): void;
  abstract came(message: IncomingMessage): void;
  protected abstract get idleMs(): number;
  /** Puts the header of the guest's packet before or over its quoted bytes; gives where it begins. */
  protected abstract quoteHeader(at: number, bytes: number): number;

  get info(): FlowInfo {
    return {
      created: this.#created,
      lastUsed: this.#lastUsed,
      bytesOut: this.#bytesOut,
      bytesIn: this.#bytesIn,
    };
  }

  /** Hands bytes of the packet to the socket. */
  protected send(packet: PacketView, at: number, bytes: number): void {
    this.innerMac = readMac(PACKET_BYTES, packet.frameAt + 6);
    this.#lastUsed = this.host.clock.now();
    this.#bytesOut += bytes;
    if (!this.#timer.isSet) this.#watchIdle();
    outgoing.at = at;
    outgoing.bytes = bytes;
    outgoing.ttl = packet.ttl - 1;
    outgoing.trafficClass = trafficClassOf(packet) & DSCP;
    outgoing.mayFragment = !packet.mayNotFragment;
    datagramStage.add(this.mapping.socket, this, outgoing);
    this.host.soil(this);
  }

  protected wasAnswered(bytes: number): void {
    this.#lastUsed = this.host.clock.now();
    this.#bytesIn += bytes;
  }

  flush(): void {
    datagramStage.flush();
  }

  close(_end: FlowEnd): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#shared.wheelOf(this.host).cancel(this.#timer);
    this.mapping.remove(this);
  }

  reconfigured(): void {
    if (this.#timer.isSet) this.#watchIdle();
  }

  #watchIdle(): void {
    this.#shared.wheelOf(this.host).set(this.#timer, this.#lastUsed + this.idleMs);
  }

  #watch(): void {
    if (this.host.clock.now() - this.#lastUsed < this.idleMs) return this.#watchIdle();
    this.close("idle");
    this.host.ended(this);
  }

  /* Errors */

  readErrors(): void {
    this.mapping.readErrors();
  }

  overflowed(datagrams: number): void {
    this.host.drops.socket_full += datagrams;
  }

  refused(error: number, at: number, bytes: number): void {
    const fault = error === EMSGSIZE ? "too_big" : (faultOfErrno(error) ?? "no_route");
    const mtu = error === EMSGSIZE ? this.mapping.takeLocalMtu() : 0;
    if (error === EMSGSIZE && mtu === 0) return;
    this.#tell(fault, this.host.addressOf(this.ends.inner.family), { at, bytes }, mtu);
  }

  failed({ icmp, info, offender, at, bytes }: DatagramError): void {
    if (icmp === undefined) return;
    const fault = tryFaultOfIcmp(icmp.version, icmp.type, icmp.code);
    if (fault === undefined || icmp.version !== this.ends.inner.family) return;
    const from = offender ?? this.host.addressOf(icmp.version);
    this.#tell(fault, from, { at, bytes }, fault === "too_big" ? info : 0);
  }

  #tell(
    fault: IcmpFault,
    address: FlowEnds["inner"],
    payload: { readonly at: number; readonly bytes: number },
    mtu: number,
  ): void {
    if (this.host.isPlain) return;
    const { inner, outer, protocol } = this.ends;
    const version = inner.family;
    const isV4 = version === 4;
    const isUdp = protocol === "udp";
    const l4At = this.quoteHeader(payload.at, payload.bytes);
    const l4Bytes = payload.at + payload.bytes - l4At;
    if (l4Bytes < 8) return;
    const at = l4At - (isV4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES);
    const number = isUdp ? IP_PROTOCOL.UDP : isV4 ? IP_PROTOCOL.ICMP : ICMPV6;
    const header = { source: inner, destination: outer, protocol: number, ttl: QUOTED_TTL };
    writeIpHeader(at, { ...header, mayNotFragment: true }, l4Bytes);
    finishIpHeader(at, l4Bytes);
    writePayloadSum(at, l4Bytes, isUdp ? "udp" : isV4 ? "plain" : "pseudo");
    const bytes = l4At - at + l4Bytes;
    const quote = { version, at, bytes, toMac: this.innerMac };
    const from = { link: this.host.link, address };
    const word = mtu === 0 ? 0 : Math.max(mtu, LEAST_MTU[version]);
    this.#shared.errors.aboutQuote(quote, fault, from, word);
  }
}

/** Makes the mapping of a flow, or tells the guest why there is none. */
export function tryMapping(
  shared: DatagramFlows,
  ends: FlowEnds,
  host: FlowHost,
  first: PacketView,
): Mapping | undefined {
  try {
    return shared.mappings.of(ends, host, first.ttl - 1);
  } catch (thrown) {
    if (!(thrown instanceof SystemError)) throw thrown;
    const isUdp = ends.protocol === "udp";
    const why = shortageOfErrno(thrown.errno) ?? thrown.message;
    host.log.warn("nat_socket", `Cannot send ${isUdp ? "datagrams" : "pings"} of a guest: ${why}`);
    if (host.isPlain) return undefined;
    const from = { link: host.link, address: host.addressOf(ends.inner.family) };
    shared.errors.about(first, "no_route", from);
    return undefined;
  }
}

function trafficClassOf({ ipAt, version }: PacketView): number {
  return version === 4 ? PACKET_BYTES[ipAt + 1]! : (PACKET_VIEW.getUint16(ipAt) >>> 4) & 0xff;
}
