import { LOCKOUT_MAX_USERS } from "../base/limits.ts";

/* What telephones take without being asked (RFC 6238 4, 5.2). */
const DIGITS = 6;
const STEP_S = 30;
/** Steps that a clock may be off to either side. */
const SKEW = 1;

/** What a person types where a code is due: the password, and the code behind it. */
export interface PasswordAndCode {
  readonly password: Uint8Array;
  readonly code: string;
}

/** Cuts the six digits from the end; undefined where they are not there. */
export function trySplitCode(typed: Uint8Array): PasswordAndCode | undefined {
  const at = typed.length - DIGITS;
  const code = new TextDecoder("latin1").decode(typed.subarray(Math.max(0, at)));
  return /^\d{6}$/.test(code) ? { password: typed.subarray(0, at), code } : undefined;
}

/**
 * The step of time that a code belongs to, within the skew; undefined for a wrong one. The library is loaded when the
 * first code is looked at.
 */
export async function findCodeStep(
  secret: Uint8Array,
  code: string,
  wall: number,
): Promise<number | undefined> {
  const { Secret, TOTP } = await import("otpauth");
  const totp = new TOTP({
    // The library takes the whole buffer behind a view.
    secret: new Secret({ buffer: secret.slice().buffer }),
    digits: DIGITS,
    period: STEP_S,
  });
  const delta = totp.validate({ token: code, timestamp: wall, window: SKEW });
  return delta === null ? undefined : totp.counter({ timestamp: wall }) + delta;
}

/**
 * Each code is good for one login, and so are those before it (RFC 6238 5.2). What was used before the program started is
 * not known, so codes of steps before the one in which it started are not taken.
 */
export class UsedCodes {
  readonly #oldest: number;
  /** Last step by user, in the order of use. */
  readonly #last = new Map<string, number>();

  constructor(startWall: number) {
    this.#oldest = Math.floor(startWall / (STEP_S * 1000));
  }

  /** False if this user has used a code of this step or a later one. */
  tryUse(user: string, step: number): boolean {
    const last = this.#last.get(user) ?? this.#oldest - 1;
    if (step <= last) return false;
    this.#last.delete(user);
    this.#last.set(user, step);
    if (this.#last.size > LOCKOUT_MAX_USERS) {
      const first = this.#last.keys().next().value;
      if (first !== undefined) this.#last.delete(first);
    }
    return true;
  }
}
