/** The package's module imported with `{ type: "file" }`: its path, and not what its own types say of its exports. */
declare module "lz4-wasm/lz4_wasm_bg.wasm" {
  const path: string;
  export default path;
}
