import { clamp } from "../base/clamp.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { ACCOUNTING_CLOSE_MS } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { RadiusSettings } from "../config/server-config.ts";
import type { Log } from "../observe/log.ts";
import { RADIUS_CODE, type RadiusAttribute } from "../wire/radius.ts";
import { RadiusClient, type RadiusDeps } from "./radius-client.ts";
import { RadiusOutbox, type AccountingWay, type OutboxStats } from "./radius-outbox.ts";
import {
  ACCT_STATUS,
  describeHub,
  describeProgress,
  describeSession,
  type AccountedSession,
  type RecordHead,
} from "./radius-record.ts";
import { requireMd5 } from "./radius-seal.ts";
import { terminateCause } from "./radius-terminate-cause.ts";

const ID_BYTES = 6;
/** A server that loses records is complained about once in this time. */
const COMPLAINT_MS = 60_000;
/** What a server may ask for in Acct-Interim-Interval (RFC 2869 2.1), in seconds. */
const INTERIM_S = { min: 60, max: 86_400 } as const;

export interface AccountedHandle {
  /** With the code that the session was closed with. May be called twice. */
  stop(reason: string): void;
}

/** Start, interim and stop records of a hub's sessions (RFC 2866). Nobody waits for them. */
export class RadiusAccounting {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Log;
  readonly #deps: RadiusDeps;
  readonly #outbox: RadiusOutbox;
  readonly #handles = new Set<AccountedHandle>();
  #settings: RadiusSettings;
  #complainedAt = -Infinity;

  /** Throws a VpnError where the crypto library has no MD5. */
  constructor(settings: RadiusSettings, deps: RadiusDeps) {
    requireMd5();
    this.#settings = settings;
    this.#deps = deps;
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#log = deps.log;
    this.#outbox = new RadiusOutbox(this.#wayOf(settings), deps.clock);
    this.#outbox.onLost = () => this.#complain();
  }

  get stats(): OutboxStats & { waiting: number } {
    return { ...this.#outbox.stats, waiting: this.#outbox.size };
  }

  /**
   * The server begins: sessions that its last life left open have ended. Servers close by it whatever they have
   * of this NAS, so it is not for a hub that joins others.
   */
  on(hub: string): void {
    this.#switch(hub, ACCT_STATUS.ON);
  }

  start(session: AccountedSession): AccountedHandle {
    if (!this.#isOn) return { stop: () => {} };
    const id = `${session.name}-${this.#newId()}`;
    const startedAt = this.#clock.now();
    const put = (status: number, more: readonly RadiusAttribute[] = []) => {
      if (!this.#isOn) return;
      const attributes = [...describeSession(session, this.#headOf(status, id)), ...more];
      this.#outbox.add(id, { isInterim: status === ACCT_STATUS.INTERIM, attributes });
    };
    const progress = () => describeProgress(session.traffic(), this.#clock.now() - startedAt);
    let timer: Timer | undefined = this.#clock.every(this.#intervalOf(session), () =>
      put(ACCT_STATUS.INTERIM, progress()),
    );
    const handle: AccountedHandle = {
      stop: (reason) => {
        if (timer === undefined) return;
        timer.cancel();
        timer = undefined;
        this.#handles.delete(handle);
        put(ACCT_STATUS.STOP, [...progress(), terminateCause(reason)]);
      },
    };
    this.#handles.add(handle);
    put(ACCT_STATUS.START);
    return handle;
  }

  /** Sessions go on; their further records go to the servers named now. */
  reconfigure(settings: RadiusSettings): void {
    this.#settings = settings;
    this.#outbox.redirect(this.#wayOf(settings));
  }

  /** Stops what is not stopped, tells where the whole server goes, and waits a little for what is told to be heard. */
  async close(hub: string, reason: "hub_removed" | "server_stopping"): Promise<void> {
    for (const handle of this.#handles) handle.stop(reason);
    if (reason === "server_stopping") this.#switch(hub, ACCT_STATUS.OFF);
    await this.#outbox.close(ACCOUNTING_CLOSE_MS);
  }

  get #isOn(): boolean {
    return this.#settings.accounting.length > 0;
  }

  #switch(hub: string, status: number): void {
    if (!this.#isOn) return;
    const id = this.#newId();
    const attributes = describeHub(hub, this.#headOf(status, id));
    this.#outbox.add(id, { isInterim: false, attributes });
  }

  #newId(): string {
    return Buffer.from(this.#random.bytes(ID_BYTES)).toString("hex");
  }

  #headOf(status: number, id: string): RecordHead {
    return { status, id, nasId: this.#settings.nasId, wall: this.#clock.wall() };
  }

  #intervalOf({ interimIntervalS }: AccountedSession): number {
    return interimIntervalS === undefined
      ? this.#settings.accountingIntervalMs
      : clamp(interimIntervalS, INTERIM_S.min, INTERIM_S.max) * 1000;
  }

  #wayOf(settings: RadiusSettings): AccountingWay {
    const { accounting, secret, retryMs, timeoutMs } = settings;
    const client = new RadiusClient(
      {
        servers: accounting,
        secret,
        retryMs,
        timeoutMs,
        answers: [RADIUS_CODE.ACCOUNTING_RESPONSE],
        // RFC 2869 5.19 has none there; the secret proves the whole answer by its authenticator.
        requiresMessageAuthenticator: false,
      },
      this.#deps,
    );
    return { client, secret };
  }

  #complain(): void {
    const now = this.#clock.now();
    if (now < this.#complainedAt + COMPLAINT_MS) return;
    this.#complainedAt = now;
    this.#log.warn("accounting_lost", "RADIUS accounting records are lost: no server takes them", {
      lost: this.#outbox.stats.lost,
      waiting: this.#outbox.size,
    });
  }
}
