import { FLOW_WORDS } from "./flow-key.ts";

/** Flows that are remembered; each set has two of them. 1/4 MiB for a hub that has an access list. */
const SETS = 2048;
/** The words of a flow, the matcher that was asked, the number of words, the answer. */
const STRIDE = FLOW_WORDS + 3;
const OWNER_AT = FLOW_WORDS;
const LENGTH_AT = FLOW_WORDS + 1;
const ANSWER_AT = FLOW_WORDS + 2;

/** What the last lookup answers where the flow is not known. */
export const UNKNOWN = -2;

/**
 * What was decided about flows. Entries are compared word by word, so flows that fall together cost a lookup in the
 * rules and nothing else; the seed keeps strangers from choosing which ones do.
 */
export class DecisionCache {
  readonly #entries = new Int32Array(SETS * 2 * STRIDE);
  readonly #seed: number;
  /** Where the flow of the last miss goes. */
  #place = 0;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** The answer for this flow by the matcher `owner` (above 0), or UNKNOWN; then put() tells it. */
  get(words: Int32Array, length: number, owner: number): number {
    let hash = this.#seed ^ owner;
    for (let i = 0; i < length; i += 1) {
      hash = Math.imul(hash ^ words[i]!, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash, 0x85ebca6b);
    const place = ((hash >>> 16) & (SETS - 1)) * 2 * STRIDE;
    if (this.#isAt(place, words, length, owner)) return this.#entries[place + ANSWER_AT]!;
    const second = place + STRIDE;
    if (this.#isAt(second, words, length, owner)) return this.#entries[second + ANSWER_AT]!;
    this.#place = place;
    return UNKNOWN;
  }

  /** Remembers the flow that get() has just not known; the older of the two at its place goes. */
  put(words: Int32Array, length: number, owner: number, answer: number): void {
    const entries = this.#entries;
    const at = this.#place;
    entries.copyWithin(at + STRIDE, at, at + STRIDE);
    for (let i = 0; i < length; i += 1) entries[at + i] = words[i]!;
    entries[at + OWNER_AT] = owner;
    entries[at + LENGTH_AT] = length;
    entries[at + ANSWER_AT] = answer;
  }

  #isAt(place: number, words: Int32Array, length: number, owner: number): boolean {
    const entries = this.#entries;
    if (entries[place + OWNER_AT] !== owner || entries[place + LENGTH_AT] !== length) return false;
    for (let i = 0; i < length; i += 1) if (entries[place + i] !== words[i]) return false;
    return true;
  }
}
