// What IPv6 hosts learn of an interface of the switch: its networks, and that it is a router (RFC 4861 6.2).
import type { Clock, Timer } from "../base/clock.ts";
import type { Net } from "../base/ip.ts";
import {
  MIN_IPV6_MTU,
  RA_ANSWER_DELAY_MS,
  RA_INITIAL_COUNT,
  RA_INITIAL_MS,
  RA_INTERVAL_MS,
  RA_MIN_DELAY_MS,
} from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import { outbox } from "../ip-host/outbox.ts";
import { PACKET_BYTES } from "../platform/packet-memory.ts";
import { ETHER_TYPE } from "../wire/ethernet.ts";
import { encodeRouterAdvertisement } from "../wire/router-advertisement-draft.ts";
import type { L3Interface } from "./l3-interface.ts";
import { groupMac } from "./link-address.ts";
import type { Route } from "./route-table.ts";

const ALL_NODES = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
/** RFC 4861 6.2.1: three times the longest interval. */
const LIFETIME_S = 1800;
const HOP_LIMIT = 64;
/** RFC 4861 10 and 6.2.1, in seconds. */
const VALID_S = 2_592_000;
const PREFERRED_S = 604_800;
/** Prefixes from which hosts make themselves addresses (RFC 4862 5.5.3 d, RFC 4291 2.5.1). */
const AUTONOMOUS_PREFIX = 64;
const ROUTE_OPTION_BYTES = 24;
/** Headers, and options of which there is one or one for each own network. */
const FIXED_BYTES = 40 + 16 + 8 + 8;
const PREFIX_OPTION_BYTES = 32;

export class RouterAdvertiser {
  readonly #link: L3Interface;
  readonly #clock: Clock;
  readonly #random: Random;
  #routes: readonly Route<L3Interface>[];
  #timer: Timer | undefined;
  #sent = 0;
  #sentAt = -Infinity;
  #isAsked = false;

  /** Begins to advertise. */
  constructor(
    link: L3Interface,
    routes: readonly Route<L3Interface>[],
    deps: { readonly clock: Clock; readonly random: Random },
  ) {
    this.#link = link;
    this.#routes = routes;
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#advertise();
  }

  /** The switch leads elsewhere: hosts hear of it at once. */
  reconfigure(routes: readonly Route<L3Interface>[]): void {
    if (Bun.deepEquals(texts(routes), texts(this.#routes))) return;
    this.#routes = routes;
    this.#sent = 0;
    this.#advertise();
  }

  /** A host asks: all hear the answer, soon, and not too often. */
  solicited(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    const wait = Math.max(0, this.#sentAt + RA_MIN_DELAY_MS - this.#clock.now());
    this.#schedule(wait + this.#between(0, RA_ANSWER_DELAY_MS));
  }

  /** Tells hosts to look for another router. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#send(0);
  }

  #advertise(): void {
    this.#isAsked = false;
    this.#send(LIFETIME_S);
    this.#sent += 1;
    this.#sentAt = this.#clock.now();
    const { least, most } = RA_INTERVAL_MS;
    const isInitial = this.#sent < RA_INITIAL_COUNT;
    this.#schedule(isInitial ? RA_INITIAL_MS : this.#between(least, most));
  }

  #schedule(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(ms, () => {
      this.#advertise();
      outbox.drain();
    });
  }

  #send(lifetimeS: number): void {
    const { linkLocal, mac, mtu, addresses } = this.#link;
    const own = addresses.filter(({ family }) => family === 6);
    const hasDefault = this.#routes.some(({ to }) => to.family === 6 && to.prefix === 0);
    const packet = encodeRouterAdvertisement({
      source: linkLocal.bytes,
      destination: ALL_NODES,
      mac,
      hopLimit: HOP_LIMIT,
      lifetimeS,
      // A router that leads further is the better one for all that is not listed below (RFC 4191 2.1).
      preference: hasDefault ? "medium" : "low",
      mtu,
      prefixes: own.map((net) => ({
        net,
        isAutonomous: net.prefix === AUTONOMOUS_PREFIX,
        validS: VALID_S,
        preferredS: PREFERRED_S,
      })),
      routes: this.#elsewhere(own.length).map((net) => ({
        net,
        lifetimeS,
        preference: "medium" as const,
      })),
    });
    const at = outbox.begin(this.#link, groupMac(ALL_NODES), ETHER_TYPE.IPV6, packet.length);
    if (at < 0) return;
    PACKET_BYTES.set(packet, at);
    outbox.end(packet.length);
  }

  /** Networks that are reached by the switch and not on this link: as many as fit a packet. */
  #elsewhere(prefixes: number): readonly Net[] {
    const room = MIN_IPV6_MTU - FIXED_BYTES - prefixes * PREFIX_OPTION_BYTES;
    return this.#routes
      .filter(({ to, egress }) => to.family === 6 && to.prefix > 0 && egress !== this.#link)
      .map(({ to }) => to)
      .slice(0, Math.max(0, Math.floor(room / ROUTE_OPTION_BYTES)));
  }

  #between(least: number, most: number): number {
    const draw = new DataView(this.#random.bytes(4).buffer).getUint32(0);
    return least + (draw / 0x1_0000_0000) * (most - least);
  }
}

function texts(routes: readonly Route<L3Interface>[]): unknown {
  return routes.map(({ to, egress }) => [to.bytes, to.prefix, egress.name]);
}
