import { ParseError, parseTOML, type AST } from "toml-eslint-parser";
import type { SourcePosition } from "../base/errors.ts";
import { MAX_CONFIG_DEPTH, MAX_CONFIG_ITEMS } from "../base/limits.ts";
import { checkTextLimits, decodeText, fault, positionAt } from "./toml-scan.ts";
import {
  emptyTable,
  type TomlArray,
  type TomlEntry,
  type TomlNode,
  type TomlTable,
} from "./toml-tree.ts";

/**
 * Parses TOML 1.0 into a tree that knows the place of every key and value.
 * @param file the name that errors carry
 * @throws ConfigProblemsError with one problem: the limits and the grammar stop at their first fault
 */
export function parseToml(file: string, bytes: Uint8Array): TomlTable {
  const text = decodeText(file, bytes);
  checkTextLimits(file, text);
  return new TreeBuilder(file).build(parseSyntax(file, text));
}

function parseSyntax(file: string, text: string): AST.TOMLTopLevelTable {
  try {
    return parseTOML(text, { tomlVersion: "1.0" }).body[0];
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    const index = faultIndex(text, error);
    throw fault(positionAt(file, text, index), describeFault(file, text, index, error.message));
  }
}

/** What people see instead of the parser's terms. */
const PLAIN_WORDS: Readonly<Record<string, string>> = {
  "Unspecified values are invalid": "a value is missing",
  "Empty bare keys are not allowed": "a key is missing",
  "Expected equal (=) token": "a key must be followed by =",
  "Expected comma (,) token": "a comma is missing",
  "Must be a newline": "a new line must begin here",
  "Unterminated string constant": "a string is not closed",
  "Unterminated array": "a list is not closed by ]",
  "Unterminated inline table": "a table is not closed by }",
  "Unterminated table-key": "a table header is not closed by ]",
};
const DUPLICATE = "Defining a key multiple times is invalid";

/** What is missing at the end of a line is found missing at the start of the next one. */
function faultIndex(text: string, { index, message }: ParseError): number {
  if (message === DUPLICATE || !(message in PLAIN_WORDS)) return index;
  if (text[index - 1] !== "\n") return index;
  return index - (text[index - 2] === "\r" ? 2 : 1);
}

function describeFault(file: string, text: string, index: number, message: string): string {
  if (message === DUPLICATE) {
    const first = firstDefinition(file, text, index);
    return `defined a second time${first === undefined ? "" : `, first in line ${first.line}`}`;
  }
  const { line, column } = positionAt(file, text, index);
  const shown = withoutSecret(text.split(/\r?\n/, line)[line - 1] ?? "");
  const words = PLAIN_WORDS[message] ?? message;
  if (shown.trim() === "") return words;
  // Tabs stay tabs, so that the mark stands under its letter.
  const indent = shown.slice(0, column - 1).replace(/[^\t]/g, " ");
  return `${words}\n    ${shown}${column <= shown.length + 1 ? `\n    ${indent}^` : ""}`;
}

const MAY_HOLD_SECRET = /pas|secret|pw|hash:/i;

/** The line without its values where one may be a secret, the key misspelt or not (robustness.md 1, rule 7). */
function withoutSecret(line: string): string {
  if (!MAY_HOLD_SECRET.test(line)) return line.slice(0, 160);
  const equals = line.indexOf("=");
  return equals < 0 ? "" : `${line.slice(0, equals + 1)} ...`;
}

/**
 * Where the key at `index` was defined before. The parser tells of the second place only; what stands before its
 * line is without fault, so a parse of that much finds the first. Undefined inside of one statement.
 */
function firstDefinition(file: string, text: string, index: number): SourcePosition | undefined {
  const lineStart = text.lastIndexOf("\n", index - 1) + 1;
  try {
    const before = parseTOML(text.slice(0, lineStart), { tomlVersion: "1.0" }).body[0];
    const line = text.slice(
      lineStart,
      text.indexOf("\n", index) < 0 ? undefined : text.indexOf("\n", index),
    );
    const statement = parseTOML(line, { tomlVersion: "1.0" }).body[0].body[0];
    if (statement === undefined) return undefined;
    const lastHeader = before.body.findLast((item) => item.type === "TOMLTable");
    const base = statement.type === "TOMLTable" ? [] : (lastHeader?.key.keys.map(nameOf) ?? []);
    let at: SourcePosition | undefined;
    let node: TomlNode | undefined = new TreeBuilder(file).build(before);
    for (const key of [...base, ...statement.key.keys.map(nameOf)]) {
      const owner: TomlNode | undefined = node?.kind === "array" ? node.items.at(-1) : node;
      const entry: TomlEntry | undefined =
        owner?.kind === "table" ? owner.entries.get(key) : undefined;
      if (entry === undefined) break;
      at = entry.keyAt;
      node = entry.value;
    }
    return at;
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}

function nameOf(key: AST.TOMLBare | AST.TOMLQuoted): string {
  return key.type === "TOMLBare" ? key.name : key.value;
}

/** Turns the syntax tree, which the parser has checked for duplicates, into tables of tables. */
class TreeBuilder {
  readonly #file: string;
  constructor(file: string) {
    this.#file = file;
  }

  build(top: AST.TOMLTopLevelTable): TomlTable {
    const root = emptyTable({ file: this.#file, line: 1, column: 1 });
    root.defined = true;
    for (const item of top.body) {
      if (item.type === "TOMLKeyValue") this.#assign(root, item, 1);
      else this.#openTable(root, item);
    }
    return root;
  }

  #openTable(root: TomlTable, header: AST.TOMLTable): void {
    const keys = header.key.keys;
    const last = keys.at(-1)!;
    const parent = this.#descend(root, keys.slice(0, -1), false);
    const at = this.#at(header);
    let table: TomlTable;
    if (header.kind === "array") {
      table = emptyTable(at);
      const found = parent.entries.get(nameOf(last))?.value;
      const array: TomlArray = found?.kind === "array" ? found : { kind: "array", at, items: [] };
      this.#put(parent, last, array);
      array.items.push(table);
      this.#checkItems(array);
    } else {
      table = this.#descend(parent, [last], true);
    }
    table.defined = true;
    for (const pair of header.body) this.#assign(table, pair, keys.length + 1);
  }

  #assign(table: TomlTable, pair: AST.TOMLKeyValue, depth: number): void {
    const keys = pair.key.keys;
    const inner = depth + keys.length - 1;
    if (inner > MAX_CONFIG_DEPTH) {
      throw fault(this.#at(pair), `nested deeper than ${MAX_CONFIG_DEPTH} levels`);
    }
    const owner = this.#descend(table, keys.slice(0, -1), true);
    this.#put(owner, keys.at(-1)!, this.#value(pair.value, inner));
  }

  #value(node: AST.TOMLContentNode, depth: number): TomlNode {
    const at = this.#at(node);
    if (node.type === "TOMLArray") {
      const items = node.elements.map((item) => this.#value(item, depth + 1));
      const array: TomlArray = { kind: "array", at, items };
      this.#checkItems(array);
      return array;
    }
    if (node.type === "TOMLInlineTable") {
      const table = emptyTable(at);
      table.defined = true;
      for (const pair of node.body) this.#assign(table, pair, depth + 1);
      return table;
    }
    switch (node.kind) {
      case "string":
      case "boolean":
        return { kind: node.kind, at, value: node.value } as TomlNode;
      case "integer":
        return { kind: "integer", at, value: node.bigint };
      case "float":
        return { kind: "float", at, value: node.value };
      default:
        return { kind: "date", at, text: node.datetime };
    }
  }

  #descend(
    from: TomlTable,
    keys: readonly (AST.TOMLBare | AST.TOMLQuoted)[],
    isDefinition: boolean,
  ): TomlTable {
    let table = from;
    for (const key of keys) {
      const found = table.entries.get(nameOf(key))?.value;
      const next = found?.kind === "array" ? found.items.at(-1) : found;
      if (next?.kind === "table") table = next;
      else {
        const made = emptyTable(this.#at(key));
        this.#put(table, key, made);
        table = made;
      }
      if (isDefinition) table.defined = true;
    }
    return table;
  }

  #put(table: TomlTable, key: AST.TOMLBare | AST.TOMLQuoted, value: TomlNode): void {
    const name = nameOf(key);
    const keyAt = table.entries.get(name)?.keyAt ?? this.#at(key);
    table.entries.set(name, { keyAt, value });
  }

  #checkItems(array: TomlArray): void {
    if (array.items.length > MAX_CONFIG_ITEMS) {
      throw fault(array.at, `a list of more than ${MAX_CONFIG_ITEMS} items`);
    }
  }

  #at(node: { loc: { start: { line: number; column: number } } }): SourcePosition {
    return { file: this.#file, line: node.loc.start.line, column: node.loc.start.column + 1 };
  }
}
