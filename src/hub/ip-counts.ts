import { IP_AGE_MS, MAX_IP_ENTRIES } from "../base/limits.ts";
import { AgedTable } from "./aged-table.ts";

/** One of the two address families that limits count apart. */
export type IpFamily = 4 | 6;

/**
 * Which source addresses each port with a limit has used in the last 60 s (hub.md 2.8). Every port has a set
 * of its own, apart from the table that is shown (ip-table.ts) and whatever the address's scope: limits cannot be
 * escaped by public addresses, nor be spent by another port that uses the same address.
 */
export class IpCounts {
  private readonly table: AgedTable;

  constructor(seed: number) {
    this.table = new AgedTable({ keyWords: 5, ageMs: IP_AGE_MS, seed });
  }

  get size(): number {
    return this.table.size;
  }

  /** Counts the address as the port's; false if that would be one more than `limit`. */
  admitIpv4(port: number, address: number, limit: number, now: number): boolean {
    return this.admit(owner(port, 4), address, 0, 0, 0, limit, now);
  }

  /** As admitIpv4(), the address as four words. */
  admitIpv6(
    port: number,
    a: number,
    b: number,
    c: number,
    d: number,
    limit: number,
    now: number,
  ): boolean {
    return this.admit(owner(port, 6), a, b, c, d, limit, now);
  }

  countOf(port: number, family: IpFamily, now: number): number {
    this.table.expire(now);
    return this.table.countOf(owner(port, family));
  }

  removePort(port: number): void {
    this.table.removeOwner(owner(port, 4));
    this.table.removeOwner(owner(port, 6));
  }

  private admit(
    owner: number,
    a: number,
    b: number,
    c: number,
    d: number,
    limit: number,
    now: number,
  ): boolean {
    const { table } = this;
    table.expire(now);
    const { key } = table;
    key[0] = owner;
    key[1] = a;
    key[2] = b;
    key[3] = c;
    key[4] = d;
    const slot = table.find();
    if (slot >= 0) {
      table.touch(slot, now);
      return true;
    }
    if (table.countOf(owner) >= limit) return false;
    if (table.size >= MAX_IP_ENTRIES) table.removeOldest();
    table.insert(owner, now);
    return true;
  }
}

function owner(port: number, family: IpFamily): number {
  return port * 2 + (family === 6 ? 1 : 0);
}
