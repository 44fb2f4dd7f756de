import type { Random } from "../base/random.ts";
import type { DhcpLease } from "./dhcp-lease.ts";

/* Specification constants. */

/** Retries double from here to there. RFC 2131 4.1 begins at 4 s; but connecting must be quick. */
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 64_000;
/** Least time between renewals (RFC 2131 4.4.5). */
const MIN_RENEWAL_GAP_MS = 60_000;

/* Implementation constants: many clients that start at once shall not stay in step. */

/** Retries are spread by this share to either side; renewals begin earlier by up to the other. */
const RETRY_SPREAD = 0.125;
const RENEWAL_SPREAD = 0.05;

/** The wait after the `tries`th message of a kind, counted from 1. */
export function retryMs(tries: number, random: Random): number {
  const spread = 1 + RETRY_SPREAD * (2 * random.fraction() - 1);
  return Math.min(FIRST_RETRY_MS * 2 ** (tries - 1), MAX_RETRY_MS) * spread;
}

/** The time from a request to the first renewal of what it got. */
export function renewalMs(lease: DhcpLease, random: Random): number {
  return lease.t1Ms * (1 - RENEWAL_SPREAD * random.fraction());
}

/** The wait between two renewals: half of what is left until something worse, but a minute at least. */
export function renewalGapMs(leftMs: number): number {
  return Math.max(MIN_RENEWAL_GAP_MS, leftMs / 2);
}
