import { describe, expect, test } from "bun:test";
import { EXIT, ExitError, RefusedError, VpnError } from "../../src/base/errors.ts";
import { retryAfter, type RetryPolicy } from "../../src/client/retry.ts";

const LOST = new VpnError("connect_failed", "gone");
const FOREVER: RetryPolicy = { limit: Infinity, intervalMs: 15_000, interactive: false };
/** `fraction` decides the jitter: 0.5 is none. */
const dice = (fraction: number) => ({ bytes: () => new Uint8Array(), fraction: () => fraction });

const delay = (error: Error, failures: number, policy = FOREVER, fraction = 0.5) => {
  const verdict = retryAfter(error, failures, policy, dice(fraction));
  return verdict.kind === "wait" ? verdict.delayMs : verdict.kind;
};

describe("retryAfter()", () => {
  test("waits the interval, and from the fifth failure on twice as long each, up to 300 s", () => {
    const delays = [1, 2, 3, 4, 5, 6, 7, 8, 9, 50].map((failures) => delay(LOST, failures));
    expect(delays).toEqual(
      [15, 15, 15, 15, 30, 60, 120, 240, 300, 300].map((seconds) => seconds * 1000),
    );
  });

  test("spreads the waits by a fifth to either side", () => {
    expect([0, 0.999_999].map((fraction) => delay(LOST, 1, FOREVER, fraction))).toEqual([
      12_000, 18_000,
    ]);
  });

  test("keeps an interval that is longer than the longest it would grow to", () => {
    expect(delay(LOST, 20, { ...FOREVER, intervalMs: 600_000 })).toBe(600_000);
  });

  test.each([10, 16, 20, 21])(
    "leaves a server that answered %d alone for a minute",
    (wireError) => {
      expect(delay(new RefusedError(wireError, "busy"), 1)).toBe(60_000);
    },
  );

  test("does not try again what this machine lacks", () => {
    expect(delay(new ExitError(EXIT.data, "nobody can be asked"), 1)).toBe("give-up");
    expect(delay(new VpnError("bad_key", "not RSA"), 1)).toBe("give-up");
  });

  test("gives up after as many tries as are allowed", () => {
    const policy = { ...FOREVER, limit: 2 };
    expect([1, 2, 3].map((failures) => delay(LOST, failures, policy))).toEqual([
      15_000,
      15_000,
      "give-up",
    ]);
    expect(delay(LOST, 1, { ...FOREVER, limit: 0 })).toBe("give-up");
  });

  test.each([9, 12, 107, 108, 109])(
    "gives up on %d at the third time if a person looks on",
    (wireError) => {
      const refused = new RefusedError(wireError, "no");
      const policy = { ...FOREVER, interactive: true };
      expect([1, 2, 3].map((failures) => delay(refused, failures, policy))).toEqual([
        15_000,
        15_000,
        "give-up",
      ]);
      expect(delay(refused, 30)).not.toBe("give-up");
    },
  );

  test("a proxy that refuses the login ends it after three tries where a person looks on", () => {
    const refused = new VpnError("proxy_auth_failed", "no");
    const policy = { ...FOREVER, interactive: true };
    expect([1, 2, 3].map((failures) => delay(refused, failures, policy)).at(-1)).toBe("give-up");
    expect(delay(refused, 30)).not.toBe("give-up");
  });

  test("goes on for other refusals even if a person looks on", () => {
    expect(delay(new RefusedError(8, "no hub"), 9, { ...FOREVER, interactive: true })).toBe(
      300_000,
    );
  });

  test.each(["certificate", "certificate_changed", "cancelled"])(
    "HS-20 never tries again after %s",
    (code) => {
      expect(delay(new VpnError(code, "no"), 1)).toBe("give-up");
    },
  );

  test("does not try again when the policy ended the session (126)", () => {
    expect(delay(new RefusedError(126, "time is over"), 1)).toBe("give-up");
  });

  test("HS-20 an error number that nobody knows is tried again", () => {
    expect(delay(new RefusedError(4_000_000_000, "?"), 1)).toBe(15_000);
  });
});
