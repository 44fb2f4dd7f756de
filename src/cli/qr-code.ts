/** Black on white, whatever the terminal's own colours are: readers of codes want the margins light. */
const BLACK_ON_WHITE = "\u001b[30;107m";
const PLAIN = "\u001b[0m";

/** Two rows of modules in one line of text: neither, the upper, the lower, both dark. */
const BLOCKS = [" ", "▀", "▄", "█"] as const;
/** Light modules around a code (ISO/IEC 18004 5.3.8). */
const MARGIN = 4;

/**
 * A QR code for a terminal. Without colours the dark modules are the letters' own, as for paper and for light terminals.
 * The library is loaded when a code is drawn.
 */
export async function qrLines(
  text: string,
  { isColoured }: { readonly isColoured: boolean },
): Promise<string[]> {
  const { encodeQR } = await import("qr");
  const modules = encodeQR(text, "raw", { ecc: "medium", border: MARGIN });
  const lines: string[] = [];
  for (let row = 0; row < modules.length; row += 2) {
    const [upper = [], lower = []] = [modules[row], modules[row + 1]];
    const line = upper.map((isDark, at) => BLOCKS[(isDark ? 1 : 0) + (lower[at] ? 2 : 0)]).join("");
    lines.push(isColoured ? `${BLACK_ON_WHITE}${line}${PLAIN}` : line);
  }
  return lines;
}
