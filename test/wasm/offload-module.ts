// The compiled module alone with a memory of its own, with watched borders around everything that it may write to.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { WASM_DIR } from "../../src/wasm/compile.ts";
import { ensureWasm } from "./compiled.ts";

await ensureWasm();

export const VARIANTS = ["offload.wasm", "offload-scalar.wasm"] as const;

const MEMORY_BYTES = 4 << 20;
const MAX_JOBS = 128;
const MAX_VECTORS = 64;
const BASE = 0x7000_0000_0000n;
const BORDER = 0xb5;
const BORDERS = new Uint8Array(2 << 20).fill(BORDER);

/* The map: input, output, then the tables, each with a border before and behind. */
const INPUT_AT = 65_536;
const INPUT_BYTES = 1 << 20;
const OUTPUT_AT = INPUT_AT + INPUT_BYTES + 4096;
const OUTPUT_BYTES = 1 << 20;
const JOBS_AT = OUTPUT_AT + OUTPUT_BYTES + 4096;
const VECTORS_AT = JOBS_AT + MAX_JOBS * 64 + 4096;
const HEADERS_AT = VECTORS_AT + MAX_JOBS * MAX_VECTORS * 16 + 4096;
const FLOWS_AT = HEADERS_AT + MAX_JOBS * 128 + 4096;
const AREAS: readonly (readonly [number, number])[] = [
  [JOBS_AT, MAX_JOBS * 64],
  [VECTORS_AT, MAX_JOBS * MAX_VECTORS * 16],
  [HEADERS_AT, MAX_JOBS * 128],
  [FLOWS_AT, 64],
];

interface Exports {
  init(...numbers: (number | bigint)[]): void;
  cut(at: number, bytes: number, out: number, room: number, maxFrame: number): number;
  cutFrames(): number;
  merge(at: number, end: number): number;
  jobs(): number;
  refused(): number;
  sum(at: number, bytes: number): bigint;
}

/** One job of `merge`: its bytes as the kernel gets them, and where in the input each part but the first begins. */
export interface Job {
  bytes: Uint8Array;
  partsAt: number[];
}

export class OffloadModule {
  readonly #memory = new WebAssembly.Memory({ initial: MEMORY_BYTES / 65_536 });
  readonly #bytes = new Uint8Array(this.#memory.buffer);
  readonly #view = new DataView(this.#memory.buffer);
  readonly #wasm: Exports;

  constructor(variant: (typeof VARIANTS)[number]) {
    const module = new WebAssembly.Module(readFileSync(join(WASM_DIR, variant)));
    const instance = new WebAssembly.Instance(module, { env: { memory: this.#memory } });
    this.#wasm = instance.exports as unknown as Exports;
    this.#bytes.fill(BORDER);
    this.#wasm.init(JOBS_AT, VECTORS_AT, HEADERS_AT, FLOWS_AT, BASE, 14, 1600);
  }

  sum(bytes: Uint8Array): bigint {
    this.#bytes.set(bytes, INPUT_AT);
    return this.#wasm.sum(INPUT_AT, bytes.length);
  }

  /** The frames, or the negative answer. Throws if anything outside of the output's `room` was written to. */
  cut(read: Uint8Array, room: number = OUTPUT_BYTES): { answer: number; run: Uint8Array } {
    this.#bytes.fill(BORDER, INPUT_AT - 64, INPUT_AT + INPUT_BYTES);
    this.#bytes.fill(BORDER, OUTPUT_AT, OUTPUT_AT + OUTPUT_BYTES);
    this.#bytes.set(read, INPUT_AT);
    const answer = this.#wasm.cut(INPUT_AT, read.length, OUTPUT_AT, room, 1600);
    const written = Math.max(answer, 0);
    this.#expectBorder(OUTPUT_AT - 4096, OUTPUT_AT);
    this.#expectBorder(OUTPUT_AT + written, OUTPUT_AT + OUTPUT_BYTES + 4096);
    this.#expectBorder(INPUT_AT + read.length, INPUT_AT + INPUT_BYTES);
    return { answer, run: this.#bytes.slice(OUTPUT_AT, OUTPUT_AT + written) };
  }

  cutFrames(): number {
    return this.#wasm.cutFrames();
  }

  /** The jobs of a whole run, and the frames refused. Throws if it or anything outside of the tables was written to. */
  merge(run: Uint8Array): { jobs: Job[]; refused: number } {
    this.#bytes.fill(BORDER, INPUT_AT - 64, INPUT_AT + INPUT_BYTES);
    this.#bytes.set(run, INPUT_AT);
    const end = INPUT_AT + run.length;
    const jobs: Job[] = [];
    let refused = 0;
    for (let at = INPUT_AT; at < end;) {
      const next = this.#wasm.merge(at, end);
      if (next > end || (next === at && this.#wasm.refused() === 0 && end - at >= 4)) {
        throw new Error(`merge went from ${at} to ${next} of ${end}`);
      }
      refused += this.#wasm.refused();
      for (let n = 0; n < this.#wasm.jobs(); n += 1) jobs.push(this.#job(n));
      if (next === at) break;
      at = next;
    }
    if (Buffer.compare(this.#bytes.subarray(INPUT_AT, end), run) !== 0)
      throw new Error("run changed");
    this.#expectBorder(end, INPUT_AT + INPUT_BYTES);
    for (const [at, bytes] of AREAS) {
      this.#expectBorder(at - 4096, at);
      this.#expectBorder(at + bytes, at + bytes + 4096);
    }
    return { jobs, refused };
  }

  #job(index: number): Job {
    const vectors = this.#view.getInt32(JOBS_AT + index * 64, true);
    if (vectors < 2 || vectors > MAX_VECTORS) throw new Error(`job has ${vectors} vectors`);
    const parts: Uint8Array[] = [];
    const partsAt: number[] = [];
    for (let n = 0; n < vectors; n += 1) {
      const entry = VECTORS_AT + (index * MAX_VECTORS + n) * 16;
      const at = Number(this.#view.getBigUint64(entry, true) - BASE);
      const length = Number(this.#view.getBigUint64(entry + 8, true));
      const [from, size] = n === 0 ? [HEADERS_AT + index * 128, 128] : [INPUT_AT, INPUT_BYTES];
      if (at < from || at + length > from + size)
        throw new Error(`vector ${n} at ${at}, ${length}`);
      parts.push(this.#bytes.slice(at, at + length));
      if (n > 0) partsAt.push(at - INPUT_AT);
    }
    return { bytes: Uint8Array.from(Buffer.concat(parts)), partsAt };
  }

  #expectBorder(from: number, to: number): void {
    if (Buffer.compare(this.#bytes.subarray(from, to), BORDERS.subarray(0, to - from)) === 0)
      return;
    const at = this.#bytes.subarray(from, to).findIndex((byte) => byte !== BORDER);
    throw new Error(`byte ${from + at} was written to`);
  }
}
