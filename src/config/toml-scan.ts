import type { SourcePosition } from "../base/errors.ts";
import { MAX_CONFIG_DEPTH, MAX_CONFIG_ENTRIES, MAX_CONFIG_STRING } from "../base/limits.ts";
import { ConfigProblemsError } from "./problem.ts";

/**
 * The text of a configuration file. A byte order mark is skipped.
 * @throws ConfigProblemsError with the position of the first byte that is not UTF-8, or is NUL
 */
export function decodeText(file: string, bytes: Uint8Array): string {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    // As a stream, so that the first bytes of the sequence that went wrong are not counted.
    const good = bytes.subarray(0, goodPrefix(bytes));
    const before = new TextDecoder().decode(good, { stream: true });
    throw fault(positionAt(file, before, before.length), "the bytes here are not UTF-8");
  }
  const nul = text.indexOf("\0");
  if (nul >= 0) throw fault(positionAt(file, text, nul), "a NUL byte");
  return text;
}

/**
 * Refuses what would cost the parser its stack or seconds, before it sees the text: nesting, long strings and
 * the number of entries (robustness.md 2, CF-09). Faults of the grammar are left to the parser.
 * @throws ConfigProblemsError
 */
export function checkTextLimits(file: string, text: string): void {
  const refuse = (at: number, what: string) => fault(positionAt(file, text, at), what);
  let depth = 0;
  let dots = 0;
  let entries = 0;
  let tokenStart = 0;
  for (let i = 0; i < text.length; i++) {
    const start = i;
    switch (text.charCodeAt(i)) {
      case HASH:
        i = endOfLine(text, i) - 1;
        break;
      case QUOTE:
      case APOSTROPHE:
        i = endOfString(text, i) - 1;
        break;
      case OPEN_BRACKET:
      case OPEN_BRACE:
        if (++depth > MAX_CONFIG_DEPTH) {
          throw refuse(i, `nested deeper than ${MAX_CONFIG_DEPTH} levels`);
        }
        entries++;
        break;
      case CLOSE_BRACKET:
      case CLOSE_BRACE:
        depth = Math.max(0, depth - 1);
        break;
      case DOT:
        if (++dots > MAX_CONFIG_DEPTH) {
          throw refuse(i, `nested deeper than ${MAX_CONFIG_DEPTH} levels`);
        }
        break;
      case EQUALS:
      case COMMA:
        entries++;
        dots = 0;
        break;
      case LINE_FEED:
        dots = 0;
        break;
      default:
        // A bare key or a number goes on; spaces are as good as letters for a bound.
        if (i - tokenStart > MAX_CONFIG_STRING) throw refuse(tokenStart, TOO_LONG);
        continue;
    }
    if (i - start > MAX_CONFIG_STRING) throw refuse(start, TOO_LONG);
    if (entries > MAX_CONFIG_ENTRIES)
      throw refuse(start, `more than ${MAX_CONFIG_ENTRIES} entries`);
    tokenStart = i + 1;
  }
}

export function positionAt(file: string, text: string, offset: number): SourcePosition {
  const before = text.lastIndexOf("\n", offset - 1);
  let line = 1;
  for (let i = text.indexOf("\n"); i >= 0 && i < offset; i = text.indexOf("\n", i + 1)) line++;
  return { file, line, column: offset - (offset === 0 ? -1 : before) };
}

export function fault(position: SourcePosition, text: string): ConfigProblemsError {
  return new ConfigProblemsError([{ position, key: "", text }]);
}

const TOO_LONG = `longer than ${MAX_CONFIG_STRING / 1024} KiB`;
const [HASH, QUOTE, APOSTROPHE, BACKSLASH] = [0x23, 0x22, 0x27, 0x5c];
const [OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x5b, 0x5d, 0x7b, 0x7d];
const [DOT, EQUALS, COMMA, LINE_FEED] = [0x2e, 0x3d, 0x2c, 0x0a];

/** Length of the longest prefix that may still be UTF-8: a stream may end within a sequence. */
function goodPrefix(bytes: Uint8Array): number {
  const isGood = (end: number) => {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, end), { stream: true });
      return true;
    } catch {
      return false;
    }
  };
  let good = 0;
  let bad = bytes.length + 1;
  while (bad - good > 1) {
    const middle = (good + bad) >>> 1;
    if (isGood(middle)) good = middle;
    else bad = middle;
  }
  return good;
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf("\n", from);
  return end < 0 ? text.length : end;
}

/** Behind the closing quote, or the end of the line or text where there is none. */
function endOfString(text: string, from: number): number {
  const quote = text[from]!;
  const isMultiline = text.startsWith(quote.repeat(3), from);
  const closing = isMultiline ? quote.repeat(3) : quote;
  for (let i = from + closing.length; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === BACKSLASH && quote === '"') i++;
    else if (code === LINE_FEED && !isMultiline) return i;
    else if (text.startsWith(closing, i)) return i + closing.length;
  }
  return text.length;
}
