import { clamp } from "../base/clamp.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { ACCOUNTING_CLOSE_MS } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { RadiusSettings } from "../config/server-config.ts";
import type { Log } from "../observe/log.ts";
import {
  framedAddressAttribute,
  numberAttribute,
  RADIUS_ATTRIBUTE,
  textAttribute,
} from "../wire/radius-attribute.ts";
import { RADIUS_CODE, type RadiusAttribute } from "../wire/radius.ts";
import { RadiusClient, type RadiusDeps } from "./radius-client.ts";
import { RadiusOutbox, type AccountingWay, type OutboxStats } from "./radius-outbox.ts";
import { requireMd5 } from "./radius-seal.ts";
import { SESSION_PORT } from "./radius-session-port.ts";
import { terminateCause } from "./radius-terminate-cause.ts";

const STATUS = { START: 1, STOP: 2, INTERIM: 3, ON: 7, OFF: 8 } as const;
const AUTHENTIC = { RADIUS: 1, LOCAL: 2 } as const;
const GIGAWORD = 2 ** 32;
const ID_BYTES = 6;
/** A server that loses records is complained about once in this time. */
const COMPLAINT_MS = 60_000;
/** What a server may ask for in Acct-Interim-Interval (RFC 2869 2.1), in seconds. */
const INTERIM_S = { min: 60, max: 86_400 } as const;

/** What accounting tells about a session. */
export interface AccountedSession {
  /** Of the session, as in lists and logs. */
  readonly name: string;
  readonly hub: string;
  /** As the RADIUS server knows him (`radiusUserName`). */
  readonly userName: string;
  readonly address: string;
  readonly isRadiusUser: boolean;
  /** From the verdict. */
  readonly class?: readonly Uint8Array[];
  readonly interimIntervalS?: number;
  /** Asked for each record: `in` is what came from the user. */
  traffic(): SessionTraffic;
}

export interface SessionTraffic {
  readonly inBytes: number;
  readonly outBytes: number;
  readonly inFrames?: number;
  readonly outFrames?: number;
  /** Of the user inside the hub, where it is known by now. */
  readonly framedAddress?: string;
}

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
    this.#switch(hub, STATUS.ON);
  }

  start(session: AccountedSession): AccountedHandle {
    if (!this.#isOn) return { stop: () => {} };
    const id = `${session.name}-${Buffer.from(this.#random.bytes(ID_BYTES)).toString("hex")}`;
    const startedAt = this.#clock.now();
    const put = (status: number, more: readonly RadiusAttribute[] = []) => {
      if (!this.#isOn) return;
      const attributes = [...this.#describe(status, id, session), ...more];
      this.#outbox.add(id, { isInterim: status === STATUS.INTERIM, attributes });
    };
    const progress = () => progressOf(session.traffic(), this.#clock.now() - startedAt);
    let timer: Timer | undefined = this.#clock.every(this.#intervalOf(session), () =>
      put(STATUS.INTERIM, progress()),
    );
    const handle: AccountedHandle = {
      stop: (reason) => {
        if (timer === undefined) return;
        timer.cancel();
        timer = undefined;
        this.#handles.delete(handle);
        const cause = terminateCause(reason);
        const { ACCT_TERMINATE_CAUSE } = RADIUS_ATTRIBUTE;
        put(STATUS.STOP, [...progress(), numberAttribute(ACCT_TERMINATE_CAUSE, cause)]);
      },
    };
    this.#handles.add(handle);
    put(STATUS.START);
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
    if (reason === "server_stopping") this.#switch(hub, STATUS.OFF);
    await this.#outbox.close(ACCOUNTING_CLOSE_MS);
  }

  get #isOn(): boolean {
    return this.#settings.accounting.length > 0;
  }

  #switch(hub: string, status: number): void {
    if (!this.#isOn) return;
    const A = RADIUS_ATTRIBUTE;
    const id = Buffer.from(this.#random.bytes(ID_BYTES)).toString("hex");
    const attributes = present([
      numberAttribute(A.ACCT_STATUS_TYPE, status),
      textAttribute(A.ACCT_SESSION_ID, id),
      textAttribute(A.NAS_IDENTIFIER, this.#settings.nasId),
      textAttribute(A.CALLED_STATION_ID, hub),
      numberAttribute(A.EVENT_TIMESTAMP, this.#timestamp()),
    ]);
    this.#outbox.add(id, { isInterim: false, attributes });
  }

  #describe(status: number, id: string, session: AccountedSession): RadiusAttribute[] {
    const A = RADIUS_ATTRIBUTE;
    const { framedAddress } = session.traffic();
    return present([
      numberAttribute(A.ACCT_STATUS_TYPE, status),
      textAttribute(A.ACCT_SESSION_ID, id),
      textAttribute(A.USER_NAME, session.userName),
      textAttribute(A.NAS_IDENTIFIER, this.#settings.nasId),
      ...SESSION_PORT,
      textAttribute(A.CALLED_STATION_ID, session.hub),
      textAttribute(A.CALLING_STATION_ID, session.address),
      textAttribute(A.TUNNEL_CLIENT_ENDPOINT, session.address),
      framedAddress === undefined ? undefined : framedAddressAttribute(framedAddress),
      numberAttribute(A.ACCT_AUTHENTIC, session.isRadiusUser ? AUTHENTIC.RADIUS : AUTHENTIC.LOCAL),
      numberAttribute(A.EVENT_TIMESTAMP, this.#timestamp()),
      ...(session.class ?? []).map((value) => ({ type: A.CLASS, value })),
    ]);
  }

  #timestamp(): number {
    return Math.floor(this.#clock.wall() / 1000);
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

/** How long and how much by now; counters of 32 bits with the number of times they ran over (RFC 2869 5.1). */
function progressOf(traffic: SessionTraffic, elapsedMs: number): RadiusAttribute[] {
  const A = RADIUS_ATTRIBUTE;
  const { inBytes, outBytes, inFrames, outFrames } = traffic;
  const counter = (type: number, count: number | undefined) =>
    count === undefined ? undefined : numberAttribute(type, count % GIGAWORD);
  return present([
    numberAttribute(A.ACCT_SESSION_TIME, Math.round(elapsedMs / 1000)),
    counter(A.ACCT_INPUT_OCTETS, inBytes),
    counter(A.ACCT_OUTPUT_OCTETS, outBytes),
    counter(A.ACCT_INPUT_GIGAWORDS, Math.floor(inBytes / GIGAWORD)),
    counter(A.ACCT_OUTPUT_GIGAWORDS, Math.floor(outBytes / GIGAWORD)),
    counter(A.ACCT_INPUT_PACKETS, inFrames),
    counter(A.ACCT_OUTPUT_PACKETS, outFrames),
  ]);
}

function present(attributes: readonly (RadiusAttribute | undefined)[]): RadiusAttribute[] {
  return attributes.filter((attribute) => attribute !== undefined);
}
