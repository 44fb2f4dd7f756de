// Heads up: RFC 4861 6.2 has the rules for how often a router speaks, RFC 8106 those for name servers in what it says.
import type { Clock, Timer } from "../base/clock.ts";
import { MAX_ROUTER_SOLICITORS } from "../base/limits.ts";
import type { MacAddress } from "../base/mac.ts";
import type { Random } from "../base/random.ts";
import {
  type AnnouncedPrefix,
  encodeRouterAnnouncement,
  type RouterAnnouncement,
} from "../wire/router-announcement.ts";
import { ALL_NODES, groupMacOf, isUnspecified } from "./ipv6-address.ts";

/* RFC 4861 10 and 6.2.1, RFC 8106 5.1. */
const MAX_INTERVAL_MS = 600_000;
const MIN_INTERVAL_MS = 200_000;
const MAX_INITIAL_INTERVAL_MS = 16_000;
const MIN_DELAY_MS = 3_000;
const MAX_ANSWER_DELAY_MS = 500;
/**
 * Of the three at the start. The second is soon: what joins its hub after it, as bridges do when a server starts, has
 * not heard the first.
 */
const INITIAL_INTERVALS_MS = [MIN_DELAY_MS, MAX_INITIAL_INTERVAL_MS] as const;
const LIFETIME_S = 1800;
const HOP_LIMIT = 64;
/**
 * Of prefixes. Far below the RFC's 30 days: the network of a tunnel is gone when the tunnel is. Hosts keep an address
 * for two hours at least after they heard that it ends (RFC 4862 5.5.3).
 */
const VALID_S = 86_400;
const PREFERRED_S = 14_400;
const LAST_VALID_S = 7_200;
/** Askers that one turn answers each for itself: for more of them everybody is told. */
const MAX_UNICAST = 4;

/** What is advertised. */
export interface RouterFacts {
  readonly mac: MacAddress;
  readonly linkLocal: Uint8Array;
  /** Undefined: not told, being that of the link. */
  readonly mtu: number | undefined;
  /** 16 octets and the bits of them that count; addresses are made in a /64 only. */
  readonly prefixes: readonly { readonly network: Uint8Array; readonly length: number }[];
  readonly dns: readonly Uint8Array[];
  /** In the form of `tryEncodeDnsName`. */
  readonly search: readonly Uint8Array[];
  /** DHCPv6 has more. */
  readonly hasOtherConfig: boolean;
  /** Among several default routers; medium unless given (RFC 4191 2.1). */
  readonly preference?: RouterAnnouncement["preference"];
  /** Networks that it is the way to. */
  readonly routes?: readonly { readonly network: Uint8Array; readonly length: number }[];
}

export interface RouterAdvertiserOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Looked at each time. */
  readonly facts: RouterFacts;
  /** Whether there is a way out at the time of asking: without one it is no default router. */
  readonly isDefaultRouter: () => boolean;
  /** Sends an IPv6 packet to a station. */
  readonly send: (to: MacAddress, packet: Uint8Array) => void;
  /** A timer has run: what was sent may go. */
  readonly settled: () => void;
}

export interface RouterAdvertiserStats {
  /** To everybody, and to one asker. */
  multicast: number;
  unicast: number;
  solicitations: number;
}

/** Tells the hosts of a link that there is a router, and what they need to know. */
export class RouterAdvertiser {
  readonly stats: RouterAdvertiserStats = { multicast: 0, unicast: 0, solicitations: 0 };
  readonly #options: RouterAdvertiserOptions;
  /** Askers that have an address, by MAC, and the timer that answers them. */
  readonly #askers = new Map<MacAddress, Uint8Array>();
  #answer: Timer | undefined;
  #next: Timer | undefined;
  #nextAt = Infinity;
  #sentAt = -Infinity;
  /** How many of the initial intervals are over. */
  #initial = 0;
  #isOpen = false;

  constructor(options: RouterAdvertiserOptions) {
    this.#options = options;
  }

  /** Speaks at once. */
  start(): void {
    this.#isOpen = true;
    this.#initial = 0;
    this.#advertise();
  }

  /** Somebody asks; `source` is all zero while he has no address. */
  solicited(source: Uint8Array, from: MacAddress): void {
    if (!this.#isOpen) return;
    this.stats.solicitations += 1;
    if (isUnspecified(source)) return this.#advertiseSoon(this.#draw(0, MAX_ANSWER_DELAY_MS));
    if (this.#askers.size < MAX_ROUTER_SOLICITORS) this.#askers.set(from, source.slice());
    const delay = this.#draw(0, MAX_ANSWER_DELAY_MS);
    this.#answer ??= this.#options.clock.after(delay, () => this.#answerAskers());
  }

  /** Whether it is a default router may have changed: everybody is told soon, and again. */
  changed(): void {
    if (!this.#isOpen) return;
    this.#initial = 0;
    this.#advertiseSoon(0);
  }

  /** Says goodbye: hosts stop using it and what they learnt from it. May be called twice. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#next?.cancel();
    this.#answer?.cancel();
    this.#askers.clear();
    this.#send(groupMacOf(ALL_NODES), ALL_NODES, true);
  }

  #answerAskers(): void {
    this.#answer = undefined;
    if (this.#askers.size > MAX_UNICAST) this.#advertiseSoon(0);
    else {
      for (const [mac, address] of this.#askers) {
        this.#send(mac, address, false);
        this.stats.unicast += 1;
      }
      this.#options.settled();
    }
    this.#askers.clear();
  }

  /** To everybody after `delay`, and no sooner than the RFC lets it after the last time. */
  #advertiseSoon(delay: number): void {
    const now = this.#options.clock.now();
    this.#schedule(Math.max(delay, this.#sentAt + MIN_DELAY_MS - now));
  }

  #schedule(delay: number): void {
    const at = this.#options.clock.now() + delay;
    if (at >= this.#nextAt) return;
    this.#next?.cancel();
    this.#nextAt = at;
    this.#next = this.#options.clock.after(delay, () => {
      this.#advertise();
      this.#options.settled();
    });
  }

  #advertise(): void {
    this.#next?.cancel();
    this.#nextAt = Infinity;
    this.#sentAt = this.#options.clock.now();
    this.#send(groupMacOf(ALL_NODES), ALL_NODES, false);
    this.stats.multicast += 1;
    const initial = INITIAL_INTERVALS_MS[this.#initial];
    this.#initial += 1;
    this.#schedule(initial ?? this.#draw(MIN_INTERVAL_MS, MAX_INTERVAL_MS));
  }

  #send(to: MacAddress, destination: Uint8Array, isLast: boolean): void {
    this.#options.send(to, encodeRouterAnnouncement(this.#announcement(destination, isLast)));
  }

  #announcement(destination: Uint8Array, isLast: boolean): RouterAnnouncement {
    const { facts, isDefaultRouter } = this.#options;
    return {
      source: facts.linkLocal,
      destination,
      mac: facts.mac,
      lifetimeS: !isLast && isDefaultRouter() ? LIFETIME_S : 0,
      preference: facts.preference ?? "medium",
      routes: (facts.routes ?? []).map((route) => ({
        ...route,
        lifetimeS: isLast ? 0 : LIFETIME_S,
      })),
      hopLimit: HOP_LIMIT,
      hasOtherConfig: facts.hasOtherConfig,
      mtu: facts.mtu,
      prefixes: facts.prefixes.map((prefix): AnnouncedPrefix => ({
        ...prefix,
        isAutonomous: prefix.length === 64,
        validS: isLast ? LAST_VALID_S : VALID_S,
        preferredS: isLast ? 0 : PREFERRED_S,
      })),
      dns: facts.dns,
      search: facts.search,
      dnsLifetimeS: isLast ? 0 : LIFETIME_S,
    };
  }

  #draw(least: number, most: number): number {
    return least + this.#options.random.fraction() * (most - least);
  }
}
