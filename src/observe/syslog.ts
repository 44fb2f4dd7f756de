// Messages to a syslog receiver: send() -> queue -> link. Nothing here waits for the receiver, and what it does not take in
// time is lost and counted.
import type { Clock, Timer } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import {
  LOG_CALM_MS,
  LOG_CLOSE_MS,
  MAX_LOG_QUEUE_BYTES,
  SYSLOG_LOOKUP_MS,
  SYSLOG_RETRY_MS,
  SYSLOG_STALL_MS,
} from "../base/limits.ts";
import { encodeSyslog, type SyslogMessage, type SyslogSender } from "./syslog-message.ts";
import type { OpenSyslogLink, SyslogLink } from "./syslog-link.ts";
import { maxMessageBytes, type SyslogTarget } from "./syslog-target.ts";

export interface SyslogDeps {
  readonly clock: Clock;
  readonly sender: SyslogSender;
  readonly open: OpenSyslogLink;
  /** The receiver cannot be reached any more (told once), or again. */
  readonly onTrouble: (trouble: SyslogTrouble) => void;
}

export type SyslogTrouble =
  | { readonly kind: "failed"; readonly why: string }
  | { readonly kind: "recovered"; readonly lost: number };

export class Syslog {
  sent = 0;
  lost = 0;
  readonly target: SyslogTarget;
  readonly #deps: SyslogDeps;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  /** Bytes of the first message that the link has taken. */
  #taken = 0;
  #link: SyslogLink | undefined;
  #isOpening = false;
  #retryMs: number = SYSLOG_RETRY_MS.first;
  #retry: Timer | undefined;
  #stall: Timer | undefined;
  #lookup: Timer | undefined;
  #isClosed = false;
  #lostBefore: number | undefined;
  #lastFailure = 0;
  #onEmpty: (() => void) | undefined;

  constructor(target: SyslogTarget, deps: SyslogDeps) {
    this.target = target;
    this.#deps = deps;
    this.#open();
  }

  /** Address of the receiver, where it is known. */
  get address(): string | undefined {
    return this.#link?.address;
  }

  send(message: SyslogMessage): void {
    const encoded = encodeSyslog(message, this.#deps.sender, maxMessageBytes(this.target));
    const bytes = this.target.protocol === "tcp" ? withCount(encoded) : encoded;
    if (this.#isClosed || this.#queuedBytes + bytes.length > MAX_LOG_QUEUE_BYTES) {
      this.lost += 1;
      return;
    }
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    if (this.#queue.length === 1) this.#pump();
  }

  /** Sends what waits, within LOG_CLOSE_MS. May be called twice. */
  async close(): Promise<void> {
    if (!this.#isClosed && this.#link !== undefined && this.#queue.length > 0) {
      const done = Promise.withResolvers<void>();
      const limit = this.#deps.clock.after(LOG_CLOSE_MS, done.resolve);
      this.#onEmpty = done.resolve;
      await done.promise;
      limit.cancel();
    }
    this.#isClosed = true;
    const left = this.#queue.length;
    this.lost += left;
    this.#queue = [];
    this.#drop(left > 0);
    this.#retry?.cancel();
  }

  #open(): void {
    if (this.#isClosed || this.#isOpening) return;
    this.#isOpening = true;
    // An attempt that is given up may still succeed later: then it is closed at once.
    let isCurrent = true;
    const giveUp = (why: string) => {
      if (!isCurrent) return;
      isCurrent = false;
      this.#isOpening = false;
      this.#fail(why);
    };
    const { clock } = this.#deps;
    const limit = clock.after(SYSLOG_STALL_MS, () => giveUp("the receiver does not answer"));
    const events = {
      onReady: () => this.#pump(),
      onLost: (why: string) => {
        if (isCurrent) this.#fail(why);
      },
    };
    this.#deps.open(this.target, events).then(
      (link) => {
        limit.cancel();
        if (!isCurrent || this.#isClosed) return link.close();
        this.#isOpening = false;
        this.#link = link;
        if (this.target.protocol === "udp") {
          this.#lookup = clock.after(SYSLOG_LOOKUP_MS, () => this.#renew());
        }
        this.#pump();
      },
      (error: unknown) => {
        limit.cancel();
        giveUp(messageOf(error));
      },
    );
  }

  /** The name of the receiver may mean another address by now. */
  #renew(): void {
    this.#drop(false);
    this.#open();
  }

  #pump(): void {
    const link = this.#link;
    if (link === undefined) return;
    while (this.#queue.length > 0) {
      const head = this.#queue[0]!;
      let count: number;
      try {
        count = link.send(this.#taken === 0 ? head : head.subarray(this.#taken));
      } catch (error) {
        return this.#fail(messageOf(error));
      }
      this.#stall?.cancel();
      this.#stall = undefined;
      this.#taken += count;
      if (this.#taken < head.length) {
        this.#stall = this.#deps.clock.after(SYSLOG_STALL_MS, () =>
          this.#fail("the receiver takes nothing"),
        );
        return;
      }
      this.#shift();
      this.sent += 1;
      this.#recover();
    }
    this.#onEmpty?.();
  }

  #shift(): void {
    this.#queuedBytes -= this.#queue.shift()?.length ?? 0;
    this.#taken = 0;
  }

  #fail(why: string): void {
    this.#lastFailure = this.#deps.clock.now();
    this.#drop(true);
    const lostBefore = this.lost;
    // Part of it is there; the rest would be read as another message.
    if (this.#taken > 0) {
      this.#shift();
      this.lost += 1;
    }
    if (this.#lostBefore === undefined) {
      this.#lostBefore = lostBefore;
      this.#deps.onTrouble({ kind: "failed", why });
    }
    this.#onEmpty?.();
    this.#retry?.cancel();
    if (this.#isClosed) return;
    this.#retry = this.#deps.clock.after(this.#retryMs, () => this.#open());
    this.#retryMs = Math.min(this.#retryMs * 2, SYSLOG_RETRY_MS.most);
  }

  /** Told when it has lasted: a receiver that takes one message and hangs up is not back. */
  #recover(): void {
    if (this.#lostBefore === undefined) return;
    if (this.#deps.clock.now() - this.#lastFailure < LOG_CALM_MS) return;
    this.#retryMs = SYSLOG_RETRY_MS.first;
    const lost = this.lost - this.#lostBefore;
    this.#lostBefore = undefined;
    this.#deps.onTrouble({ kind: "recovered", lost });
  }

  #drop(atOnce: boolean): void {
    this.#lookup?.cancel();
    this.#stall?.cancel();
    if (atOnce) this.#link?.abort();
    else this.#link?.close();
    this.#link = undefined;
  }
}

/** Octet counting (RFC 6587 3.4.1): messages may hold anything then. */
function withCount(message: Uint8Array): Uint8Array {
  const count = new TextEncoder().encode(`${message.length} `);
  const framed = new Uint8Array(count.length + message.length);
  framed.set(count);
  framed.set(message, count.length);
  return framed;
}
