import type { MacAddress } from "../base/mac.ts";
import type { IcmpErrors, IcmpOrigin } from "../ip-host/icmp-error.ts";
import type { PacketView } from "../ip-host/packet-view.ts";
import { PACKET_BYTES, reserve } from "../platform/packet-memory.ts";
import type { IcmpFault } from "../wire/icmp.ts";

/** IP and TCP headers with all their options; what a first segment carries besides is not worth keeping. */
const MAX_BYTES = 128;

const scratchAt = reserve(MAX_BYTES);

/** The first segment of a connection, kept to be quoted in an ICMP error until it is known what becomes of it. */
export class SynQuote {
  readonly #version: 4 | 6;
  readonly #bytes: Uint8Array;
  readonly #mac: MacAddress;

  private constructor(version: 4 | 6, bytes: Uint8Array, mac: MacAddress) {
    this.#version = version;
    this.#bytes = bytes;
    this.#mac = mac;
  }

  static of(packet: PacketView, mac: MacAddress): SynQuote {
    const end = Math.min(packet.ipEnd, packet.ipAt + MAX_BYTES);
    return new SynQuote(packet.version, PACKET_BYTES.slice(packet.ipAt, end), mac);
  }

  /** Tells the sender of the fault; what it says waits in the outbox. */
  tell(errors: IcmpErrors, fault: IcmpFault, from: IcmpOrigin): void {
    PACKET_BYTES.set(this.#bytes, scratchAt);
    const quote = {
      version: this.#version,
      at: scratchAt,
      bytes: this.#bytes.length,
      toMac: this.#mac,
    };
    errors.aboutQuote(quote, fault, from);
  }
}
