import type { Neighbor } from "../ip-host/neighbors.ts";
import { PACKET_VIEW } from "../platform/packet-memory.ts";
import type { L3Interface, L3Packet } from "./l3-interface.ts";

/** What becomes of packets to an address. */
export type Hop =
  | {
      readonly kind: "forward";
      readonly egress: L3Interface;
      readonly neighbor: Neighbor<L3Packet>;
    }
  /** An address of the switch itself. */
  | { readonly kind: "local" }
  | { readonly kind: "no_route" }
  /** No packet may go there: groups, broadcasts, loopback. */
  | { readonly kind: "refused" };

const SLOTS = 1024;
const SHIFT = 22;
const GOLDEN = 0x9e3779b1;

/**
 * Hops of destinations that were looked up lately: many flows at once cost no look-up of routes for each packet. A
 * destination whose place another one takes is looked up again.
 */
export class HopCache {
  readonly #v4 = new Int32Array(SLOTS);
  readonly #v6 = new Int32Array(SLOTS * 4);
  readonly #hops4: (Hop | undefined)[] = Array.from({ length: SLOTS });
  readonly #hops6: (Hop | undefined)[] = Array.from({ length: SLOTS });

  /** Of the IPv4 address as a signed number. */
  get4(address: number): Hop | undefined {
    const slot = Math.imul(address, GOLDEN) >>> SHIFT;
    return this.#v4[slot] === address ? this.#hops4[slot] : undefined;
  }

  set4(address: number, hop: Hop): void {
    const slot = Math.imul(address, GOLDEN) >>> SHIFT;
    this.#v4[slot] = address;
    this.#hops4[slot] = hop;
  }

  /** Of the IPv6 address at `at` in packet memory. */
  get6(at: number): Hop | undefined {
    const slot = slotOf6(at);
    const words = this.#v6;
    const base = slot * 4;
    return words[base] === PACKET_VIEW.getInt32(at) &&
      words[base + 1] === PACKET_VIEW.getInt32(at + 4) &&
      words[base + 2] === PACKET_VIEW.getInt32(at + 8) &&
      words[base + 3] === PACKET_VIEW.getInt32(at + 12)
      ? this.#hops6[slot]
      : undefined;
  }

  set6(at: number, hop: Hop): void {
    const slot = slotOf6(at);
    for (let word = 0; word < 4; word += 1) {
      this.#v6[slot * 4 + word] = PACKET_VIEW.getInt32(at + word * 4);
    }
    this.#hops6[slot] = hop;
  }
}

function slotOf6(at: number): number {
  const mixed =
    Math.imul(PACKET_VIEW.getInt32(at) ^ PACKET_VIEW.getInt32(at + 8), GOLDEN) ^
    Math.imul(PACKET_VIEW.getInt32(at + 4), 0x85ebca6b) ^
    PACKET_VIEW.getInt32(at + 12);
  return Math.imul(mixed ^ (mixed >>> 15), GOLDEN) >>> SHIFT;
}
