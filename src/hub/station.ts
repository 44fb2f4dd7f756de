// The hub's own station (hub.md 2.4): it asks hosts whether they are there, and answers who asks for itself.
import type { Clock } from "../base/clock.ts";
import { MAX_HELD_POLLS } from "../base/limits.ts";
import { IPV4_ANY, type Ipv4 } from "../base/ip.ts";
import { MAC_ZERO, type MacAddress } from "../base/mac.ts";
import { ARP_BYTES, ARP_OPERATION, encodeArp, tryParseArp } from "../wire/arp.ts";
import {
  encodeEthernet,
  ETHER_TYPE,
  ETHERNET_HEADER_BYTES,
  type EthernetFrame,
  tryParseEthernet,
} from "../wire/ethernet.ts";
import {
  encodeNeighborAdvertisement,
  encodeNeighborSolicitation,
  tryParseNeighborSolicitation,
} from "../wire/neighbor-discovery.ts";
import type { HubSettings } from "./hub-settings.ts";
import type { IpCursor, IpTable } from "./ip-table.ts";
import { Poller } from "./poller.ts";
import type { FrameRun } from "./port.ts";
import type { PortIdentity } from "./port-identity.ts";
import type { StationAddress } from "./station-address.ts";

const PREFIX_BYTES = 4;
const TAG_BYTES = 4;
/**
 * For so long after a host has begun to use an address, or looks whether it is free, it is not polled. Polls have the
 * form of such a look, which a host that is looking itself takes for another that wants the address (RFC 5227 2.1.1);
 * it is done within seven seconds.
 */
const HOLD_MS = 10_000;
/** Who was heard in this round is there; one that says nothing of its own is heard by its answers every five seconds. */
const HEARD_MS = 4_000;
/** All nodes of the link (RFC 4291 2.7.1), and their MAC (RFC 2464 7). */
const ALL_NODES = Uint8Array.fromHex("ff020000000000000000000000000001");
const ALL_NODES_MAC = 0x3333_0000_0001 as MacAddress;

/** How the station's frames get out. */
export interface StationOutlet {
  /** Sends a frame to the port, past all checks and uncounted; a port that is full loses it. */
  send(frame: Uint8Array, port: number): void;
  flush(): void;
}

export class HubStation {
  readonly address: StationAddress;
  /** Some of what goes to all ports is of interest. */
  listens = false;
  readonly #clock: Clock;
  readonly #outlet: StationOutlet;
  readonly #poller: Poller;
  #pollsIpv4 = false;
  #pollsIpv6 = false;
  /** Polls name a sender whom nobody can reach, as in the reference. */
  #isReference = false;
  /** Until when addresses are not polled. */
  readonly #held = new Map<number, number>();
  readonly #target = new Uint8Array(16);
  readonly #targetView = new DataView(this.#target.buffer);

  constructor(
    address: StationAddress,
    deps: { readonly clock: Clock; readonly table: IpTable; readonly outlet: StationOutlet },
  ) {
    this.address = address;
    this.#clock = deps.clock;
    this.#outlet = deps.outlet;
    this.#poller = new Poller(
      deps,
      (entry, now) => this.#poll(entry, now),
      () => deps.outlet.flush(),
    );
    deps.table.onFilled = () => this.#poller.wake();
  }

  /** @param mayPoll false for hubs that never do, those of the bridge edition (hub.md 2.1) */
  configure({ options, compat }: HubSettings, mayPoll: boolean): void {
    this.#pollsIpv4 = mayPoll && options.NoAddressPollingIPv4 === 0;
    this.#pollsIpv6 = mayPoll && options.NoAddressPollingIPv6 === 0;
    this.#isReference = compat.has("polling");
    const polls = this.#pollsIpv4 || this.#pollsIpv6;
    this.listens = polls && !this.#isReference;
    this.#poller.switch(polls);
  }

  close(): void {
    this.#poller.close();
    this.#held.clear();
  }

  // Asking.

  #poll(entry: IpCursor, now: number): void {
    const mac = (entry.macHigh * 2 ** 32 + (entry.macLow >>> 0)) as MacAddress;
    if ((entry.macHigh & 0x0100) !== 0) return;
    if (!this.#isReference && now - entry.updated < HEARD_MS) return;
    if (entry.family === 6) {
      if (this.#pollsIpv6) this.#outlet.send(this.#pollIpv6(entry, mac), entry.port);
    } else if (this.#pollsIpv4) {
      const target = (entry.words[3]! >>> 0) as Ipv4;
      if (this.#isReference || !this.#isHeld(entry, target, now))
        this.#outlet.send(this.#pollIpv4(target, mac), entry.port);
    }
  }

  #pollIpv4(targetIp: Ipv4, to: MacAddress): Uint8Array {
    const { mac, ipv4 } = this.address;
    return this.#frame(
      to,
      ETHER_TYPE.ARP,
      encodeArp({
        operation: ARP_OPERATION.REQUEST,
        senderMac: mac,
        // Nobody learns from a probe, so no host keeps an entry of a neighbour that it will never talk to.
        senderIp: this.#isReference ? ipv4 : IPV4_ANY,
        targetMac: MAC_ZERO,
        targetIp,
      }),
    );
  }

  #pollIpv6({ words }: IpCursor, to: MacAddress): Uint8Array {
    const { mac, ipv6 } = this.address;
    const target = this.#target;
    for (let i = 0; i < 4; i += 1) this.#targetView.setInt32(i * 4, words[i]!);
    const packet = encodeNeighborSolicitation({ source: ipv6, destination: target, target, mac });
    return this.#frame(to, ETHER_TYPE.IPV6, packet);
  }

  #isHeld(entry: IpCursor, address: number, now: number): boolean {
    if (now - entry.created < HOLD_MS) return true;
    const until = this.#held.get(address);
    if (until === undefined) return false;
    if (now < until) return true;
    this.#held.delete(address);
    return false;
  }

  // Answering.

  /** Frames to the hub's own MAC, which end here, and frames to all in passing. */
  hear(run: FrameRun, from: PortIdentity): void {
    if (!this.listens) return;
    const { view } = run;
    for (let at = run.start, end = at; at < run.end; at = end) {
      const start = at + PREFIX_BYTES;
      end = start + view.getUint32(at);
      let payloadAt = start + ETHERNET_HEADER_BYTES;
      let type = view.getUint16(payloadAt - 2);
      if (type === ETHER_TYPE.VLAN && payloadAt + TAG_BYTES <= end) {
        payloadAt += TAG_BYTES;
        type = view.getUint16(payloadAt - 2);
      }
      if (type === ETHER_TYPE.ARP) this.#hearArp(run, start, end, payloadAt, from);
      else if (type === ETHER_TYPE.IPV6 && this.#isSoughtAt(view, start))
        this.#hearSolicitation(run, start, end, from);
    }
  }

  /** To the MAC itself, or to 33:33:ff and the last three octets of the address (RFC 4291 2.7.1). */
  #isSoughtAt(view: DataView, start: number): boolean {
    return (
      (view.getUint8(start) & 1) === 0 ||
      (view.getUint16(start) === 0x3333 &&
        view.getInt32(start + 2) === (0xff000000 | (this.address.macLow & 0xffffff)))
    );
  }

  #hearArp(run: FrameRun, start: number, end: number, at: number, from: PortIdentity): void {
    const { view } = run;
    const { mac, ipv4 } = this.address;
    if (end - at < ARP_BYTES || view.getUint16(at + 6) !== ARP_OPERATION.REQUEST) return;
    const target = view.getUint32(at + 24);
    if (target !== ipv4) {
      if (view.getUint32(at + 14) === IPV4_ANY) this.#hold(target);
      return;
    }
    const frame = tryParseEthernet(run.bytes, start, end);
    const asked = frame === undefined ? undefined : tryParseArp(frame.payload);
    if (frame === undefined || asked === undefined) return;
    const payload = encodeArp({
      operation: ARP_OPERATION.REPLY,
      senderMac: mac,
      senderIp: ipv4,
      targetMac: asked.senderMac,
      targetIp: asked.senderIp,
    });
    this.#answer({ ...frame, dst: frame.src, payload }, from);
  }

  #hearSolicitation(run: FrameRun, start: number, end: number, from: PortIdentity): void {
    const { mac, ipv6 } = this.address;
    const frame = tryParseEthernet(run.bytes, start, end);
    const asked = frame === undefined ? undefined : tryParseNeighborSolicitation(frame.payload);
    if (frame === undefined || asked === undefined) return;
    if (Buffer.compare(asked.target, ipv6) !== 0) return;
    // Who looks whether the address is free has none to be answered at (RFC 4861 7.2.4).
    const isSolicited = asked.source.some((octet) => octet !== 0);
    const payload = encodeNeighborAdvertisement({
      source: ipv6,
      destination: isSolicited ? asked.source : ALL_NODES,
      target: ipv6,
      mac,
      isSolicited,
    });
    this.#answer({ ...frame, dst: isSolicited ? frame.src : ALL_NODES_MAC, payload }, from);
  }

  /** To the asking port alone, in the VLAN of the question. */
  #answer(answer: EthernetFrame, from: PortIdentity): void {
    this.#outlet.send(encodeEthernet({ ...answer, src: this.address.mac }), from.index);
    this.#outlet.flush();
  }

  #hold(address: number): void {
    const held = this.#held;
    held.delete(address);
    if (held.size >= MAX_HELD_POLLS) {
      const [oldest] = held.keys();
      held.delete(oldest!);
    }
    held.set(address, this.#clock.now() + HOLD_MS);
  }

  #frame(dst: MacAddress, etherType: number, payload: Uint8Array): Uint8Array {
    return encodeEthernet({ dst, src: this.address.mac, tags: [], etherType, payload });
  }
}
