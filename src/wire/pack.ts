import { swapBytes } from "../base/swap-bytes.ts";
import { ProtocolError } from "../base/errors.ts";
import { formatAddress, formatIpv4, tryParseAddress, type Ipv4 } from "../base/ip.ts";
import { MAX_PACK_ELEMENTS } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import {
  encodeElement,
  isElementName,
  PACK_TYPE,
  parseElement,
  type BytesType,
  type PackElement,
} from "./pack-element.ts";
import { ByteReader } from "./reader.ts";
import { decodeText, encodeText } from "./text.ts";
import { ByteWriter } from "./writer.ts";

/** Most random bytes of the filler element (protocol.md 3.5). */
const MAX_FILLER_BYTES = 999;
const FILLER_NAME = "pencore";

/**
 * A PACK: an ordered list of named, typed arrays (protocol.md 4). Names compare without regard to case. An
 * element that is absent, of another type, or shorter than the index reads as `undefined`.
 */
export class Pack {
  /** By name in lower case, in the order of the wire. */
  readonly #elements = new Map<string, PackElement>();
  #trailingBytes = 0;

  /**
   * Reads a PACK; what lies after its last element is ignored and counted in `trailingBytes`. The bytes are
   * copied once, so the caller's buffer stays the caller's.
   * Throws a ProtocolError: `pack_short`, `pack_count`, `pack_name`, `pack_type`.
   */
  static parse(bytes: Uint8Array, limits = { maxElements: MAX_PACK_ELEMENTS }): Pack {
    const reader = new ByteReader(new Uint8Array(bytes), "pack_short");
    const pack = new Pack();
    const count = reader.readU32();
    if (count > limits.maxElements) {
      throw new ProtocolError("pack_count", `Cannot take ${count} elements`);
    }
    for (let i = 0; i < count; i++) {
      const element = parseElement(reader);
      const key = element.name.toLowerCase();
      if (pack.#elements.has(key)) {
        throw new ProtocolError("pack_name", `Cannot take two elements named ${element.name}`);
      }
      pack.#elements.set(key, element);
    }
    pack.#trailingBytes = reader.remaining;
    return pack;
  }

  /** The bytes on the wire; for a PACK that was parsed, those it was parsed from. */
  encode(): Uint8Array {
    const writer = new ByteWriter();
    writer.writeU32(this.#elements.size);
    for (const element of this.#elements.values()) encodeElement(writer, element);
    return writer.finish();
  }

  /** Names in the order and the spelling of the wire. */
  get names(): readonly string[] {
    return Array.from(this.#elements.values(), (element) => element.name);
  }

  /** Bytes after the last element, 0 for a PACK that was made here. */
  get trailingBytes(): number {
    return this.#trailingBytes;
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  /** Number of values of the element, whatever its type; 0 if it is absent. */
  valueCount(name: string): number {
    return this.#find(name)?.values.length ?? 0;
  }

  int(name: string, index = 0): number | undefined {
    const element = this.#find(name);
    return element?.type === PACK_TYPE.INT ? element.values[index] : undefined;
  }

  /** False if absent. */
  bool(name: string, index = 0): boolean {
    return (this.int(name, index) ?? 0) !== 0;
  }

  int64(name: string, index = 0): bigint | undefined {
    const element = this.#find(name);
    return element?.type === PACK_TYPE.INT64 ? element.values[index] : undefined;
  }

  /** A view of the PACK's own bytes: read only. */
  data(name: string, index = 0): Uint8Array | undefined {
    return this.#bytes(name, PACK_TYPE.DATA, index);
  }

  /** Text up to the first zero byte, without blanks at its ends; bytes that are not UTF-8 as `\xNN`. */
  str(name: string, index = 0): string | undefined {
    return decodeString(this.#bytes(name, PACK_TYPE.STR, index));
  }

  /** The bytes that `str` reads, as they came: a password is no text. */
  strBytes(name: string, index = 0): Uint8Array | undefined {
    return trimString(this.#bytes(name, PACK_TYPE.STR, index));
  }

  /** As `str`, for the other string type. */
  unistr(name: string, index = 0): string | undefined {
    return decodeString(this.#bytes(name, PACK_TYPE.UNISTR, index));
  }

  /** The text of a derived address (protocol.md 4). IPv4 is given by the int alone; scopes are the sender's own. */
  address(name: string, index = 0): string | undefined {
    if (this.bool(`${name}@ipv6_bool`, index)) {
      const bytes = this.data(`${name}@ipv6_array`, index);
      return bytes?.length === 16 ? formatAddress(bytes) : undefined;
    }
    const value = this.int(name, index);
    // IPv4 travels in an int with its first octet lowest.
    return value === undefined ? undefined : formatIpv4(swapBytes(value) as Ipv4);
  }

  /**
   * Sets an element, in its place if there is one of that name. No values remove it, since the wire has
   * no empty element. So do the other setters. Values past 32 bits and bad names throw a RangeError.
   */
  setInt(name: string, ...values: number[]): this {
    for (const value of values) {
      if (value >>> 0 !== value) throw new RangeError(`Cannot set ${name}: ${value} is no u32`);
    }
    return this.#set({ name, type: PACK_TYPE.INT, values });
  }

  setBool(name: string, ...values: boolean[]): this {
    return this.setInt(name, ...values.map(Number));
  }

  setInt64(name: string, ...values: bigint[]): this {
    for (const value of values) {
      if (BigInt.asUintN(64, value) !== value) {
        throw new RangeError(`Cannot set ${name}: ${value} is no u64`);
      }
    }
    return this.#set({ name, type: PACK_TYPE.INT64, values });
  }

  /** The bytes are kept, not copied: they must stay as they are until the PACK was encoded. */
  setData(name: string, ...values: Uint8Array[]): this {
    return this.#set({ name, type: PACK_TYPE.DATA, values });
  }

  setStr(name: string, ...values: string[]): this {
    return this.#set({ name, type: PACK_TYPE.STR, values: values.map(encodeText) });
  }

  setStrBytes(name: string, ...values: Uint8Array[]): this {
    return this.#set({ name, type: PACK_TYPE.STR, values });
  }

  setUnistr(name: string, ...values: string[]): this {
    const terminated = values.map((value) => encodeText(`${value}\0`));
    return this.#set({ name, type: PACK_TYPE.UNISTR, values: terminated });
  }

  /** Sets the four elements of a derived address. Text that is no address throws a RangeError. */
  setAddress(name: string, ...addresses: string[]): this {
    const parsed = addresses.map((text) => {
      const address = tryParseAddress(text);
      if (address === undefined) throw new RangeError(`Cannot set ${name}: bad address ${text}`);
      return address;
    });
    const v4 = (bytes: Uint8Array) =>
      new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    return this.setBool(`${name}@ipv6_bool`, ...parsed.map(({ family }) => family === 6))
      .setData(`${name}@ipv6_array`, ...parsed.map(({ bytes }) => asIpv6(bytes)))
      .setInt(`${name}@ipv6_scope_id`, ...parsed.map(() => 0))
      .setInt(name, ...parsed.map(({ family, bytes }) => (family === 4 ? v4(bytes) : 0)));
  }

  /** Appends the filler that blurs the size of messages over HTTP (protocol.md 3.5). */
  addFiller(random: Random): this {
    const count = Math.floor(random.fraction() * (MAX_FILLER_BYTES + 1));
    return this.setData(FILLER_NAME, random.bytes(count));
  }

  #find(name: string): PackElement | undefined {
    return this.#elements.get(name.toLowerCase());
  }

  #bytes(name: string, type: BytesType, index: number): Uint8Array | undefined {
    const element = this.#find(name);
    if (
      element === undefined ||
      element.type === PACK_TYPE.INT ||
      element.type === PACK_TYPE.INT64
    ) {
      return undefined;
    }
    return element.type === type ? element.values[index] : undefined;
  }

  #set(element: PackElement): this {
    const { name, values } = element;
    if (!isElementName(name)) throw new RangeError(`Cannot set ${JSON.stringify(name)}: bad name`);
    if (values.length > 0) this.#elements.set(name.toLowerCase(), element);
    else this.#elements.delete(name.toLowerCase());
    return this;
  }
}

function decodeString(bytes: Uint8Array | undefined): string | undefined {
  const text = trimString(bytes);
  return text === undefined ? undefined : decodeText(text);
}

function trimString(bytes: Uint8Array | undefined): Uint8Array | undefined {
  if (bytes === undefined) return undefined;
  const zero = bytes.indexOf(0);
  let end = zero < 0 ? bytes.length : zero;
  let start = 0;
  while (start < end && isBlank(bytes[start]!)) start++;
  while (end > start && isBlank(bytes[end - 1]!)) end--;
  return bytes.subarray(start, end);
}

const isBlank = (byte: number) => byte === 0x20 || byte === 0x09;

/** IPv4 in the mapped form that versions from 5.02 write; readers take it from the int. */
function asIpv6(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 16) return bytes;
  const mapped = new Uint8Array(16).fill(0xff, 10, 12);
  mapped.set(bytes, 12);
  return mapped;
}
