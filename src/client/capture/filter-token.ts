import { VpnError } from "../../base/errors.ts";

/** A capture filter that cannot be used; columns count from 1. */
export class FilterError extends VpnError {
  readonly column: number;

  constructor(message: string, column: number) {
    super("filter", message);
    this.column = column;
  }
}

export interface Token {
  readonly kind: "word" | "and" | "or" | "not" | "(" | ")" | "end";
  /** As written; "" at the end. */
  readonly text: string;
  /** From 1. */
  readonly column: number;
}

const SPELLINGS: Readonly<Record<string, Token["kind"]>> = {
  and: "and",
  "&&": "and",
  or: "or",
  "||": "or",
  not: "not",
  "!": "not",
  "(": "(",
  ")": ")",
};
/** Blanks, an operator, a word, or the character that is neither. */
const PIECE = /(\s+)|(&&|\|\||[!()])|([\w.:/\\-]+)|(.)/suy;

/** @throws FilterError for characters that no word has */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  PIECE.lastIndex = 0;
  for (let at = 0; at < text.length; at = PIECE.lastIndex) {
    const [, blanks, operator, word, other] = PIECE.exec(text) ?? [];
    if (blanks !== undefined) continue;
    const column = at + 1;
    if (other !== undefined) {
      const isRelation = /[[\]<>=&|+*^%]/.test(other);
      const what = isRelation
        ? `"${other}": filters compare no bytes, only addresses, ports and protocols`
        : "a character that no filter has";
      throw new FilterError(what, column);
    }
    const piece = operator ?? word ?? "";
    tokens.push({ kind: SPELLINGS[piece] ?? "word", text: piece, column });
  }
  tokens.push({ kind: "end", text: "", column: text.length + 1 });
  return tokens;
}
