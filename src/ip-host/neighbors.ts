// Who has which address on a link: the conceptual neighbour cache of RFC 4861 5.1 and 7.3, for ARP as well (RFC 826).
// Packets to somebody whose MAC is not known yet wait here. A table whose neighbours are quiet has no timer.
import type { Clock, Timer } from "../base/clock.ts";
import type { IpAddress } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";
import {
  MAX_NEIGHBORS,
  MAX_UNRESOLVED_NEIGHBORS,
  MAX_WAITING_PER_NEIGHBOR,
  NEIGHBOR_GIVE_UP_ASKS,
  NEIGHBOR_PROBES,
  NEIGHBOR_REACHABLE_MS,
  NEIGHBOR_RETRY_MS,
} from "../base/limits.ts";

/**
 * `resolving`: nobody has answered yet; `reachable`: it has, lately; `stale`: a while ago, and it is asked at the next
 * use; `probing`: it is being asked whether it is still there; `gone`: forgotten, ask the table anew.
 */
export type NeighborState = "resolving" | "reachable" | "stale" | "probing" | "gone";

/** A packet that waits, with what its giver needs to send it or to answer its sender. */
export interface WaitingPacket {
  readonly bytes: Uint8Array;
}

/** What all tables of one host may hold together. */
export interface WaitingRoom {
  free: number;
}

export class Neighbor<P extends WaitingPacket = WaitingPacket> {
  readonly address: IpAddress;
  readonly key: string;
  state: NeighborState = "resolving";
  /** Frames can go to `mac`. */
  isUsable = false;
  mac = 0 as MacAddress;
  /** The same as 32 and 16 bits, for writers of many headers. */
  macHigh = 0;
  macLow = 0;
  /** From then on the table wants to hear of uses, on the clock's scale. */
  checkAt = 0;
  /** Questions since it last answered. */
  asked = 0;
  readonly waiting: P[] = [];

  constructor(address: IpAddress, key: string) {
    this.address = address;
    this.key = key;
  }
}

export interface NeighborEvents<P extends WaitingPacket> {
  /** Ask for the MAC of the address: everybody, or only the station that had it. */
  ask(neighbor: Neighbor<P>, to: MacAddress | undefined): void;
  /** Its packets may go. */
  resolved(neighbor: Neighbor<P>, waiting: readonly P[]): void;
  /** Nobody has answered. */
  failed(neighbor: Neighbor<P>, waiting: readonly P[]): void;
  /** A timer has run, and what it made may be sent. */
  timed(): void;
}

/** The key of 4 or 16 octets in tables: as fast a string as there is. */
export function addressKey(bytes: Uint8Array, at: number, length: number): string {
  let key = "";
  for (let i = at; i < at + length; i += 2) {
    key += String.fromCharCode((bytes[i]! << 8) | bytes[i + 1]!);
  }
  return key;
}

/** The neighbours of one host on one link, of one family. */
export class NeighborTable<P extends WaitingPacket = WaitingPacket> {
  readonly #clock: Clock;
  readonly #events: NeighborEvents<P>;
  readonly #room: WaitingRoom;
  readonly #all = new Map<string, Neighbor<P>>();
  /** Those that are being asked. */
  readonly #asked = new Set<Neighbor<P>>();
  /** Looked up, but nothing has waited for them yet: no timer ends these, so they make room for others. */
  readonly #idle = new Set<Neighbor<P>>();
  #unresolved = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, events: NeighborEvents<P>, room: WaitingRoom) {
    this.#clock = clock;
    this.#events = events;
    this.#room = room;
  }

  get size(): number {
    return this.#all.size;
  }

  list(): readonly Neighbor<P>[] {
    return [...this.#all.values()];
  }

  find(key: string): Neighbor<P> | undefined {
    return this.#all.get(key);
  }

  /** The neighbour of this address, who need not exist; undefined when the table is full of others. */
  lookup(address: IpAddress): Neighbor<P> | undefined {
    const key = addressKey(address.bytes, 0, address.bytes.length);
    const known = this.#all.get(key);
    if (known !== undefined) return known;
    if (this.#unresolved >= MAX_UNRESOLVED_NEIGHBORS && !this.#forgetIdle()) return undefined;
    if (!this.#makeRoom()) return undefined;
    const neighbor = this.#add(address, key);
    this.#idle.add(neighbor);
    return neighbor;
  }

  /** Makes a packet wait, and asks for the neighbour. False: the queue is full, or there is no room for more. */
  wait(neighbor: Neighbor<P>, packet: P): boolean {
    if (neighbor.state === "gone" || neighbor.isUsable) return false;
    if (neighbor.waiting.length >= MAX_WAITING_PER_NEIGHBOR || this.#room.free <= 0) return false;
    this.#room.free -= 1;
    neighbor.waiting.push(packet);
    this.#begin(neighbor);
    return true;
  }

  /** To be called when frames go to a neighbour past its `checkAt`: asks whether it is still there, meanwhile they go. */
  used(neighbor: Neighbor<P>): void {
    if (neighbor.state !== "reachable" && neighbor.state !== "stale") return;
    neighbor.state = "probing";
    neighbor.checkAt = Infinity;
    this.#begin(neighbor);
  }

  /** The neighbour has answered a question of ours. False: nobody had asked, and it is not believed. */
  answered(key: string, mac: MacAddress): boolean {
    const neighbor = this.#all.get(key);
    if (neighbor === undefined || !this.#asked.has(neighbor)) return false;
    this.#confirm(neighbor, mac, "reachable");
    return true;
  }

  /**
   * Somebody has asked us and told who he is; he is worth knowing, since an answer goes there. Where another station is
   * known to have that address, it is a claim.
   */
  heard(address: IpAddress, mac: MacAddress): void {
    const key = addressKey(address.bytes, 0, address.bytes.length);
    let neighbor = this.#all.get(key);
    if (neighbor === undefined) {
      if (!this.#makeRoom()) return;
      neighbor = this.#add(address, key);
    } else if (neighbor.isUsable) {
      if (neighbor.mac !== mac) return this.claimed(key, mac);
      if (neighbor.state !== "probing") return;
    }
    this.#confirm(neighbor, mac, "stale");
  }

  /** Somebody claims an address without having been asked: whoever has it is asked, and the answer counts. */
  claimed(key: string, mac: MacAddress): void {
    const neighbor = this.#all.get(key);
    if (neighbor === undefined || neighbor.mac === mac || this.#asked.has(neighbor)) return;
    neighbor.state = "probing";
    neighbor.checkAt = Infinity;
    // Past the questions that only its old place hears.
    neighbor.asked = NEIGHBOR_PROBES;
    this.#begin(neighbor);
  }

  /** Forgets all; what waits is lost. */
  clear(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const neighbor of this.#all.values()) this.#retire(neighbor);
    this.#all.clear();
    this.#asked.clear();
    this.#idle.clear();
    this.#unresolved = 0;
  }

  #add(address: IpAddress, key: string): Neighbor<P> {
    const neighbor = new Neighbor<P>({ family: address.family, bytes: address.bytes.slice() }, key);
    this.#all.set(key, neighbor);
    this.#unresolved += 1;
    return neighbor;
  }

  #begin(neighbor: Neighbor<P>): void {
    if (this.#asked.has(neighbor)) return;
    this.#idle.delete(neighbor);
    this.#asked.add(neighbor);
    this.#timer ??= this.#clock.every(NEIGHBOR_RETRY_MS, () => this.#retry());
    this.#ask(neighbor);
  }

  #ask(neighbor: Neighbor<P>): void {
    const isKnown = neighbor.isUsable && neighbor.asked < NEIGHBOR_PROBES;
    neighbor.asked += 1;
    this.#events.ask(neighbor, isKnown ? neighbor.mac : undefined);
  }

  #retry(): void {
    for (const neighbor of this.#asked) {
      const most = neighbor.isUsable ? NEIGHBOR_PROBES + 2 : NEIGHBOR_GIVE_UP_ASKS;
      if (neighbor.asked < most) this.#ask(neighbor);
      else this.#fail(neighbor);
    }
    this.#settle();
    this.#events.timed();
  }

  #fail(neighbor: Neighbor<P>): void {
    const waiting = neighbor.waiting.slice();
    this.#forget(neighbor);
    this.#events.failed(neighbor, waiting);
  }

  #confirm(neighbor: Neighbor<P>, mac: MacAddress, state: "reachable" | "stale"): void {
    if (!neighbor.isUsable) this.#unresolved -= 1;
    neighbor.isUsable = true;
    neighbor.mac = mac;
    neighbor.macHigh = Math.floor(mac / 0x1_0000) | 0;
    neighbor.macLow = mac % 0x1_0000;
    neighbor.asked = 0;
    neighbor.state = state;
    const now = this.#clock.now();
    // What was only heard may be a lie or a mistake: the first use asks.
    neighbor.checkAt = state === "reachable" ? now + NEIGHBOR_REACHABLE_MS : now;
    this.#asked.delete(neighbor);
    this.#idle.delete(neighbor);
    this.#settle();
    // The last one confirmed is the last one to go.
    this.#all.delete(neighbor.key);
    this.#all.set(neighbor.key, neighbor);
    if (neighbor.waiting.length === 0) return;
    const waiting = neighbor.waiting.splice(0);
    this.#room.free += waiting.length;
    this.#events.resolved(neighbor, waiting);
  }

  /** One that nobody waits for makes room, else the one confirmed longest ago. */
  #makeRoom(): boolean {
    if (this.#all.size < MAX_NEIGHBORS || this.#forgetIdle()) return true;
    for (const neighbor of this.#all.values()) {
      if (!neighbor.isUsable) continue;
      this.#forget(neighbor);
      return true;
    }
    return false;
  }

  #forgetIdle(): boolean {
    for (const oldest of this.#idle) {
      this.#forget(oldest);
      return true;
    }
    return false;
  }

  #forget(neighbor: Neighbor<P>): void {
    if (!neighbor.isUsable) this.#unresolved -= 1;
    this.#all.delete(neighbor.key);
    this.#asked.delete(neighbor);
    this.#idle.delete(neighbor);
    this.#retire(neighbor);
  }

  #retire(neighbor: Neighbor<P>): void {
    neighbor.state = "gone";
    neighbor.isUsable = false;
    this.#room.free += neighbor.waiting.length;
    neighbor.waiting.length = 0;
  }

  #settle(): void {
    if (this.#asked.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
