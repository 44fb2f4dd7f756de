/** A unit of systemd as text; import it with `{ type: "text" }`. */
declare module "*.service" {
  const text: string;
  export default text;
}
