import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { main } from "assemblyscript/asc";
import { VpnError } from "../base/errors.ts";

/** Where the program looks for the modules; the folder is made by compiling and not kept. */
export const WASM_DIR = join(import.meta.dir, "generated");

/** With vector instructions, and without them for processors that have none that the runtime can use. */
const VARIANTS = [
  { file: "offload.wasm", options: ["--enable", "simd"] },
  { file: "offload-scalar.wasm", options: [] },
] as const;

/**
 * Compiles the offload module to `offload.wasm` and `offload-scalar.wasm` in `outDir`. For the build and for tests: the
 * compiler is a development dependency and not part of the program.
 * @throws VpnError `compile` with the compiler's messages
 */
export async function compileWasm(outDir: string = WASM_DIR): Promise<void> {
  await mkdir(outDir, { recursive: true });
  for (const { file, options } of VARIANTS) {
    const { error, stderr } = await main([
      join(import.meta.dir, "offload.as.ts"),
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
