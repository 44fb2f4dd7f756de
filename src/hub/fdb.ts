// The forwarding database: learning and moving MACs as hub.md 2.7 has it, with its improvements a to e.
import { FDB_AGE_MS, MAX_FDB_ENTRIES, MAX_MAC_MOVES_PER_S, OWNERSHIP_MS } from "../base/limits.ts";
import type { MacAddress } from "../base/mac.ts";
import { AgedTable } from "./aged-table.ts";
import { DROP, PASS } from "./drop-reason.ts";
import type { HubSettings } from "./hub-settings.ts";

/** What learn() answers besides PASS and drop codes: the MAC went over to this port. */
export const MOVED = -2;
/** The frame goes on, though the port's share of the database is used up. */
export const UNLEARNT = -3;
/** The MAC was not known. */
export const LEARNT = -5;

/** Sources of the spanning tree frames of old D-Link switches, as first and last word; all of them have the same. */
const DLINK_MACS = [
  [0x0080, 0xc8000000 | 0],
  [0x000d, 0x88000000 | 0],
] as const;

/** How firmly a port holds its MACs: always as the only host behind it, for 13 s, or not at all. */
export type MacHold = "always" | "fresh" | "none";

/** What the database has to know of a port. */
export interface MacOwner {
  readonly index: number;
  readonly macLimit: number;
  /** Whether a MAC above the limit costs the frame, or only its being learnt. */
  readonly macLimitDrops: boolean;
  readonly macHold: MacHold;
  /** Admitted over the network: may not take a MAC from a port that holds it. */
  readonly isNetworkSession: boolean;
  /** May not take a fresh MAC from anybody (CheckMac, local bridges). */
  readonly checksMac: boolean;
}

export interface FdbEntry {
  /** 32 bits, the entry's own for as long as it is there. */
  readonly id: number;
  readonly mac: MacAddress;
  /** 0 for untagged frames. */
  readonly vlanId: number;
  readonly port: number;
  /** Milliseconds of the monotonic clock. */
  readonly created: number;
  readonly updated: number;
}

/**
 * (MAC, VLAN id) to port. MACs are handed in as two numbers, the first 16 bits and the last 32 as a signed
 * word, since that is how the frame path reads them.
 */
export class Fdb {
  private readonly ports: readonly (MacOwner | undefined)[];
  private readonly table: AgedTable;
  /** Index of the port that lost the MAC at the last MOVED. */
  movedFrom = 0;
  /** Without the improvements a to e of hub.md 2.7. */
  private isReference = false;
  private purgedAt = -Infinity;
  /** Copies of those MACs are told by their bytes instead (dlink-echo.ts). */
  private sparesDlink = false;

  /** `ports` is the hub's own list by index; `seed` is random. */
  constructor(ports: readonly (MacOwner | undefined)[], seed: number) {
    this.ports = ports;
    this.table = new AgedTable({ keyWords: 2, ageMs: FDB_AGE_MS, seed });
  }

  get size(): number {
    return this.table.size;
  }

  configure({ options, compat }: HubSettings): void {
    this.isReference = compat.has("mac-rules");
    this.sparesDlink = options.FixForDLinkBPDU !== 0;
  }

  /** Forgets what is older than 600 s: to be called before look-ups at a later time. */
  expire(now: number): void {
    if (!this.isReference) this.table.expire(now);
  }

  /** Notes the source of a frame from `port`. Answers PASS, LEARNT, MOVED, UNLEARNT or a drop code. */
  learn(port: MacOwner, high: number, low: number, vlanId: number, now: number): number {
    const slot = this.find(high, low, vlanId);
    if (slot >= 0) {
      if (this.table.owner(slot) !== port.index) return this.move(slot, port, now);
      this.table.touch(slot, now);
      return PASS;
    }
    if (this.isReference) this.purge(now);
    if (this.table.countOf(port.index) >= port.macLimit) return atLimit(port);
    if (this.table.size >= MAX_FDB_ENTRIES) return DROP.fdb_full;
    this.table.insert(port.index, now);
    return LEARNT;
  }

  /** Index of the port behind which the MAC is, or -1. */
  lookup(high: number, low: number, vlanId: number): number {
    const slot = this.find(high, low, vlanId);
    return slot < 0 ? -1 : this.table.owner(slot);
  }

  removePort(port: number): void {
    this.table.removeOwner(port);
  }

  /** Removes one entry; false if there is none. */
  remove(mac: MacAddress, vlanId: number): boolean {
    const slot = this.find(Math.floor(mac / 2 ** 32), mac | 0, vlanId);
    if (slot >= 0) this.table.remove(slot);
    return slot >= 0;
  }

  /** Live entries, the one heard last first. */
  list(now: number): FdbEntry[] {
    const { table } = this;
    this.expire(now);
    return Array.from(table.slots(), (slot) => ({
      id: table.id(slot),
      mac: ((table.keyWord(slot, 0) >>> 12) * 2 ** 32 +
        (table.keyWord(slot, 1) >>> 0)) as MacAddress,
      vlanId: table.keyWord(slot, 0) & 0xfff,
      port: table.owner(slot),
      created: table.created(slot),
      updated: table.updated(slot),
    }));
  }

  private find(high: number, low: number, vlanId: number): number {
    this.table.key[0] = (high << 12) | vlanId;
    this.table.key[1] = low;
    return this.table.find();
  }

  private move(slot: number, port: MacOwner, now: number): number {
    const { table } = this;
    const holder = this.ports[table.owner(slot)];
    const isFresh = now - table.updated(slot) < OWNERSHIP_MS;
    const isChecked = port.checksMac && !(this.sparesDlink && this.isDlink(slot));
    if (isFresh && isChecked) return DROP.mac_spoof;
    if (this.isReference) return this.reassign(slot, port, now);
    const isHeld = port.isNetworkSession && holder?.macHold === "fresh";
    if (holder?.macHold === "always" || (isFresh && isHeld)) return DROP.mac_spoof;
    // The reference asks for the limit at unknown MACs only: a client could take over any number (2.7 b).
    if (table.countOf(port.index) >= port.macLimit) return atLimit(port);
    // Moves of this second are counted in the low byte, under the second that they belong to.
    const second = Math.floor(now / 1000) & 0xffffff;
    const note = table.note(slot);
    const moves = note >>> 8 === second ? note & 0xff : 0;
    if (moves >= MAX_MAC_MOVES_PER_S) return DROP.mac_flap;
    table.setNote(slot, (second << 8) | (moves + 1));
    return this.reassign(slot, port, now);
  }

  private reassign(slot: number, port: MacOwner, now: number): number {
    this.movedFrom = this.table.owner(slot);
    this.table.reassign(slot, port.index, now);
    return MOVED;
  }

  /** The reference's ageing: when a MAC is learnt, at most once a second. */
  private purge(now: number): void {
    if (now - this.purgedAt < 1000) return;
    this.purgedAt = now;
    this.table.expire(now);
  }

  private isDlink(slot: number): boolean {
    return isDlinkMac(this.table.keyWord(slot, 0) >>> 12, this.table.keyWord(slot, 1));
  }
}

/** The MAC is handed in as learn() takes it. */
export function isDlinkMac(high: number, low: number): boolean {
  return DLINK_MACS.some(([first, last]) => high === first && low === last);
}

function atLimit(port: MacOwner): number {
  return port.macLimitDrops ? DROP.mac_limit : UNLEARNT;
}
