import type { SourcePosition } from "../base/errors.ts";

/** A parsed TOML value that knows where it stands. */
export type TomlNode = TomlTable | TomlArray | TomlScalar;

export interface TomlTable {
  readonly kind: "table";
  readonly at: SourcePosition;
  /** A map, so that `__proto__` is a key like any other. */
  readonly entries: Map<string, TomlEntry>;
  /** Written by a header, an inline table or a dotted key; false for the parents that only a longer header names. */
  defined: boolean;
}

export interface TomlEntry {
  readonly keyAt: SourcePosition;
  readonly value: TomlNode;
}

export interface TomlArray {
  readonly kind: "array";
  readonly at: SourcePosition;
  readonly items: TomlNode[];
}

export type TomlScalar =
  | { readonly kind: "string"; readonly at: SourcePosition; readonly value: string }
  | { readonly kind: "integer"; readonly at: SourcePosition; readonly value: bigint }
  | { readonly kind: "float"; readonly at: SourcePosition; readonly value: number }
  | { readonly kind: "boolean"; readonly at: SourcePosition; readonly value: boolean }
  /** A secret that no file holds but state.db does; never the outcome of parsing. */
  | {
      readonly kind: "stored";
      readonly at: SourcePosition;
      readonly form: StoredForm;
      readonly bytes: Uint8Array;
    }
  /** Left as text: what a date means is for the key to say. */
  | { readonly kind: "date"; readonly at: SourcePosition; readonly text: string };

/** The secret itself, its verifier of protocol.md 19, or PEM text. */
export type StoredForm = "plain" | "sha0" | "pem";

export function emptyTable(at: SourcePosition): TomlTable {
  return { kind: "table", at, entries: new Map(), defined: false };
}

/** Where the value at the end of a path of keys stands; undefined where there is none. */
export function positionOf(root: TomlNode, path: readonly string[]): SourcePosition | undefined {
  let node: TomlNode | undefined = root;
  for (const key of path) {
    if (node?.kind !== "table") return undefined;
    node = node.entries.get(key)?.value;
  }
  return node?.at;
}
