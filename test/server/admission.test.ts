import { describe, expect, test } from "bun:test";
import type { Random } from "../../src/base/random.ts";
import { Admission } from "../../src/server/admission.ts";
import { seededRandom } from "../support/seeded-random.ts";

const LIMITS = { connectionsPerSource: 16, connections: 1_000 };
/** Never refuses by chance, unless it must. */
const LUCKY: Random = { bytes: (count) => new Uint8Array(count), fraction: () => 0.999_999 };

const addressOf = (i: number) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;

/** Share of newcomers that are refused while so many are pending. */
function refusedShareOf(pending: number): number {
  const tries = 5_000;
  const dice = seededRandom(pending);
  let random = LUCKY;
  const admission = new Admission(LIMITS, { ...LUCKY, fraction: () => random.fraction() });
  for (let i = 0; i < pending; i++) admission.enter(addressOf(i));
  expect(admission.pending).toBe(pending);
  random = dice;
  let refused = 0;
  for (let i = 0; i < tries; i++) {
    if (admission.enter("192.0.2.1") === "shed") refused++;
    else admission.leave("192.0.2.1");
  }
  return refused / tries;
}

describe("Admission", () => {
  test("TL-11 a source has its number of connections, and gets them back", () => {
    const admission = new Admission(LIMITS, LUCKY);
    for (let i = 0; i < 16; i++) expect(admission.enter("192.0.2.1")).toBeUndefined();
    expect(admission.enter("192.0.2.1")).toBe("source_limit");
    expect(admission.enter("::ffff:192.0.2.1")).toBe("source_limit");
    expect(admission.enter("192.0.2.2")).toBeUndefined();
    admission.leave("192.0.2.1");
    expect(admission.enter("192.0.2.1")).toBeUndefined();
    expect(admission.pending).toBe(17);
  });

  test("TL-11 a /64 is one source", () => {
    const admission = new Admission(LIMITS, LUCKY);
    for (let i = 0; i < 16; i++) expect(admission.enter(`2001:db8::${i}`)).toBeUndefined();
    expect(admission.enter("2001:db8::ffff")).toBe("source_limit");
    expect(admission.enter("2001:db8:0:1::1")).toBeUndefined();
  });

  test("leave() of an address that never entered changes nothing", () => {
    const admission = new Admission(LIMITS, LUCKY);
    admission.leave("192.0.2.1");
    expect(admission.pending).toBe(0);
  });

  const CURVE = [
    [0, 0],
    [199, 0],
    [200, 0.3],
    [600, 0.65],
    [920, 0.93],
    [1_000, 1],
  ] as const;
  test.each(CURVE)("TL-12 with %d pending a share of %d is refused at random", (pending, share) => {
    expect(Math.abs(refusedShareOf(pending) - share)).toBeLessThan(0.03);
  });

  test("TL-12 at the bound everybody is refused, luck or not", () => {
    const admission = new Admission(LIMITS, LUCKY);
    for (let i = 0; admission.pending < 1_000; i++) admission.enter(addressOf(i));
    expect(admission.enter("192.0.2.1")).toBe("shed");
    expect(admission.pending).toBe(1_000);
  });

  test("reconfigure() holds for newcomers and leaves those who are in", () => {
    const admission = new Admission(LIMITS, LUCKY);
    for (let i = 0; i < 10; i++) admission.enter("192.0.2.1");
    admission.reconfigure({ connectionsPerSource: 5, connections: 1_000 });
    expect(admission.enter("192.0.2.1")).toBe("source_limit");
    for (let i = 0; i < 6; i++) admission.leave("192.0.2.1");
    expect(admission.enter("192.0.2.1")).toBeUndefined();
    expect(admission.pending).toBe(5);
  });
});
