/** A filter of fail2ban as text; import it with `{ type: "text" }`. */
declare module "*.conf" {
  const text: string;
  export default text;
}
