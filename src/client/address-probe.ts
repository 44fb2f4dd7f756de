import type { Clock, Timer } from "../base/clock.ts";
import { IPV4_ANY, type Ipv4 } from "../base/ip.ts";
import { MAC_BROADCAST, MAC_ZERO, type MacAddress } from "../base/mac.ts";
import { ARP_OPERATION, encodeArp, tryParseArp } from "../wire/arp.ts";
import {
  encodeEthernet,
  ETHER_TYPE,
  ETHERNET_HEADER_BYTES,
  readEtherType,
} from "../wire/ethernet.ts";

/** A second probe, for a network that is slow to learn the way, and the end of the watch after the first. */
const PROBE_AGAIN_MS = 500;
const WATCH_MS = 1_500;

/**
 * Asks whether another host has an address (RFC 5227), while it is already in use: waiting for silence would
 * delay every connection by seconds, for a conflict that a server with a table of leases seldom makes.
 */
export class AddressProbe {
  readonly #mac: MacAddress;
  readonly #clock: Clock;
  readonly #send: (frame: Uint8Array) => void;
  readonly #onConflict: () => void;
  #address: Ipv4 | undefined;
  #timer: Timer | undefined;

  constructor(options: {
    readonly mac: MacAddress;
    readonly clock: Clock;
    readonly send: (frame: Uint8Array) => void;
    /** Another host has the address; the watch is over. */
    readonly onConflict: () => void;
  }) {
    this.#mac = options.mac;
    this.#clock = options.clock;
    this.#send = options.send;
    this.#onConflict = options.onConflict;
  }

  start(address: Ipv4): void {
    this.stop();
    this.#address = address;
    // The timer is set before the question, since an answer may come while that is being sent.
    this.#timer = this.#clock.after(PROBE_AGAIN_MS, () => {
      this.#timer = this.#clock.after(WATCH_MS - PROBE_AGAIN_MS, () => this.stop());
      this.#ask(address);
    });
    this.#ask(address);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#address = undefined;
  }

  /** True while the watch lasts and the frame, of at least 14 bytes, is ARP. */
  wants(bytes: Uint8Array, start: number): boolean {
    return this.#address !== undefined && readEtherType(bytes, start) === ETHER_TYPE.ARP;
  }

  /** Looks at an ARP frame: any that names another host as the owner is a conflict (RFC 5227 2.1.1). */
  observe(bytes: Uint8Array, start: number, end: number): void {
    const packet = tryParseArp(bytes, start + ETHERNET_HEADER_BYTES, end);
    if (packet === undefined || packet.senderIp !== this.#address) return;
    if (packet.senderMac === this.#mac) return;
    this.stop();
    this.#onConflict();
  }

  #ask(address: Ipv4): void {
    const payload = encodeArp({
      operation: ARP_OPERATION.REQUEST,
      senderMac: this.#mac,
      senderIp: IPV4_ANY,
      targetMac: MAC_ZERO,
      targetIp: address,
    });
    const etherType = ETHER_TYPE.ARP;
    this.#send(
      encodeEthernet({ dst: MAC_BROADCAST, src: this.#mac, tags: [], etherType, payload }),
    );
  }
}
