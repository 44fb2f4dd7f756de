import type { Clock, Timer } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { CounterKind, CounterRow } from "../config/counter-store.ts";
import { type PortCounters, TRAFFIC_FIELDS } from "../hub/port-counters.ts";
import type { Log } from "../observe/log.ts";

/** How often what sessions carried is booked (hub.md 2.17). */
const BOOK_MS = 10_000;
/** A session that ends sooner is no login (hub.md 2.1). */
const LOGIN_AFTER_MS = 30_000;
/** Rows that are written at once: a transaction must not keep frames waiting. */
const ROWS_PER_WRITE = 256;

/** Where the books are kept from one run to the next. */
export interface CounterBooks {
  read(hub: string): CounterRow[];
  /** @throws VpnError `state_write` */
  write(rows: readonly CounterRow[]): void;
}

/** Whose session it is, and what it has carried. */
export interface Booked {
  /** Undefined for sessions of the server's own: they count for the hub alone. */
  readonly user: string | undefined;
  readonly group: string | undefined;
  readonly counters: PortCounters;
}

interface Page extends CounterRow {
  logins: number;
  lastLogin: number;
  lastTraffic: number;
  readonly traffic: number[];
}

interface Entry extends Booked {
  readonly since: number;
  /** What was booked of its traffic already. */
  readonly seen: Float64Array;
  isCounted: boolean;
}

/** What a hub, its users and groups have carried since they were made. Sleeps while there are no sessions. */
export class Ledger {
  readonly #hub: string;
  readonly #books: CounterBooks;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #pages = new Map<string, Page>();
  readonly #open = new Set<Entry>();
  readonly #changed = new Set<Page>();
  readonly #now = new Float64Array(TRAFFIC_FIELDS);
  #timer: Timer | undefined;
  #isFailing = false;

  constructor(
    hub: string,
    deps: { readonly books: CounterBooks; readonly clock: Clock; readonly log: Log },
  ) {
    this.#hub = hub;
    this.#books = deps.books;
    this.#clock = deps.clock;
    this.#log = deps.log;
    for (const row of deps.books.read(hub)) {
      this.#pages.set(keyOf(row.kind, row.name), { ...row, traffic: [...row.traffic] });
    }
    if (!this.#pages.has(keyOf("hub", ""))) this.#changed.add(this.#page("hub", ""));
  }

  /** As it was last booked; undefined for somebody who was never here. */
  row(kind: CounterKind, name: string): CounterRow | undefined {
    return this.#pages.get(keyOf(kind, name));
  }

  /** A session has begun; the answer ends it. */
  open(booked: Booked): () => void {
    const entry: Entry = {
      ...booked,
      since: this.#clock.now(),
      seen: new Float64Array(TRAFFIC_FIELDS),
      isCounted: booked.user === undefined,
    };
    this.#open.add(entry);
    if (booked.user !== undefined) {
      for (const page of this.#pagesOf(entry)) {
        page.lastLogin = this.#clock.wall();
        this.#changed.add(page);
      }
    }
    this.#timer ??= this.#clock.after(BOOK_MS, () => this.#bookAll());
    return () => {
      if (!this.#open.delete(entry)) return;
      this.#book(entry);
    };
  }

  /** Books what is left and writes it. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const entry of this.#open) this.#book(entry);
    this.#open.clear();
    while (this.#changed.size > 0 && this.#write());
  }

  #bookAll(): void {
    for (const entry of this.#open) this.#book(entry);
    const isWritten = this.#write();
    const isMore = isWritten && this.#changed.size > 0;
    const isIdle = this.#open.size === 0 && this.#changed.size === 0;
    this.#timer = isIdle
      ? undefined
      : this.#clock.after(isMore ? 0 : BOOK_MS, () => this.#bookAll());
  }

  #book(entry: Entry): void {
    const { seen } = entry;
    const isLogin = !entry.isCounted && this.#clock.now() - entry.since >= LOGIN_AFTER_MS;
    entry.counters.readTraffic(this.#now);
    const hasCarried = this.#now.some((value, field) => value !== seen[field]);
    if (!isLogin && !hasCarried) return;
    if (isLogin) entry.isCounted = true;
    for (const page of this.#pagesOf(entry)) {
      if (isLogin) page.logins += 1;
      if (hasCarried) page.lastTraffic = this.#clock.wall();
      for (let field = 0; field < TRAFFIC_FIELDS; field += 1) {
        page.traffic[field]! += this.#now[field]! - seen[field]!;
      }
      this.#changed.add(page);
    }
    seen.set(this.#now);
  }

  /** False when the books cannot be written: the numbers wait for the next time. */
  #write(): boolean {
    const rows = [...this.#changed].slice(0, ROWS_PER_WRITE);
    if (rows.length === 0) return true;
    try {
      this.#books.write(rows);
    } catch (error) {
      if (!this.#isFailing) {
        this.#log.error("counters_not_written", `Counters wait: ${messageOf(error)}`, {
          hub: this.#hub,
        });
      }
      this.#isFailing = true;
      return false;
    }
    this.#isFailing = false;
    for (const row of rows) this.#changed.delete(row);
    return true;
  }

  #pagesOf({ user, group }: Booked): Page[] {
    return [
      this.#page("hub", ""),
      ...(user === undefined ? [] : [this.#page("user", user)]),
      ...(group === undefined ? [] : [this.#page("group", group)]),
    ];
  }

  #page(kind: CounterKind, name: string): Page {
    const key = keyOf(kind, name);
    let page = this.#pages.get(key);
    if (page === undefined) {
      page = {
        kind,
        hub: this.#hub,
        name,
        created: this.#clock.wall(),
        logins: 0,
        lastLogin: 0,
        lastTraffic: 0,
        traffic: Array.from({ length: TRAFFIC_FIELDS }, () => 0),
      };
      this.#pages.set(key, page);
    }
    return page;
  }
}

function keyOf(kind: CounterKind, name: string): string {
  return `${kind}/${name.toLowerCase()}`;
}
