// The IP table of a hub: which address is behind which port (hub.md 2.8).
import type { IpAddress } from "../base/ip.ts";
import { IP_AGE_MS, LEASE_AGE_MS, MAX_IP_ENTRIES, OWNERSHIP_MS } from "../base/limits.ts";
import type { MacAddress } from "../base/mac.ts";
import { AgedTable } from "./aged-table.ts";
import type { IpFamily } from "./ip-counts.ts";
import { ADDRESS_WORDS, addressOf, familyOf, find, IPV4_MARK, ownerOf } from "./ip-key.ts";

/** For how long whoever has just looked an address up may take it for known, unless the generation changes. */
export const IP_REFRESH_MS = 1000;

/** The words of an entry: its MAC, and whether its owner has yet to show himself. */
const MAC_HIGH = 0;
const MAC_LOW = 1;
const UNCLAIMED = 2;
const VALUE_WORDS = 3;
const NONE = -1;

/** An entry as lists show it; times are milliseconds of the monotonic clock. */
export interface IpEntry {
  /** 32 bits, the entry's own for as long as it is there. */
  readonly id: number;
  readonly address: IpAddress;
  /** Index of the port that it is behind. */
  readonly port: number;
  readonly mac: MacAddress;
  readonly created: number;
  readonly updated: number;
  /** A DHCP server gave it to this host. */
  readonly isLeased: boolean;
}

/** The entry at hand of a walk, good until the next. */
export interface IpCursor {
  readonly family: IpFamily;
  /** Of IPv6 four words, of IPv4 the last of them. */
  readonly words: Int32Array;
  readonly port: number;
  readonly macHigh: number;
  readonly macLow: number;
  /** Milliseconds of the monotonic clock. */
  readonly created: number;
  readonly updated: number;
}

/**
 * Address to port and MAC, for lists, ownership and polling. Addresses that were seen live 60 s, those that a DHCP
 * server gave 300 s: two tables, since each is in order of its last refresh.
 *
 * seekIpv4() and seekIpv6() turn to an address; the members after them are about its entry, until the next call of
 * any other.
 */
export class IpTable {
  /** Another number when an entry went that may have been looked up within IP_REFRESH_MS. */
  generation = 0;
  /** Entries are forgotten only when one is added, as the reference does it (hub.md 17 item 4). */
  isLazy = false;
  /** Called when an entry is about to come into the empty table. */
  onFilled: () => void = () => {};
  private readonly seen: AgedTable;
  private readonly leased: AgedTable;
  private readonly cursor = {
    family: 4 as IpFamily,
    words: new Int32Array(ADDRESS_WORDS),
    port: 0,
    macHigh: 0,
    macLow: 0,
    created: 0,
    updated: 0,
  };
  /** Where the entry at hand is. */
  private table: AgedTable;
  private slot = NONE;

  /** `seed` is random. */
  constructor(seed: number) {
    const shape = { keyWords: ADDRESS_WORDS, valueWords: VALUE_WORDS, seed };
    this.seen = new AgedTable({ ...shape, ageMs: IP_AGE_MS });
    this.leased = new AgedTable({ ...shape, ageMs: LEASE_AGE_MS });
    this.table = this.seen;
  }

  get size(): number {
    return this.seen.size + this.leased.size;
  }

  /** False if the address is not in the table. */
  seekIpv4(address: number, now: number): boolean {
    return this.seek(IPV4_MARK, 0, 0, address, now);
  }

  /** As seekIpv4(), the address as four words. */
  seekIpv6(a: number, b: number, c: number, d: number, now: number): boolean {
    return this.seek(a, b, c, d, now);
  }

  private seek(a: number, b: number, c: number, d: number, now: number): boolean {
    if (!this.isLazy) this.expire(now);
    this.table = this.leased;
    this.slot = this.leased.size === 0 ? NONE : find(this.leased, a, b, c, d);
    if (this.slot !== NONE) return true;
    this.table = this.seen;
    this.slot = find(this.seen, a, b, c, d);
    return this.slot !== NONE;
  }

  /** Index of the port that has the address. */
  get port(): number {
    return this.table.owner(this.slot) >> 1;
  }

  get isLeased(): boolean {
    return this.table === this.leased;
  }

  get mac(): MacAddress {
    return macOf(this.table, this.slot);
  }

  /** Other ports that check have to leave it to its owner: he used it within 13 s. */
  isFresh(now: number): boolean {
    const { table, slot } = this;
    return now - table.updated(slot) < OWNERSHIP_MS && table.value(slot, UNCLAIMED) === 0;
  }

  /** The address that was sought, whether it is in the table or not. */
  get address(): IpAddress {
    return addressOf((word) => this.table.key[word]!);
  }

  /** Its owner has used it. */
  refresh(macHigh: number, macLow: number, now: number): void {
    this.table.touch(this.slot, now);
    this.setMac(macHigh, macLow);
  }

  /** It is behind another port from now on. */
  move(port: number, macHigh: number, macLow: number, now: number): void {
    const { table, slot } = this;
    table.reassign(slot, port * 2 + (table.owner(slot) & 1), now, table.created(slot));
    this.setMac(macHigh, macLow);
    this.generation += 1;
  }

  /** Adds the address that was sought and not found. */
  enter(port: number, macHigh: number, macLow: number, now: number): void {
    this.makeRoom(now);
    this.slot = this.seen.insert(ownerOf(port, familyOf(this.seen.key[0]!)), now);
    this.setMac(macHigh, macLow);
  }

  /** A DHCP server has given the address to the host with this MAC. True if it was not in the table. */
  lease(address: number, port: number, macHigh: number, macLow: number, now: number): boolean {
    const isNew = !this.seekIpv4(address, now);
    const owner = ownerOf(port, 4);
    if (this.isLeased) this.leased.reassign(this.slot, owner, now);
    else {
      if (!isNew) this.seen.remove(this.slot);
      this.makeRoom(now);
      this.table = this.leased;
      find(this.leased, IPV4_MARK, 0, 0, address);
      this.slot = this.leased.insert(owner, now);
    }
    this.setMac(macHigh, macLow);
    this.generation += 1;
    return isNew;
  }

  /** Addresses of a port in the table; limits count them only where hub.md 17's `ip-rules` are off. */
  countOf(port: number, family: IpFamily): number {
    const owner = ownerOf(port, family);
    return this.seen.countOf(owner) + this.leased.countOf(owner);
  }

  /**
   * The same host has come back behind another port (hub.md 5.7): what was seen of it is forgotten, leases go with
   * it, and its first frame need not wait until the last one of its old port is 13 s ago.
   */
  handOver(from: number, to: number, now: number): void {
    const { leased } = this;
    const owner = ownerOf(from, 4);
    for (let slot = 0; leased.countOf(owner) > 0 && slot < leased.capacity; slot += 1) {
      if (!leased.isUsed(slot) || leased.owner(slot) !== owner) continue;
      leased.reassign(slot, ownerOf(to, 4), now, leased.created(slot));
      leased.setValue(slot, UNCLAIMED, 1);
    }
    this.removePort(from);
    this.generation += 1;
  }

  removePort(port: number): void {
    for (const table of [this.seen, this.leased]) {
      table.removeOwner(ownerOf(port, 4));
      table.removeOwner(ownerOf(port, 6));
    }
  }

  /** Removes one entry; false if there is none. */
  remove({ family, bytes }: IpAddress, now: number): boolean {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const word = (at: number) => view.getInt32(at * 4);
    if (family === 6 && word(0) === IPV4_MARK) return false;
    const isThere =
      family === 4
        ? this.seekIpv4(word(0), now)
        : this.seekIpv6(word(0), word(1), word(2), word(3), now);
    if (!isThere) return false;
    this.table.remove(this.slot);
    this.generation += 1;
    return true;
  }

  /** Live entries, the one heard last first. */
  list(now: number): IpEntry[] {
    if (!this.isLazy) this.expire(now);
    const entries = [this.seen, this.leased].flatMap((table) =>
      Array.from(table.slots(), (slot) => ({
        id: ((table.id(slot) << 1) | (table === this.leased ? 1 : 0)) >>> 0,
        address: addressOf((word) => table.keyWord(slot, word)),
        port: table.owner(slot) >> 1,
        mac: macOf(table, slot),
        created: table.created(slot),
        updated: table.updated(slot),
        isLeased: table === this.leased,
      })),
    );
    return entries.sort((a, b) => b.updated - a.updated);
  }

  /**
   * Visits the live entries, or one of `parts` equal shares of them: who visits part 0, 1, 2, ... one after the other
   * with time between has spread a round evenly. The cursor is one object for all visits. What a visit adds or
   * removes may be visited or not, and another entry be visited again.
   */
  forEachLive(now: number, visit: (entry: IpCursor) => void, part = 0, parts = 1): void {
    if (!this.isLazy) this.expire(now);
    this.walk(this.seen, visit, part, parts);
    this.walk(this.leased, visit, part, parts);
  }

  private walk(
    table: AgedTable,
    visit: (entry: IpCursor) => void,
    part: number,
    parts: number,
  ): void {
    const { cursor } = this;
    const begin = Math.floor((table.capacity * part) / parts);
    const end = Math.floor((table.capacity * (part + 1)) / parts);
    for (let slot = begin; slot < end && slot < table.capacity; slot += 1) {
      if (!table.isUsed(slot)) continue;
      cursor.family = familyOf(table.keyWord(slot, 0));
      for (let i = 0; i < ADDRESS_WORDS; i += 1) cursor.words[i] = table.keyWord(slot, i);
      cursor.port = table.owner(slot) >> 1;
      cursor.macHigh = table.value(slot, MAC_HIGH);
      cursor.macLow = table.value(slot, MAC_LOW);
      cursor.created = table.created(slot);
      cursor.updated = table.updated(slot);
      visit(cursor);
    }
  }

  private setMac(macHigh: number, macLow: number): void {
    const { table, slot } = this;
    table.setValue(slot, MAC_HIGH, macHigh);
    table.setValue(slot, MAC_LOW, macLow);
    table.setValue(slot, UNCLAIMED, 0);
  }

  private expire(now: number): void {
    this.seen.expire(now);
    this.leased.expire(now);
  }

  /** One entry more will fit: the one unseen for longest goes, a lease only where there is nothing else. */
  private makeRoom(now: number): void {
    const { seen, leased } = this;
    this.expire(now);
    if (this.size === 0) this.onFilled();
    if (this.size < MAX_IP_ENTRIES) return;
    const full = seen.size > 0 ? seen : leased;
    if (now - full.stalest <= IP_REFRESH_MS) this.generation += 1;
    full.removeOldest();
  }
}

function macOf(table: AgedTable, slot: number): MacAddress {
  return (table.value(slot, MAC_HIGH) * 2 ** 32 + (table.value(slot, MAC_LOW) >>> 0)) as MacAddress;
}
