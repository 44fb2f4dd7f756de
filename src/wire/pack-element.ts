import { ProtocolError } from "../base/errors.ts";
import { MAX_PACK_NAME_BYTES, MAX_PACK_VALUES } from "../base/limits.ts";
import type { ByteReader } from "./reader.ts";
import { encodeText } from "./text.ts";
import type { ByteWriter } from "./writer.ts";

/** Types of elements (protocol.md 4). */
export const PACK_TYPE = { INT: 0, DATA: 1, STR: 2, UNISTR: 3, INT64: 4 } as const;

/** One element. Strings are kept as the bytes on the wire, so that they go out as they came in. */
export type PackElement = { readonly name: string } & (
  | { readonly type: typeof PACK_TYPE.INT; readonly values: readonly number[] }
  | { readonly type: typeof PACK_TYPE.INT64; readonly values: readonly bigint[] }
  | {
      readonly type: typeof PACK_TYPE.DATA | typeof PACK_TYPE.STR | typeof PACK_TYPE.UNISTR;
      readonly values: readonly Uint8Array[];
    }
);
export type BytesType = typeof PACK_TYPE.DATA | typeof PACK_TYPE.STR | typeof PACK_TYPE.UNISTR;

/**
 * Reads one element; the values of data and strings are views of the buffer.
 * Throws a ProtocolError: `pack_short`, `pack_name`, `pack_type`, `pack_count`.
 */
export function parseElement(reader: ByteReader): PackElement {
  const name = parseName(reader);
  const type = reader.readU32();
  const count = reader.readU32();
  if (count === 0 || count > MAX_PACK_VALUES) {
    throw new ProtocolError("pack_count", `Cannot take ${count} values of ${name}`);
  }
  switch (type) {
    case PACK_TYPE.INT:
      return { name, type, values: readValues(count, () => reader.readU32()) };
    case PACK_TYPE.INT64:
      return { name, type, values: readValues(count, () => reader.readU64()) };
    case PACK_TYPE.DATA:
    case PACK_TYPE.STR:
    case PACK_TYPE.UNISTR:
      return { name, type, values: readValues(count, () => reader.readBytes(reader.readU32())) };
    default:
      throw new ProtocolError("pack_type", `Cannot take type ${type} of ${name}`);
  }
}

/** The list grows with the bytes that are there, never by the count that was announced. */
function readValues<T>(count: number, read: () => T): T[] {
  const values: T[] = [];
  for (let i = 0; i < count; i++) values.push(read());
  return values;
}

function parseName(reader: ByteReader): string {
  // The length counts a zero byte that is not sent.
  const length = reader.readU32() - 1;
  if (length < 0 || length > MAX_PACK_NAME_BYTES) {
    throw new ProtocolError("pack_name", `Cannot take a name of ${length} bytes`);
  }
  const bytes = reader.readBytes(length);
  let name = "";
  for (let i = 0; i < length; i++) name += String.fromCharCode(bytes[i]!);
  if (!isElementName(name)) {
    throw new ProtocolError("pack_name", `Cannot take name ${JSON.stringify(name)}`);
  }
  return name;
}

/** True for at most 63 characters of ASCII without NUL. */
export function isElementName(name: string): boolean {
  if (name.length > MAX_PACK_NAME_BYTES) return false;
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code === 0 || code > 0x7f) return false;
  }
  return true;
}

export function encodeElement(writer: ByteWriter, element: PackElement): void {
  writer.writeU32(element.name.length + 1).writeBytes(encodeText(element.name));
  writer.writeU32(element.type).writeU32(element.values.length);
  switch (element.type) {
    case PACK_TYPE.INT:
      for (const value of element.values) writer.writeU32(value);
      return;
    case PACK_TYPE.INT64:
      for (const value of element.values) writer.writeU64(value);
      return;
    case PACK_TYPE.DATA:
    case PACK_TYPE.STR:
    case PACK_TYPE.UNISTR:
      for (const value of element.values) writer.writeU32(value.length).writeBytes(value);
      return;
    default:
      element satisfies never;
  }
}
