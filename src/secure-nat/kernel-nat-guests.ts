// Where answers to guests go: the MAC behind an inner address, as its own packets tell it (hub.md 11.2).
import type { Clock } from "../base/clock.ts";
import { MAX_NEIGHBORS, OWNERSHIP_MS } from "../base/limits.ts";
import type { MacAddress } from "../base/mac.ts";
import { addressKey } from "../ip-host/neighbors.ts";

/** When a guest was heard is noted to this. */
const FRESH_MS = 1000;

interface Guest {
  readonly key: string;
  mac: MacAddress;
  seenAt: number;
}

/** Bounded: who was quiet longest makes room. */
export class GuestTable {
  readonly #clock: Clock;
  readonly #guests = new Map<string, Guest>();
  /** Most packets are of whom the last one was of. */
  #last: Guest | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#guests.size;
  }

  /**
   * Notes who sends from an address of 4 or 16 octets. False for somebody else than lately, who is not believed: the
   * answers to one guest must not go to another for having claimed them.
   */
  heard(bytes: Uint8Array, at: number, length: 4 | 16, mac: MacAddress): boolean {
    const now = this.#clock.now();
    const guest = this.#find(bytes, at, length);
    if (guest === undefined) {
      this.#add({ key: addressKey(bytes, at, length), mac, seenAt: now });
      return true;
    }
    const quietMs = now - guest.seenAt;
    if (guest.mac !== mac) {
      if (quietMs < OWNERSHIP_MS) return false;
      guest.mac = mac;
    }
    if (quietMs < FRESH_MS) return true;
    guest.seenAt = now;
    // The table is in the order of who was heard last, to FRESH_MS.
    this.#guests.delete(guest.key);
    this.#guests.set(guest.key, guest);
    return true;
  }

  /** The MAC behind an address, or undefined. */
  macOf(bytes: Uint8Array, at: number, length: 4 | 16): MacAddress | undefined {
    return this.#find(bytes, at, length)?.mac;
  }

  clear(): void {
    this.#guests.clear();
    this.#last = undefined;
  }

  #find(bytes: Uint8Array, at: number, length: number): Guest | undefined {
    const last = this.#last;
    if (last !== undefined && isKeyAt(last.key, bytes, at, length)) return last;
    const found = this.#guests.get(addressKey(bytes, at, length));
    if (found !== undefined) this.#last = found;
    return found;
  }

  #add(guest: Guest): void {
    if (this.#guests.size >= MAX_NEIGHBORS) this.#forgetQuietest();
    this.#guests.set(guest.key, guest);
    this.#last = guest;
  }

  #forgetQuietest(): void {
    for (const guest of this.#guests.values()) {
      this.#guests.delete(guest.key);
      if (this.#last === guest) this.#last = undefined;
      return;
    }
  }
}

function isKeyAt(key: string, bytes: Uint8Array, at: number, length: number): boolean {
  if (key.length * 2 !== length) return false;
  for (let n = 0; n < key.length; n += 1) {
    const word = (bytes[at + 2 * n]! << 8) | bytes[at + 2 * n + 1]!;
    if (key.charCodeAt(n) !== word) return false;
  }
  return true;
}
