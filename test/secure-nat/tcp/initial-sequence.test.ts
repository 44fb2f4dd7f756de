import { expect, test } from "bun:test";
import { InitialSequence } from "../../../src/secure-nat/tcp/initial-sequence.ts";
import { seededRandom } from "../../support/seeded-random.ts";
import { address, INNER, OUTER } from "./tcp-world.ts";

const ENDS = { inner: INNER, innerPort: 40_000, outer: OUTER, outerPort: 80 };

test("of() gives the same to the same ends, counting on by 250 a millisecond (RFC 6528 3)", () => {
  const numbers = new InitialSequence(seededRandom(1));
  const first = numbers.of(ENDS, 1_000);
  const later = numbers.of(ENDS, 1_010);
  expect((later.sequence - first.sequence) >>> 0).toBe(2_500);
  expect(later.timestamp).toBe(first.timestamp);
});

test("of() gives others to other ends, and with another secret", () => {
  const numbers = new InitialSequence(seededRandom(1));
  const [inner, outer] = [address("fd00::10"), address("fd00::20")];
  const all = [
    numbers.of(ENDS, 0),
    numbers.of({ ...ENDS, innerPort: 40_001 }, 0),
    numbers.of({ ...ENDS, outerPort: 81 }, 0),
    numbers.of({ ...ENDS, outer: INNER, inner: OUTER }, 0),
    numbers.of({ ...ENDS, inner, outer }, 0),
    new InitialSequence(seededRandom(2)).of(ENDS, 0),
  ];
  expect(new Set(all.map(({ sequence }) => sequence)).size).toBe(all.length);
  expect(new Set(all.map(({ timestamp }) => timestamp)).size).toBe(all.length);
});
