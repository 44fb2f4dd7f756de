import { describe, expect, test } from "bun:test";
import { ReplayWindow } from "../../../src/session/udp/replay-window.ts";
import { seededRandom } from "../../support/seeded-random.ts";

describe("ReplayWindow", () => {
  test("UD-02 admit() refuses the same IV among the last 4,096, as a plain set does", () => {
    const window = new ReplayWindow();
    const random = seededRandom(7);
    const seen: [number, number][] = [];
    for (let n = 0; n < 20_000; n += 1) {
      const again = seen.length > 0 && random.below(4) === 0;
      const back = random.below(Math.min(seen.length, 4_096));
      const iv: [number, number] = again
        ? seen[seen.length - 1 - back]!
        : // Few different hashes, so that chains grow and shrink.
          [random.below(64), n];
      expect(window.admit(iv[0], iv[1], n, n)).toBe(!again);
      if (!again) seen.push(iv);
    }
  });

  test("an entry makes room when its tick is refused for its age", () => {
    const window = new ReplayWindow();
    // One a second: no more than about thirty are within the window.
    for (let n = 0; n < 10_000; n += 1) {
      expect(window.admit(1, n, n * 1_000, n * 1_000)).toBe(true);
      if (n > 0) expect(window.admit(1, n - 1, (n - 1) * 1_000, n * 1_000)).toBe(false);
    }
  });
});
