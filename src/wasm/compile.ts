import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { main } from "assemblyscript/asc";
import { VpnError } from "../base/errors.ts";

/** Where the program looks for the modules; the folder is made by compiling and not kept. */
export const WASM_DIR = join(import.meta.dir, "generated");

/** Each with vector instructions, and without them for processors that have none that the runtime can use. */
const SIMD = ["--enable", "simd"] as const;
const VARIANTS = [
  { source: "offload.as.ts", file: "offload.wasm", options: SIMD },
  { source: "offload.as.ts", file: "offload-scalar.wasm", options: [] },
  { source: "datagram.as.ts", file: "datagram.wasm", options: SIMD },
  { source: "datagram.as.ts", file: "datagram-scalar.wasm", options: [] },
] as const;

/** Names of the files that `compileWasm` makes. */
export const WASM_FILES: readonly string[] = VARIANTS.map(({ file }) => file);

/**
 * Compiles the modules, each to `NAME.wasm` and `NAME-scalar.wasm` in `outDir`. For the build and for tests: the
 * compiler is a development dependency and not part of the program.
 * @throws VpnError `compile` with the compiler's messages
 */
export async function compileWasm(outDir: string = WASM_DIR): Promise<void> {
  await mkdir(outDir, { recursive: true });
  for (const { source, file, options } of VARIANTS) {
    const { error, stderr } = await main([
      join(import.meta.dir, source),
      "--outFile",
      join(outDir, file),
      "--runtime",
      "stub",
      "--importMemory",
      "--noAssert",
      "--use",
      "abort=",
      "-O3",
      ...options,
    ]);
    if (error !== null) {
      throw new VpnError("compile", `Cannot compile ${file}: ${stderr.toString()}`, {
        cause: error,
      });
    }
  }
}
