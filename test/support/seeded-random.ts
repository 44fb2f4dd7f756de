import type { Random } from "../../src/base/random.ts";

/** Numbers that look random and are the same in each run with the same seed (mulberry32). */
export function seededRandom(seed: number): Random & { below(bound: number): number } {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return {
    bytes: (count) => Uint8Array.from({ length: count }, () => next()),
    fraction: () => next() / 2 ** 32,
    /** A whole number from 0 to bound - 1. */
    below: (bound) => Math.floor((next() / 2 ** 32) * bound),
  };
}
