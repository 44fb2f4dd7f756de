import type { Clock, Timer } from "../base/clock.ts";
import {
  ACCOUNTING_KEEP_MS,
  MAX_ACCOUNTING_IN_FLIGHT,
  MAX_ACCOUNTING_RECORDS,
} from "../base/limits.ts";
import { numberAttribute, RADIUS_ATTRIBUTE } from "../wire/radius-attribute.ts";
import { RADIUS_AUTHENTICATOR_BYTES, RADIUS_CODE, type RadiusAttribute } from "../wire/radius.ts";
import type { RadiusClient } from "./radius-client.ts";
import { sealAccountingRequest } from "./radius-seal.ts";

/** One event of a session, on its way to the accounting servers. */
export interface AccountingRecord {
  /** An interim update is out of date as soon as a later record of its session is there. */
  readonly isInterim: boolean;
  readonly attributes: readonly RadiusAttribute[];
}

/** A client with the secret that its servers share. */
export interface AccountingWay {
  readonly client: RadiusClient;
  readonly secret: Uint8Array;
}

export interface OutboxStats {
  delivered: number;
  /** Given up: no room, or no server answered for an hour. */
  lost: number;
}

interface Waiting extends AccountingRecord {
  readonly since: number;
}

/** The records of one session, which go one after another. */
interface Lane {
  records: Waiting[];
  isBusy: boolean;
}

/**
 * Records that wait until an accounting server confirms them (RFC 2866 2.1): bounded in number and age, a few on
 * their way at once. Whoever adds one waits for nothing.
 */
export class RadiusOutbox {
  readonly stats: OutboxStats = { delivered: 0, lost: 0 };
  /** Called when a record was given up. */
  onLost: () => void = () => {};
  readonly #clock: Clock;
  /** By session, those that wait longest first. */
  readonly #lanes = new Map<string, Lane>();
  #way: AccountingWay;
  #count = 0;
  #inFlight = 0;
  #onEmpty: (() => void) | undefined;
  #isClosed = false;

  constructor(way: AccountingWay, clock: Clock) {
    this.#way = way;
    this.#clock = clock;
  }

  /** Records that no server has confirmed. */
  get size(): number {
    return this.#count;
  }

  add(session: string, record: AccountingRecord): void {
    if (this.#isClosed) return;
    const known = this.#lanes.get(session);
    if (known !== undefined) this.#forgetInterims(known);
    if (this.#count >= MAX_ACCOUNTING_RECORDS) {
      if (known?.records.length === 0) this.#lanes.delete(session);
      return this.#lose();
    }
    const lane = known ?? { records: [], isBusy: false };
    this.#lanes.set(session, lane);
    lane.records.push({ ...record, since: this.#clock.now() });
    this.#count++;
    this.#pump();
  }

  /** From now on by other servers; what is on its way is sent again. Without servers what waits is lost. */
  redirect(way: AccountingWay): void {
    const before = this.#way.client;
    this.#way = way;
    before.close();
    if (way.client.hasServers) return;
    this.#loseAll();
  }

  /** Until all is confirmed, at most `graceMs`; what is left then is lost. */
  async close(graceMs: number): Promise<void> {
    if (this.#isClosed) return;
    let timer: Timer | undefined;
    if (this.#count > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
        timer = this.#clock.after(graceMs, resolve);
      });
    }
    timer?.cancel();
    this.#isClosed = true;
    this.#way.client.close();
    this.#loseAll();
  }

  #pump(): void {
    for (const [session, lane] of this.#lanes) {
      if (this.#inFlight >= MAX_ACCOUNTING_IN_FLIGHT) return;
      if (!lane.isBusy) void this.#deliver(session, lane);
    }
  }

  async #deliver(session: string, lane: Lane): Promise<void> {
    const record = lane.records[0]!;
    lane.isBusy = true;
    this.#inFlight++;
    const delayS = Math.round((this.#clock.now() - record.since) / 1000);
    const { client, secret } = this.#way;
    const answer = await client.ask((identifier) =>
      sealAccountingRequest(accountingRequest(identifier, record, delayS), secret),
    );
    this.#inFlight--;
    lane.isBusy = false;
    // Given up meanwhile, with all others.
    if (this.#lanes.get(session) !== lane) return;
    const isOld = this.#clock.now() - record.since >= ACCOUNTING_KEEP_MS;
    if (answer !== undefined || isOld) {
      lane.records.shift();
      this.#count--;
      if (answer === undefined) this.#lose();
      else this.stats.delivered++;
    }
    this.#lanes.delete(session);
    // Behind the others, so that one record that no server takes does not hold them up.
    if (lane.records.length > 0) this.#lanes.set(session, lane);
    if (this.#count === 0) this.#onEmpty?.();
    this.#pump();
  }

  #forgetInterims(lane: Lane): void {
    const kept = lane.records.filter(
      ({ isInterim }, at) => !isInterim || (at === 0 && lane.isBusy),
    );
    this.#count -= lane.records.length - kept.length;
    lane.records = kept;
  }

  #loseAll(): void {
    this.#lanes.clear();
    while (this.#count > 0) {
      this.#count--;
      this.#lose();
    }
  }

  #lose(): void {
    this.stats.lost++;
    this.onLost();
  }
}

/** The delay changes with each packet, and with it the identifier (RFC 2866 5.2). */
function accountingRequest(identifier: number, record: AccountingRecord, delayS: number) {
  const delay = numberAttribute(RADIUS_ATTRIBUTE.ACCT_DELAY_TIME, delayS);
  return {
    code: RADIUS_CODE.ACCOUNTING_REQUEST,
    identifier,
    authenticator: new Uint8Array(RADIUS_AUTHENTICATOR_BYTES),
    attributes: [...record.attributes, delay],
  };
}
