/** Chapters are imported as text and carried by the binary. */
declare module "*.md" {
  const text: string;
  export default text;
}
