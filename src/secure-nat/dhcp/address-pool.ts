import type { Ipv4 } from "../../base/ip.ts";
import { MinHeap } from "./min-heap.ts";

/** A pool that is so crowded gives its lowest free address instead. */
const SCATTER_STEPS = 64;

/**
 * Where new clients get addresses from: the lowest that is free, found without a scan also in a network of millions.
 * What lies below the frontier was taken once; of that, what came back waits in order.
 */
export class AddressPool {
  readonly first: Ipv4;
  readonly last: Ipv4;
  readonly #isTaken: (address: Ipv4) => boolean;
  readonly #returned = new MinHeap<Ipv4>();
  /** Those in the heap: an address may come back that is still waiting there. */
  readonly #waiting = new Set<Ipv4>();
  #frontier: number;

  /** `isTaken` is asked about addresses that may no longer be free, or never were for new clients. */
  constructor(first: Ipv4, last: Ipv4, isTaken: (address: Ipv4) => boolean) {
    this.first = first;
    this.last = last;
    this.#isTaken = isTaken;
    this.#frontier = first;
  }

  get size(): number {
    return this.last - this.first + 1;
  }

  contains(address: Ipv4): boolean {
    return this.first <= address && address <= this.last;
  }

  /** The lowest free address, which stays free until somebody takes it. */
  lowestFree(): Ipv4 | undefined {
    for (let next = this.#returned.first; next !== undefined; next = this.#returned.first) {
      if (!this.#isTaken(next)) return next;
      this.#returned.removeFirst();
      this.#waiting.delete(next);
    }
    for (; this.#frontier <= this.last; this.#frontier += 1) {
      const next = this.#frontier as Ipv4;
      if (!this.#isTaken(next)) return next;
    }
    return undefined;
  }

  /** A free address at a place that the seed leads to; undefined where it and those behind it are taken. */
  scatteredFree(seed: number): Ipv4 | undefined {
    for (let step = 0; step < Math.min(this.size, SCATTER_STEPS); step += 1) {
      const address = (this.first + ((seed + step) % this.size)) as Ipv4;
      if (!this.#isTaken(address)) return address;
    }
    return undefined;
  }

  /** Nobody has this address any more. */
  giveBack(address: Ipv4): void {
    if (!this.contains(address) || address >= this.#frontier || this.#waiting.has(address)) return;
    this.#waiting.add(address);
    this.#returned.add(address, address);
  }
}
