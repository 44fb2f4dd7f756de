import { readFileSync } from "node:fs";
import path from "lz4-wasm/lz4_wasm_bg.wasm" with { type: "file" };
import { VpnError } from "../../base/errors.ts";
import { MAX_FRAME_BYTES } from "../../base/limits.ts";
import { AREA_BYTES, type BlockCoder, type CoderAreas } from "./block-coder.ts";
import { isSoundLz4 } from "./lz4-soundness.ts";

// Blocks between two of ours:
//
//   block = u16 size (0: what follows is the frame as it is; else the frame's size, big-endian), LZ4 block
//
// The library puts the size before its blocks in four bytes of its own order: they are left out and put in again, and
// so it sets no memory aside but for a size that was looked at.

const SIZE_BYTES = 2;
const LIBRARY_SIZE_BYTES = 4;
/** Answers of the library, on its stack: where the result is, its length, an error and whether there is one. */
const ANSWER_BYTES = 16;

interface Lz4Exports {
  readonly memory: WebAssembly.Memory;
  /** Both take the input over, which must be from malloc, and answer with what has to be freed. */
  compress(answer: number, at: number, size: number): void;
  decompress(answer: number, at: number, size: number): void;
  __wbindgen_malloc(size: number): number;
  __wbindgen_free(at: number, size: number): void;
  __wbindgen_add_to_stack_pointer(by: number): number;
}

export class Lz4Coder implements BlockCoder {
  readonly name = "lz4";
  readonly storedOverhead = SIZE_BYTES;
  bytes: Uint8Array;
  view: DataView;
  readonly encoding: CoderAreas;
  readonly decoding: CoderAreas;
  readonly #lz4: Lz4Exports = instantiate();
  readonly #answer: number;

  constructor() {
    const lz4 = this.#lz4;
    this.#answer = lz4.__wbindgen_add_to_stack_pointer(-ANSWER_BYTES);
    const area = () => lz4.__wbindgen_malloc(AREA_BYTES);
    this.encoding = { input: area(), output: area() };
    this.decoding = { input: area(), output: area() };
    this.bytes = new Uint8Array(lz4.memory.buffer);
    this.view = new DataView(lz4.memory.buffer);
  }

  compress(at: number, size: number, to: number, room: number): number {
    const input = this.#lz4.__wbindgen_malloc(size);
    this.#keepUp();
    this.bytes.copyWithin(input, at, at + size);
    this.#lz4.compress(this.#answer, input, size);
    this.#keepUp();
    const result = this.view.getUint32(this.#answer, true);
    const resultBytes = this.view.getUint32(this.#answer + 4, true);
    const blockBytes = SIZE_BYTES + resultBytes - LIBRARY_SIZE_BYTES;
    const isSmall = blockBytes <= room;
    if (isSmall) {
      this.view.setUint16(to, size);
      const body = result + LIBRARY_SIZE_BYTES;
      this.bytes.copyWithin(to + SIZE_BYTES, body, result + resultBytes);
    }
    this.#lz4.__wbindgen_free(result, resultBytes);
    return isSmall ? blockBytes : 0;
  }

  store(at: number, size: number, to: number): number {
    this.view.setUint16(to, 0);
    this.bytes.copyWithin(to + SIZE_BYTES, at, at + size);
    return SIZE_BYTES + size;
  }

  expand(at: number, size: number, to: number): number {
    if (size <= SIZE_BYTES) return -1;
    const body = at + SIZE_BYTES;
    const bodyBytes = size - SIZE_BYTES;
    const frameBytes = this.view.getUint16(at);
    if (frameBytes === 0) {
      if (bodyBytes > MAX_FRAME_BYTES) return -1;
      this.bytes.copyWithin(to, body, at + size);
      return bodyBytes;
    }
    if (frameBytes > MAX_FRAME_BYTES) return -1;
    if (!isSoundLz4(this.bytes, body, at + size, frameBytes)) return -1;
    const input = this.#lz4.__wbindgen_malloc(LIBRARY_SIZE_BYTES + bodyBytes);
    this.#keepUp();
    this.view.setUint32(input, frameBytes, true);
    this.bytes.copyWithin(input + LIBRARY_SIZE_BYTES, body, at + size);
    this.#lz4.decompress(this.#answer, input, LIBRARY_SIZE_BYTES + bodyBytes);
    this.#keepUp();
    if (this.view.getUint32(this.#answer + 12, true) !== 0) return -1;
    const result = this.view.getUint32(this.#answer, true);
    const resultBytes = this.view.getUint32(this.#answer + 4, true);
    const isWhole = resultBytes === frameBytes;
    if (isWhole) this.bytes.copyWithin(to, result, result + resultBytes);
    this.#lz4.__wbindgen_free(result, resultBytes);
    return isWhole ? resultBytes : -1;
  }

  /** Growth of the memory detaches what was there before. */
  #keepUp(): void {
    if (this.bytes.length > 0) return;
    this.bytes = new Uint8Array(this.#lz4.memory.buffer);
    this.view = new DataView(this.#lz4.memory.buffer);
  }
}

function instantiate(): Lz4Exports {
  const module = new WebAssembly.Module(readFileSync(path));
  // The library would hand its text of an error over as an object; the number 1 says as much.
  const instance = new WebAssembly.Instance(module, {
    "./lz4_wasm_bg.js": { __wbindgen_string_new: () => 1 },
  });
  const exported: unknown = instance.exports;
  if (!isLz4(exported)) throw new VpnError("compression", "Cannot use lz4-wasm: not the module");
  return exported;
}

function isLz4(exported: unknown): exported is Lz4Exports {
  const found = new Map(Object.entries(exported ?? {}));
  const functions = ["compress", "decompress", "__wbindgen_malloc", "__wbindgen_free"];
  return (
    found.get("memory") instanceof WebAssembly.Memory &&
    [...functions, "__wbindgen_add_to_stack_pointer"].every(
      (name) => typeof found.get(name) === "function",
    )
  );
}
