import type { Clock, Timer } from "../../base/clock.ts";
import { messageOf } from "../../base/errors.ts";
import type { Ipv4 } from "../../base/ip.ts";
import type { StoredLease } from "../../config/lease-store.ts";
import type { Log } from "../../observe/log.ts";
import type { Binding } from "./lease.ts";

/** Changes are gathered for so long: a write to the disk is dear, and holds up frames. */
const GATHER_MS = 1_000;
/** While the disk takes nothing. */
const RETRY_MS = 10_000;
/** Rows of one transaction. */
const ROWS_PER_WRITE = 512;

/** Where leases are kept from one run to the next. */
export interface LeaseBook {
  /** @throws ExitError for one that is damaged */
  read(): readonly StoredLease[];
  /** @throws VpnError `state_write` */
  write(leases: readonly StoredLease[], removed: readonly Ipv4[]): void;
}

/** Writes leases behind the server's back. While nothing changes it has no timer. */
export class LeaseKeeper {
  readonly #book: LeaseBook;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #hub: string;
  /** What the book must say of an address; undefined: nothing. */
  readonly #changes = new Map<Ipv4, Binding | undefined>();
  #timer: Timer | undefined;
  #isFailing = false;
  #isClosed = false;

  constructor(deps: { book: LeaseBook; clock: Clock; log: Log; hub: string }) {
    this.#book = deps.book;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#hub = deps.hub;
  }

  put(binding: Binding): void {
    this.#changed(binding.address, binding);
  }

  remove(address: Ipv4): void {
    this.#changed(address, undefined);
  }

  /** Writes what is left, and nothing from then on. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    while (this.#changes.size > 0 && this.#write());
  }

  #changed(address: Ipv4, binding: Binding | undefined): void {
    if (this.#isClosed) return;
    this.#changes.set(address, binding);
    this.#timer ??= this.#clock.after(GATHER_MS, () => this.#flush());
  }

  #flush(): void {
    const isWritten = this.#write();
    const waitMs = isWritten ? 0 : RETRY_MS;
    this.#timer =
      this.#changes.size === 0 ? undefined : this.#clock.after(waitMs, () => this.#flush());
  }

  /** False where nothing could be written: it waits for the next time. */
  #write(): boolean {
    const batch = [...this.#changes.entries().take(ROWS_PER_WRITE)];
    const leases = batch.flatMap(([, binding]) =>
      binding === undefined ? [] : [storedLease(binding, this.#clock)],
    );
    const removed = batch.flatMap(([address, binding]) => (binding === undefined ? address : []));
    try {
      this.#book.write(leases, removed);
    } catch (error) {
      if (!this.#isFailing) {
        const text = `Leases are not kept: ${messageOf(error)}`;
        this.#log.error("leases_not_written", text, { hub: this.#hub });
      }
      this.#isFailing = true;
      return false;
    }
    this.#isFailing = false;
    for (const [address] of batch) this.#changes.delete(address);
    return true;
  }
}

function storedLease(binding: Binding, clock: Clock): StoredLease {
  const { address, mac, hostname, until } = binding;
  const wallOf = (at: number) => clock.wall() + at - clock.now();
  return {
    address,
    mac,
    hostname,
    leasedAt: wallOf(binding.leasedAt),
    renewedAt: wallOf(binding.renewedAt),
    expires: until === Infinity ? undefined : wallOf(until),
  };
}

/**
 * How long a lease goes on that another run granted, in milliseconds; not above 0 if it is over. The wall clock may have
 * been set since: no lease lasts longer than it was granted for.
 */
export function remainingMs({ expires, renewedAt }: StoredLease, wall: number): number {
  return expires === undefined ? Infinity : Math.min(expires - wall, expires - renewedAt);
}
