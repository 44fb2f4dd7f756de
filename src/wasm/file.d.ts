/** A compiled module imported with `{ type: "file" }`: its path, inside the executable once that is built. */
declare module "*.wasm" {
  const path: string;
  export default path;
}
