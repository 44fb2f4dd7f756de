// Before any test is loaded (bunfig.toml): modules are imported by path, so they must be there.
import { ensureWasm } from "./compiled.ts";

await ensureWasm();
