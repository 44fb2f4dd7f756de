import { describe, expect, test } from "bun:test";
import { formatPairs, formatTable } from "../../src/cli/table.ts";

const COLUMNS = [{ title: "NAME" }, { title: "BYTES", alignRight: true }];

describe("formatTable()", () => {
  test("puts columns under their titles, numbers at the right, no blanks at the end", () => {
    expect(
      formatTable(
        COLUMNS,
        [
          ["a", "5"],
          ["longer", "12345678"],
        ],
        80,
      ),
    ).toBe("NAME       BYTES\na              5\nlonger  12345678\n");
  });

  test("CL-10 counts the columns that wide letters take", () => {
    const [, first, second] = formatTable(
      COLUMNS,
      [
        ["\u6771\u4eac", "1"],
        ["abcd", "2"],
      ],
      80,
    ).split("\n");
    expect(Bun.stringWidth(first!)).toBe(Bun.stringWidth(second!));
  });

  test("CL-13 a terminal of 20 columns gets a list for each row", () => {
    expect(
      formatTable(
        COLUMNS,
        [
          ["a-name-of-20-letters", "5"],
          ["b", "6"],
        ],
        20,
      ),
    ).toBe("NAME   a-name-of-20-letters\nBYTES  5\n\nNAME   b\nBYTES  6\n");
  });

  test("CL-14 shows escape sequences and line ends in names, escaped", () => {
    const table = formatTable(COLUMNS, [["\u001b[31mred\n", "\u009b1m"]], 80);
    // oxlint-disable-next-line no-control-regex
    expect(table.replaceAll("\n", "")).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    expect(table).toContain("\\u001b[31mred\\u000a");
    expect(table.split("\n").length).toBe(3);
  });
});

describe("formatPairs()", () => {
  test("puts values in one column and escapes them", () => {
    expect(
      formatPairs([
        ["A", "x"],
        ["Longer", "y\u0007"],
      ]),
    ).toBe("A       x\nLonger  y\\u0007\n");
  });

  test("gives nothing for nothing", () => {
    expect(formatPairs([])).toBe("");
  });
});
