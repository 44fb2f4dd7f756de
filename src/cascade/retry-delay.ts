import { RefusedError, VpnError, WIRE_ERROR } from "../base/errors.ts";
import type { Random } from "../base/random.ts";

// When a cascade tries again (hub.md 13). It never gives up: nobody sits before it.

const BASE_MS = 10_000;
/** Where many cascades of a server have lost their way at once, each waits a second for each of them. */
const PER_ACTIVE_MS = 1_000;
const SLOW_MS = 60_000;
/** Cascades that lost the same server must not come back in the same moment. */
const JITTER = 0.2;

/** The server is full or going, or will say the same until a person has changed something. */
const SLOW_ERRORS: ReadonlySet<number> = new Set([
  WIRE_ERROR.HUB_STOPPING,
  WIRE_ERROR.HUB_IS_BUSY,
  WIRE_ERROR.TOO_MANY_USER_SESSION,
  WIRE_ERROR.LICENSE_ERROR,
  WIRE_ERROR.AUTH_FAILED,
  WIRE_ERROR.ACCESS_DENIED,
  WIRE_ERROR.BRIDGE_MODE_DENIED,
  WIRE_ERROR.IP_ADDRESS_DENIED,
]);
/** The same of what this side finds out. */
const SLOW_CODES: ReadonlySet<string> = new Set([
  "certificate",
  "certificate_changed",
  "bad_key",
  "proxy_auth_failed",
  "self_loop",
]);

/**
 * Milliseconds to wait after the `failures`-th failure in a row, counted from 1.
 * @param active cascades of the whole server that are online
 */
export function linkRetryDelay(
  error: Error,
  failures: number,
  active: number,
  random: Random,
): number {
  const even = isSlow(error)
    ? SLOW_MS
    : Math.min(BASE_MS * (1 + failures), Math.max(BASE_MS, PER_ACTIVE_MS * active));
  return Math.round(even * (1 + JITTER * (2 * random.fraction() - 1)));
}

function isSlow(error: Error): boolean {
  if (error instanceof RefusedError) return SLOW_ERRORS.has(error.wireError);
  return error instanceof VpnError && SLOW_CODES.has(error.code);
}
