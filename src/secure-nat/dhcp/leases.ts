import type { Clock, Timer } from "../../base/clock.ts";
import { formatIpv4, type Ipv4 } from "../../base/ip.ts";
import { MAX_DHCP_BINDINGS, MAX_DHCP_OFFERS, MAX_DHCP_RESTING } from "../../base/limits.ts";
import { afterLong } from "../../base/long-timer.ts";
import { formatMac, type MacAddress } from "../../base/mac.ts";
import type { Log } from "../../observe/log.ts";
import { AddressPlan, type Entitlement } from "./address-plan.ts";
import { Bindings } from "./bindings.ts";
import type { DhcpServerConfig } from "./dhcp-reply.ts";
import { type LeaseBook, LeaseKeeper, remainingMs } from "./lease-keeper.ts";
import type { Binding, Lease, LeaseOrigin } from "./lease.ts";

/** An offer is held for so long; by the reference for less, which hosts behind slow links miss (hub.md 11.5). */
const OFFER_MS = 30_000;
const PLAIN_OFFER_MS = 5_000;
/** An address that somebody has who should not (hub.md 11.5). */
const REST_MS = 600_000;
/** What is over is looked for so much later, together with what ends meanwhile; whoever asks finds it gone before. */
const GATHER_MS = 1_000;

export interface LeasesDeps {
  readonly hub: string;
  readonly clock: Clock;
  readonly log: Log;
  /** As the reference: offers are held for less time, and leases are not kept. */
  readonly isPlain: boolean;
  readonly store: LeaseBook;
  userAddressOf(mac: MacAddress): Ipv4 | undefined;
}

interface Holder {
  readonly address: Ipv4;
  readonly mac: MacAddress;
  readonly origin: LeaseOrigin;
  readonly hostname: string;
}

/** Addresses that are leased, offered or at rest. Times run on the monotonic clock (robustness.md DH-13). */
export class Leases {
  readonly #deps: LeasesDeps;
  readonly #bindings = new Bindings();
  readonly #keeper: LeaseKeeper | undefined;
  readonly #offerMs: number;
  #plan: AddressPlan;
  #leaseMs: number;
  #lastId = 0;
  #timer: Timer | undefined;
  #timerAt = Infinity;

  /** Takes up the leases of the store. @throws ExitError where one is damaged */
  constructor(config: DhcpServerConfig, deps: LeasesDeps) {
    const { clock, hub, isPlain, log, store } = deps;
    this.#deps = deps;
    this.#offerMs = isPlain ? PLAIN_OFFER_MS : OFFER_MS;
    this.#leaseMs = config.dhcp.leaseMs;
    this.#plan = this.#planOf(config);
    if (isPlain) return;
    this.#keeper = new LeaseKeeper({ book: store, clock, hub, log });
    this.#restore(store, this.#keeper);
    this.#arm();
  }

  get plan(): AddressPlan {
    return this.#plan;
  }

  at(address: Ipv4): Binding | undefined {
    return this.#bindings.at(address);
  }

  /** The lease of a client. */
  of(mac: MacAddress): Binding | undefined {
    return this.#bindings.leases.get(mac);
  }

  /** For how long a client may have an address from now: what is left, if it is no longer to be given away. */
  lengthOf({ address, origin }: Entitlement): number {
    const held = this.#bindings.at(address);
    const isLast = origin === "pool" && !this.#plan.isAnybodys(address) && held !== undefined;
    return isLast ? Math.min(this.#leaseMs, held.until - this.#now()) : this.#leaseMs;
  }

  /** Holds a free address for a client, in place of what it was offered before. */
  offer(holder: Holder, isProbed: boolean): Binding {
    this.forgetOffer(holder.mac);
    const [oldest] = this.#bindings.offers.values().take(1);
    const isFull = this.#bindings.offers.size >= MAX_DHCP_OFFERS;
    if (oldest !== undefined && isFull) this.#free(oldest);
    const hold = isProbed ? "probing" : "offered";
    const now = this.#now();
    const binding = this.#bindings.offer(holder, hold, now, now + this.#offerMs);
    this.#arm();
    return binding;
  }

  /** It is offered, again or after its probe. */
  extendOffer(binding: Binding): void {
    this.#bindings.extendOffer(binding, this.#now() + this.#offerMs);
  }

  forgetOffer(mac: MacAddress): void {
    const offer = this.#bindings.offers.get(mac);
    if (offer !== undefined) this.#free(offer);
  }

  /** Leases what nobody else has, in place of whatever the client had. */
  grant(holder: Holder, leaseMs: number): Binding {
    const { address, mac, origin, hostname } = holder;
    const now = this.#now();
    const until = now + leaseMs;
    for (const other of [this.#bindings.leases.get(mac), this.#bindings.offers.get(mac)]) {
      // The user that an address belongs to may be another one than when it was leased.
      if (other !== undefined && (other.address !== address || other.origin !== origin)) {
        this.end(other);
      }
    }
    const held = this.#bindings.at(address);
    const binding = held ?? this.#bindings.offer(holder, "offered", now, until);
    const isNew = binding.hold !== "leased";
    this.#bindings.lease(binding, now, until);
    if (hostname !== "") binding.hostname = hostname;
    if (isNew) this.#begin(binding);
    // That of a user ends with the session, as all sessions do in a restart.
    if (origin !== "user") this.#keeper?.put(binding);
    this.#arm();
    return binding;
  }

  #begin(binding: Binding): void {
    this.#lastId += 1;
    binding.id = this.#lastId;
    const { hostname } = binding;
    this.#deps.log.info("nat_lease_given", "A host has been given an address", {
      ...this.#fieldsOf(binding),
      ...(hostname === "" ? {} : { hostname }),
    });
  }

  /** Frees the address. `why` is told where it is a lease that ends before its time. */
  end(binding: Binding, why?: "released" | "deleted"): void {
    if (why !== undefined) {
      const text = `A lease was ${why === "released" ? "given back" : "deleted"}`;
      this.#deps.log.info(`nat_lease_${why}`, text, this.#fieldsOf(binding));
    }
    this.#free(binding);
  }

  endUser(mac: MacAddress): void {
    for (const binding of [this.#bindings.leases.get(mac), this.#bindings.offers.get(mac)]) {
      if (binding?.origin === "user") this.#free(binding);
    }
  }

  /** Somebody has the address who should not: nobody gets it for a while. `mac` is his, or of him who says so. */
  rest(address: Ipv4, mac: MacAddress): void {
    const held = this.#bindings.at(address);
    if (held !== undefined) this.#free(held);
    const now = this.#now();
    this.#bindings.rest(address, mac, now, now + REST_MS);
    // A guest who declines one address after the other must not close the pool for all.
    const most = Math.min(MAX_DHCP_RESTING, Math.max(1, Math.floor(this.#plan.pool.size / 2)));
    const [oldest] = this.#bindings.resting.values().take(1);
    if (oldest !== undefined && this.#bindings.resting.size > most) this.#free(oldest);
    this.#arm();
  }

  /** Frees what is over by now. */
  expire(): void {
    const now = this.#now();
    for (;;) {
      const binding = this.#bindings.takeExpired(now);
      if (binding === undefined) return;
      this.#forget(binding);
    }
  }

  reconfigure(config: DhcpServerConfig): void {
    this.expire();
    this.#leaseMs = config.dhcp.leaseMs;
    this.#plan = this.#planOf(config);
    for (const binding of this.#bindings.all()) {
      const { address, mac, hold } = binding;
      const isKept = hold === "leased" || hold === "resting";
      const isGood = isKept ? this.#plan.isOfHost(address) : this.#plan.mayHave(mac, address);
      if (!isGood) this.#free(binding);
    }
  }

  /** The oldest first. */
  list(): readonly Lease[] {
    this.expire();
    const { clock } = this.#deps;
    const offset = clock.wall() - clock.now();
    return [...this.#bindings.leases.values()].map((binding) => ({
      id: binding.id,
      mac: binding.mac,
      address: binding.address,
      hostname: binding.hostname,
      origin: binding.origin,
      leasedAt: binding.leasedAt + offset,
      expires: binding.until === Infinity ? undefined : binding.until + offset,
    }));
  }

  /** Writes what is not kept yet. May be called twice. */
  close(): void {
    this.#timer?.cancel();
    this.#timerAt = -Infinity;
    this.#keeper?.close();
  }

  #restore(store: LeaseBook, keeper: LeaseKeeper): void {
    const { clock } = this.#deps;
    const [now, wall] = [clock.now(), clock.wall()];
    const newestFirst = [...store.read()].sort((a, b) => b.renewedAt - a.renewedAt);
    for (const stored of newestFirst) {
      const { address, mac, hostname } = stored;
      const leftMs = remainingMs(stored, wall);
      const isTwice = this.#bindings.leases.has(mac);
      const isFull = this.#bindings.size >= MAX_DHCP_BINDINGS;
      if (leftMs <= 0) this.#bindings.remember(mac, address);
      if (leftMs <= 0 || isTwice || isFull || !this.#plan.isOfHost(address)) {
        keeper.remove(address);
        continue;
      }
      const origin = this.#plan.fixedOf(mac)?.address === address ? "static" : "pool";
      const holder = { address, mac, hostname, origin } as const;
      const binding = this.#bindings.offer(holder, "offered", now, now + leftMs);
      this.#bindings.lease(binding, now, now + leftMs);
      binding.leasedAt = Math.min(now, now - wall + stored.leasedAt);
      binding.renewedAt = Math.min(now, now - wall + stored.renewedAt);
      this.#lastId += 1;
      binding.id = this.#lastId;
    }
  }

  #free(binding: Binding): void {
    this.#bindings.remove(binding);
    this.#forget(binding);
  }

  #forget({ address, hold }: Binding): void {
    this.#plan.pool.giveBack(address);
    if (hold === "leased") this.#keeper?.remove(address);
  }

  #planOf(config: DhcpServerConfig): AddressPlan {
    return new AddressPlan(config, this.#bindings, this.#deps.userAddressOf);
  }

  #fieldsOf({ address, mac }: Binding): { hub: string; address: string; mac: string } {
    return { hub: this.#deps.hub, address: formatIpv4(address), mac: formatMac(mac) };
  }

  #now(): number {
    return this.#deps.clock.now();
  }

  #arm(): void {
    const at = this.#bindings.next + GATHER_MS;
    if (at >= this.#timerAt) return;
    this.#timer?.cancel();
    this.#timerAt = at;
    this.#timer = afterLong(this.#deps.clock, at - this.#now(), () => {
      this.#timerAt = Infinity;
      this.expire();
      this.#arm();
    });
  }
}
