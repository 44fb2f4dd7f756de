import type { Ipv4 } from "../../base/ip.ts";
import { MAX_DHCP_REMEMBERED } from "../../base/limits.ts";
import type { MacAddress } from "../../base/mac.ts";
import type { Binding, LeaseOrigin } from "./lease.ts";
import { MinHeap } from "./min-heap.ts";

/** Deadlines of what is gone that are kept besides as many as there are bindings. */
const MAX_DEAD_DEADLINES = 1024;

/** When a binding is to be looked at; out of date where the binding has another time by then. */
interface Deadline {
  readonly binding: Binding;
  readonly at: number;
}

/**
 * Who has which address. A client may have one lease and, beside it, one address that it was offered. All look-ups are
 * by hash; what is over is found in order of time.
 */
export class Bindings {
  readonly #byAddress = new Map<Ipv4, Binding>();
  readonly #leases = new Map<MacAddress, Binding>();
  /** Probed and offered, the oldest first. */
  readonly #offers = new Map<MacAddress, Binding>();
  readonly #resting = new Set<Binding>();
  /** The addresses of those who had a lease of the pool, the latest last. */
  readonly #before = new Map<MacAddress, Ipv4>();
  #deadlines = new MinHeap<Deadline>();
  /** The time under which each waits in the heap. */
  readonly #queued = new Map<Binding, number>();

  get leases(): ReadonlyMap<MacAddress, Binding> {
    return this.#leases;
  }

  get offers(): ReadonlyMap<MacAddress, Binding> {
    return this.#offers;
  }

  get resting(): ReadonlySet<Binding> {
    return this.#resting;
  }

  get size(): number {
    return this.#byAddress.size;
  }

  all(): readonly Binding[] {
    return [...this.#byAddress.values()];
  }

  at(address: Ipv4): Binding | undefined {
    return this.#byAddress.get(address);
  }

  /** The address that a client has had from the pool. */
  before(mac: MacAddress): Ipv4 | undefined {
    return this.#before.get(mac);
  }

  remember(mac: MacAddress, address: Ipv4): void {
    this.#before.delete(mac);
    this.#before.set(mac, address);
    const [oldest] = this.#before.keys().take(1);
    if (oldest !== undefined && this.#before.size > MAX_DHCP_REMEMBERED)
      this.#before.delete(oldest);
  }

  /** Nothing is over before; Infinity for never. What was taken away has no part in it. */
  get next(): number {
    for (let due = this.#deadlines.first; due !== undefined; due = this.#deadlines.first) {
      if (this.#queued.get(due.binding) === due.at) return due.at;
      this.#deadlines.removeFirst();
    }
    return Infinity;
  }

  /** Holds a free address for a client that has no other offer. */
  offer(
    draft: { address: Ipv4; mac: MacAddress; origin: LeaseOrigin; hostname: string },
    hold: "probing" | "offered",
    now: number,
    until: number,
  ): Binding {
    const binding: Binding = { ...draft, hold, id: 0, leasedAt: now, renewedAt: now, until };
    this.#byAddress.set(binding.address, binding);
    this.#offers.set(binding.mac, binding);
    this.#queue(binding);
    return binding;
  }

  /** The offer stands, or stands again, until then. */
  extendOffer(binding: Binding, until: number): void {
    this.#offers.delete(binding.mac);
    this.#offers.set(binding.mac, binding);
    binding.hold = "offered";
    binding.until = until;
    this.#queue(binding);
  }

  /** What was offered, or leased before, is leased from now on; the client must have no other lease. */
  lease(binding: Binding, now: number, until: number): void {
    if (binding.hold !== "leased") {
      this.#offers.delete(binding.mac);
      this.#leases.set(binding.mac, binding);
      binding.hold = "leased";
      binding.leasedAt = now;
    }
    binding.renewedAt = now;
    binding.until = until;
    this.#queue(binding);
  }

  /** Nobody gets the address until then. */
  rest(address: Ipv4, mac: MacAddress, now: number, until: number): void {
    const before = this.#byAddress.get(address);
    if (before !== undefined) this.remove(before);
    const binding: Binding = {
      address,
      mac,
      origin: "pool",
      hold: "resting",
      id: 0,
      hostname: "",
      leasedAt: now,
      renewedAt: now,
      until,
    };
    this.#byAddress.set(address, binding);
    this.#resting.add(binding);
    this.#queue(binding);
  }

  remove(binding: Binding): void {
    const { address, hold, mac, origin } = binding;
    if (this.#byAddress.get(address) !== binding) return;
    if (hold === "leased" && origin === "pool") this.remember(mac, address);
    this.#byAddress.delete(address);
    this.#queued.delete(binding);
    this.#resting.delete(binding);
    for (const kind of [this.#leases, this.#offers]) {
      if (kind.get(mac) === binding) kind.delete(mac);
    }
  }

  /** Removes one whose time is over, and gives it. */
  takeExpired(now: number): Binding | undefined {
    while (this.next <= now) {
      const { binding } = this.#deadlines.first!;
      this.#deadlines.removeFirst();
      this.#queued.delete(binding);
      if (binding.until > now) this.#queue(binding);
      else {
        this.remove(binding);
        return binding;
      }
    }
    return undefined;
  }

  /** A later end is found out when the earlier one has come: a renewal costs no place in the heap. */
  #queue(binding: Binding): void {
    const queued = this.#queued.get(binding) ?? Infinity;
    if (binding.until >= queued) return;
    this.#queued.set(binding, binding.until);
    this.#deadlines.add(binding.until, { binding, at: binding.until });
    if (this.#deadlines.size > 2 * this.#queued.size + MAX_DEAD_DEADLINES) this.#sweep();
  }

  /** What was taken away before its time still waits in the heap: a guest could fill memory with that. */
  #sweep(): void {
    this.#deadlines = new MinHeap();
    for (const [binding, at] of this.#queued) this.#deadlines.add(at, { binding, at });
  }
}
