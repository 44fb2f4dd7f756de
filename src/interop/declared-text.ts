import { VpnError } from "../base/errors.ts";
import { MAX_DECLARED_BYTES, MAX_DECLARED_DEPTH, MAX_DECLARED_ITEMS } from "../base/limits.ts";

// The grammar of SoftEther's own configuration and of .vpn files (hub.md 15.5): lines of words, folders in braces.
//
//   declare root
//   {
//     uint Port 443
//     string Name a$20b
//     declare Inner
//     {
//     }
//   }

/** A value with the type that stands before its name; `uint` and `uint64` are whole numbers. */
export type DeclaredItem =
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "uint"; readonly value: number }
  | { readonly type: "uint64"; readonly value: bigint }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "byte"; readonly value: Uint8Array };

export interface DeclaredFolder {
  readonly items: ReadonlyMap<string, DeclaredItem>;
  readonly folders: ReadonlyMap<string, DeclaredFolder>;
}

interface OpenFolder extends DeclaredFolder {
  readonly items: Map<string, DeclaredItem>;
  readonly folders: Map<string, OpenFolder>;
}

/**
 * Reads the folder `root`. Lines that are no item are passed over, as the reference does; so are comments.
 * @throws VpnError `file_format` with the line of the fault
 */
export function parseDeclared(bytes: Uint8Array): DeclaredFolder {
  if (bytes.length > MAX_DECLARED_BYTES) throw fault(1, "the file is too large");
  const lines = decode(bytes).split("\n");
  const top = newFolder();
  const open: OpenFolder[] = [top];
  let items = 0;
  for (const [index, line] of lines.entries()) {
    const [word = "", name, data] = line.split(/[\t\r ]+/).filter((part) => part !== "");
    const inside = open.at(-1)!;
    if (word === "}") {
      if (open.length > 1) open.pop();
      continue;
    }
    if (name === undefined || word.startsWith("#")) continue;
    if (++items > MAX_DECLARED_ITEMS) throw fault(index + 1, "the file has too many items");
    const known = unescape(name, index + 1);
    if (word.toLowerCase() === "declare") {
      if (open.length > MAX_DECLARED_DEPTH) throw fault(index + 1, "the folders are too deep");
      const folder = newFolder();
      inside.folders.set(known, folder);
      open.push(folder);
    } else if (data !== undefined) {
      const item = parseItem(word.toLowerCase(), data, index + 1);
      if (item !== undefined) inside.items.set(known, item);
    }
  }
  const root = top.folders.get("root");
  if (root === undefined) throw fault(1, 'there is no "declare root"');
  return root;
}

/** The text of a folder called `root`, items and folders in the order of their names, lines ended by CR and LF. */
export function encodeDeclared(root: DeclaredFolder): string {
  return encodeFolder("root", root, 0);
}

function encodeFolder(name: string, folder: DeclaredFolder, depth: number): string {
  const indent = "\t".repeat(depth);
  const line = (text: string) => `${indent}${text}\r\n`;
  const items = sorted(folder.items).map(([key, item]) =>
    line(`\t${item.type} ${escape(key)} ${escape(valueText(item))}`),
  );
  const folders = sorted(folder.folders).map(([key, inner]) => encodeFolder(key, inner, depth + 1));
  const gap = items.length > 0 && folders.length > 0 ? "\r\n" : "";
  return [line(`declare ${escape(name)}`), line("{"), ...items, gap, ...folders, line("}")].join(
    "",
  );
}

function sorted<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

function parseItem(type: string, data: string, line: number): DeclaredItem | undefined {
  switch (type) {
    case "bool":
      return { type, value: data.toLowerCase() === "true" || Number(data) > 0 };
    case "uint": {
      const value = /^\d{1,10}$/.test(data) ? Number(data) : -1;
      if (value >= 0 && value <= 0xffff_ffff) return { type, value };
      throw fault(line, "a number from 0 to 4294967295 is expected");
    }
    case "uint64":
      if (/^\d{1,20}$/.test(data)) return { type, value: BigInt(data) };
      throw fault(line, "a whole number is expected");
    case "string":
      return { type, value: unescape(data, line) };
    case "byte": {
      const base64 = unescape(data, line);
      if (!/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) throw fault(line, "base64 is expected");
      return { type, value: new Uint8Array(Buffer.from(base64, "base64")) };
    }
    default:
      return undefined;
  }
}

function valueText(item: DeclaredItem): string {
  return item.type === "byte" ? item.value.toBase64() : String(item.value);
}

/** Control characters, spaces and the dollar become `$` and two hex digits; the empty text is a dollar alone. */
function escape(text: string): string {
  if (text === "") return "$";
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u0020$]/g, (found) => {
    const hex = found.charCodeAt(0).toString(16).toUpperCase();
    return `$${hex.padStart(2, "0")}`;
  });
}

/** Other writers escape bytes, not characters, so bytes are what is put together. */
function unescape(text: string, line: number): string {
  if (text === "$") return "";
  if (!text.includes("$")) return text;
  if (/\$(?![0-9A-Fa-f]{2})/.test(text)) throw fault(line, "a $ stands without two hex digits");
  const bytes = Buffer.from(text, "utf8").toString("latin1");
  const whole = bytes.replace(/\$(..)/g, (_, hex: string) =>
    String.fromCharCode(parseInt(hex, 16)),
  );
  return Buffer.from(whole, "latin1").toString("utf8");
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw fault(1, "the file is not UTF-8 text");
  }
}

function newFolder(): OpenFolder {
  return { items: new Map(), folders: new Map() };
}

function fault(line: number, why: string): VpnError {
  return new VpnError("file_format", `line ${line}: ${why}`);
}
