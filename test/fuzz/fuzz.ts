import { existsSync, readdirSync, readFileSync } from "node:fs";
import { ProtocolError } from "../../src/base/errors.ts";
import { toHex } from "../support/hex.ts";
import { seededRandom } from "../support/seeded-random.ts";

const QUICK_ROUNDS = 20_000;
const MAX_INPUT_BYTES = 2048;
/** Inputs that got through are kept as the start of others, up to this many. */
const MAX_POOL = 1024;
const MAX_MUTATIONS = 6;
/** Lengths and counts at their edges are where parsers fail. */
const EDGES = [
  0, 1, 2, 3, 4, 5, 63, 64, 65, 127, 128, 254, 255, 0xfffe, 0xffff, 0x7fffffff, 0xffffffff,
];

type SeededRandom = ReturnType<typeof seededRandom>;

export interface FuzzOptions {
  /** Folder of test/fuzz/corpus with inputs that once failed. */
  readonly name: string;
  /** Valid inputs to begin with. */
  readonly seeds: readonly Uint8Array[];
  /** Returns true if the input got through, throws a ProtocolError if it is refused; all else is a fault. */
  readonly target: (bytes: Uint8Array) => boolean;
  /** Makes sums right again that would stop nearly every changed input at the door. */
  readonly repair?: (bytes: Uint8Array) => void;
  readonly seed?: number;
}

export interface FuzzReport {
  readonly rounds: number;
  readonly accepted: number;
}

/**
 * Feeds the target with mutated seeds: 20,000 of them, or for FUZZ_SECONDS if that is set. The same seed gives
 * the same inputs. An input that fails is in the error's message.
 */
export function fuzz(options: FuzzOptions): FuzzReport {
  const random = seededRandom(options.seed ?? 1);
  const seconds = Number(process.env["FUZZ_SECONDS"] ?? 0);
  const until = Date.now() + seconds * 1000;
  const pool = [...options.seeds, ...corpus(options.name)];
  let accepted = 0;
  let rounds = 0;
  for (const input of pool.slice()) if (attempt(options, input)) accepted++;
  if (accepted === 0) throw new Error(`Cannot fuzz ${options.name}: it takes none of its seeds`);
  while (seconds > 0 ? Date.now() < until : rounds < QUICK_ROUNDS) {
    rounds++;
    const input = mutate(random, pool);
    if (options.repair !== undefined && random.below(8) > 0) options.repair(input);
    if (!attempt(options, input)) continue;
    accepted++;
    if (pool.length < MAX_POOL) pool.push(input);
    else pool[options.seeds.length + random.below(MAX_POOL - options.seeds.length)] = input;
  }
  return { rounds, accepted };
}

function attempt(options: FuzzOptions, input: Uint8Array): boolean {
  const before = input.slice();
  try {
    const isTaken = options.target(input);
    if (Buffer.compare(before, input) !== 0) throw new Error("the target wrote into its input");
    return isTaken;
  } catch (thrown) {
    if (thrown instanceof ProtocolError) return false;
    throw new Error(`Cannot take ${toHex(before)}`, { cause: thrown });
  }
}

function corpus(name: string): Uint8Array[] {
  const folder = `${import.meta.dir}/corpus/${name}`;
  if (!existsSync(folder)) return [];
  return readdirSync(folder).map((file) => Uint8Array.from(readFileSync(`${folder}/${file}`)));
}

function mutate(random: SeededRandom, pool: readonly Uint8Array[]): Uint8Array {
  let bytes: Uint8Array = pool[random.below(pool.length)]!.slice();
  for (let n = 1 + random.below(MAX_MUTATIONS); n > 0; n--) bytes = mutateOnce(random, bytes, pool);
  return bytes.slice(0, MAX_INPUT_BYTES);
}

function mutateOnce(
  random: SeededRandom,
  bytes: Uint8Array,
  pool: readonly Uint8Array[],
): Uint8Array {
  const at = random.below(bytes.length + 1);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const edge = EDGES[random.below(EDGES.length)]!;
  switch (random.below(9)) {
    case 0:
      if (at < bytes.length) bytes[at]! ^= 1 << random.below(8);
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = random.below(256);
      return bytes;
    case 2:
      if (at < bytes.length) bytes[at] = edge;
      return bytes;
    case 3:
      if (at + 2 <= bytes.length) view.setUint16(at, edge);
      return bytes;
    case 4:
      if (at + 4 <= bytes.length) view.setUint32(at, edge);
      return bytes;
    case 5:
      return bytes.slice(0, at);
    case 6: {
      const cut = at + random.below(Math.min(32, bytes.length - at + 1));
      return joined(bytes.subarray(0, at), bytes.subarray(cut));
    }
    case 7:
      return joined(bytes.subarray(0, at), random.bytes(random.below(16)), bytes.subarray(at));
    default: {
      const other = pool[random.below(pool.length)]!;
      const from = random.below(other.length + 1);
      const piece = other.subarray(from, from + random.below(64));
      return joined(bytes.subarray(0, at), piece, bytes.subarray(at));
    }
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}
