import { describe, expect, test } from "bun:test";
import decodeQR from "qr/decode.js";
import { qrLines } from "../../src/cli/qr-code.ts";

/** Enlarges what the lines show to the pixels that a camera would see, dark on light. */
function photograph(lines: readonly string[]): { width: number; height: number; data: Uint8Array } {
  const rows = lines.flatMap((line) => [
    [...line].map((block) => block === "▀" || block === "█"),
    [...line].map((block) => block === "▄" || block === "█"),
  ]);
  const scale = 4;
  const [width, height] = [rows[0]!.length * scale, rows.length * scale];
  const data = new Uint8Array(width * height * 4).fill(255);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (rows[Math.floor(y / scale)]![Math.floor(x / scale)])
        data.fill(0, (y * width + x) * 4, (y * width + x) * 4 + 3);
    }
  }
  return { width, height, data };
}

const URI =
  "otpauth://totp/vpn.example.com%20home:alice?issuer=x&secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

describe("qrLines()", () => {
  test("shows what a reader of codes reads", async () => {
    const lines = await qrLines(URI, { isColoured: false });
    expect(new Set(lines.map(({ length }) => length)).size).toBe(1);
    expect(decodeQR(photograph(lines))).toBe(URI);
  });

  test("sets its own colours on a terminal and takes them back at the end of each line", async () => {
    const plain = await qrLines(URI, { isColoured: false });
    const coloured = await qrLines(URI, { isColoured: true });
    expect(coloured).toEqual(plain.map((line) => `\u001b[30;107m${line}\u001b[0m`));
  });
});
