import { ExitError, RefusedError, VpnError, WIRE_ERROR } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { RetryVerdict } from "../session/supervisor.ts";

/** How an account goes on after a failure (hub.md 15.4). */
export interface RetryPolicy {
  /** Attempts after the first that failed; Infinity for ever, 0 for none. */
  readonly limit: number;
  readonly intervalMs: number;
  /** A person is looking: refusals that only a person can mend end it after a few tries. */
  readonly interactive: boolean;
}

/** The server is full or going: sooner would only add to its load. */
const BUSY_ERRORS: ReadonlySet<number> = new Set([
  WIRE_ERROR.HUB_STOPPING,
  WIRE_ERROR.HUB_IS_BUSY,
  WIRE_ERROR.TOO_MANY_USER_SESSION,
  WIRE_ERROR.LICENSE_ERROR,
]);
/** Wrong password, no right to be here: the same again will be refused again. */
const PERSONAL_ERRORS: ReadonlySet<number> = new Set([
  WIRE_ERROR.AUTH_FAILED,
  WIRE_ERROR.ACCESS_DENIED,
  WIRE_ERROR.MONITOR_MODE_DENIED,
  WIRE_ERROR.BRIDGE_MODE_DENIED,
  WIRE_ERROR.IP_ADDRESS_DENIED,
]);
/** The same of those on the way to the server. */
const PERSONAL_CODES: ReadonlySet<string> = new Set(["proxy_auth_failed"]);
/** Never tried again: a server that is not who it should be, a key of no use, and an end that the policy asked for. */
const FINAL_CODES: ReadonlySet<string> = new Set([
  "certificate",
  "certificate_changed",
  "bad_key",
  "cancelled",
  `refused_${WIRE_ERROR.AUTO_DISCONNECT}`,
]);

const BUSY_MS = 60_000;
const TRIES_WHILE_REFUSED = 3;
/** The interval stands for this many failures, then doubles up to the longest that the reference allows. */
const EVEN_TRIES = 4;
const MAX_DELAY_MS = 300_000;
/** Clients that lost the same server must not come back in the same moment. */
const JITTER = 0.2;

/**
 * What follows the `failures`-th failure in a row, counted from 1.
 */
export function retryAfter(
  error: Error,
  failures: number,
  policy: RetryPolicy,
  random: Random,
): RetryVerdict {
  // What ends the program is of this machine: a password that nobody can be asked for, say.
  if (error instanceof ExitError) return { kind: "give-up" };
  if (error instanceof VpnError && FINAL_CODES.has(error.code)) return { kind: "give-up" };
  const refused = error instanceof RefusedError ? error.wireError : WIRE_ERROR.NONE;
  const isPersonal =
    PERSONAL_ERRORS.has(refused) || (error instanceof VpnError && PERSONAL_CODES.has(error.code));
  const hopeless = policy.interactive && isPersonal && failures >= TRIES_WHILE_REFUSED;
  if (hopeless || failures > policy.limit) return { kind: "give-up" };
  const doublings = Math.max(0, failures - EVEN_TRIES);
  const grown = Math.min(
    policy.intervalMs * 2 ** doublings,
    Math.max(policy.intervalMs, MAX_DELAY_MS),
  );
  const even = BUSY_ERRORS.has(refused) ? Math.max(grown, BUSY_MS) : grown;
  return { kind: "wait", delayMs: Math.round(even * (1 + JITTER * (2 * random.fraction() - 1))) };
}
