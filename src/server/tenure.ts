import { clamp } from "../base/clamp.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { afterLong } from "../base/long-timer.ts";
import type { Policy } from "../config/policy.ts";
import type { PortCounters } from "../hub/port-counters.ts";
import type { CloseReason } from "../hub/port.ts";

/** An idle session ends at most one in so many parts of its time too late. */
const IDLE_LOOKS = 8;
/** Servers that mean "never" send 136 years: no timer of the runtime waits for a part of that. */
const MIN_LOOK_MS = 1_000;
const MAX_LOOK_MS = 3_600_000;

export interface TenureLimits {
  /** Wall-clock milliseconds. */
  readonly certificateExpires: number | undefined;
  /** From the RADIUS server: in all, and without a frame of the user (RFC 2865 5.27, 5.28). */
  readonly sessionTimeoutS: number | undefined;
  readonly idleTimeoutS: number | undefined;
}

/** How long one session may stay (hub.md 5.7, 9.1): ends it when the first of its times has come. */
export class Tenure {
  readonly #clock: Clock;
  readonly #counters: PortCounters;
  readonly #startedAt: number;
  readonly #end: (reason: CloseReason) => void;
  readonly #timers: Timer[] = [];
  #policy: Timer | undefined;

  constructor(
    limits: TenureLimits,
    session: { readonly counters: PortCounters; readonly end: (reason: CloseReason) => void },
    clock: Clock,
  ) {
    this.#clock = clock;
    this.#counters = session.counters;
    this.#end = session.end;
    this.#startedAt = clock.now();
    const { sessionTimeoutS, idleTimeoutS } = limits;
    if (sessionTimeoutS !== undefined) this.#endAfter(sessionTimeoutS * 1000, "session_timeout");
    if (idleTimeoutS !== undefined) this.#watchIdle(idleTimeoutS * 1000);
    if (limits.certificateExpires !== undefined) {
      this.#endAfter(limits.certificateExpires - clock.wall(), "certificate_expired");
    }
  }

  /** The policy that holds from now on: its time counts from the beginning of the session. */
  apply({ auto_disconnect: seconds }: Policy): void {
    this.#policy?.cancel();
    const left = this.#startedAt + seconds * 1000 - this.#clock.now();
    this.#policy =
      seconds === 0
        ? undefined
        : afterLong(this.#clock, left, () => this.#end({ code: "auto_disconnect" }));
  }

  /** The session is over. */
  cancel(): void {
    this.#policy?.cancel();
    for (const timer of this.#timers) timer.cancel();
  }

  #endAfter(ms: number, code: string): void {
    this.#timers.push(afterLong(this.#clock, ms, () => this.#end({ code })));
  }

  #watchIdle(idleMs: number): void {
    let seen = this.#framesOfUser();
    let seenAt = this.#clock.now();
    const look = () => {
      const frames = this.#framesOfUser();
      const now = this.#clock.now();
      if (frames !== seen) [seen, seenAt] = [frames, now];
      else if (now - seenAt >= idleMs) this.#end({ code: "idle_timeout" });
    };
    const everyMs = clamp(idleMs / IDLE_LOOKS, MIN_LOOK_MS, MAX_LOOK_MS);
    this.#timers.push(this.#clock.every(everyMs, look));
  }

  #framesOfUser(): number {
    const { unicast, group } = this.#counters.record().ingress;
    return unicast.frames + group.frames;
  }
}
