import { escapeForLog } from "../observe/log.ts";

export interface Column {
  readonly title: string;
  /** Numbers stand at the right. */
  readonly alignRight?: boolean;
}

const GAP = 2;

/**
 * Rows under titles, each line ended; names from outside are shown escaped (CL-14). Where the table is wider than
 * the terminal each row becomes a small list of its own.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
): string {
  const cells = rows.map((row) => row.map(escapeForLog));
  const widths = columns.map((column, at) =>
    Math.max(Bun.stringWidth(column.title), ...cells.map((row) => Bun.stringWidth(row[at] ?? ""))),
  );
  const total = widths.reduce((sum, each) => sum + each, GAP * (columns.length - 1));
  if (total > width) {
    const titles = columns.map((column) => column.title);
    return cells
      .map((row) => formatPairs(titles.map((title, at) => [title, row[at] ?? ""])))
      .join("\n");
  }
  const line = (row: readonly string[]) =>
    `${columns
      .map((column, at) => pad(row[at] ?? "", widths[at]!, column.alignRight))
      .join(" ".repeat(GAP))
      .trimEnd()}\n`;
  return [line(columns.map((column) => column.title)), ...cells.map(line)].join("");
}

/** `Name   value` lines, the values in one column. */
export function formatPairs(pairs: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(0, ...pairs.map(([name]) => Bun.stringWidth(name)));
  return pairs.map(([name, text]) => `${pad(name, width)}  ${escapeOnce(text)}\n`).join("");
}

function pad(text: string, width: number, alignRight = false): string {
  const space = " ".repeat(Math.max(0, width - Bun.stringWidth(text)));
  return alignRight ? space + text : text + space;
}

/** Control characters only: cells of a table were escaped before. */
function escapeOnce(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return /[\u0000-\u001f\u007f-\u009f]/.test(text) ? escapeForLog(text) : text;
}
