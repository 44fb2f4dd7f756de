import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { compileWasm, WASM_DIR, WASM_FILES } from "../../src/wasm/compile.ts";

/** Compiles the modules unless that is done and newer than their sources. Await it before importing users of it. */
export async function ensureWasm(): Promise<void> {
  const sources = join(import.meta.dir, "../../src/wasm");
  const newest = Math.max(
    ...readdirSync(sources)
      .filter((name) => name.endsWith(".ts"))
      .map((name) => statSync(join(sources, name)).mtimeMs),
  );
  const made = WASM_FILES.map((name) => join(WASM_DIR, name));
  if (made.some((path) => !existsSync(path) || statSync(path).mtimeMs < newest))
    await compileWasm();
}
