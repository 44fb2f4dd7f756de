import { ByteReader } from "./reader.ts";
import { ProtocolError } from "../base/errors.ts";

/* Specification constants: X.690 8.1.2, X.680 8.4. */
export const DER_TAG = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  OID: 0x06,
  UTF8_STRING: 0x0c,
  SEQUENCE: 0x30,
  SET: 0x31,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
  BMP_STRING: 0x1e,
} as const;

/** The tag of `[number]` around another value (X.690 8.14). */
export const explicitTag = (number: number): number => 0xa0 | number;

/** One value. `whole` begins with the tag, `content` behind the length; both are views. */
export interface DerValue {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly whole: Uint8Array;
}

/** Walks over the values of some DER (X.690). What is cut or longer than its surroundings throws ProtocolError `der`. */
export class DerReader {
  readonly #reader: ByteReader;

  constructor(bytes: Uint8Array) {
    this.#reader = new ByteReader(bytes, "der");
  }

  get isAtEnd(): boolean {
    return this.#reader.remaining === 0;
  }

  next(): DerValue {
    const from = this.#reader.position;
    const tag = this.#reader.readU8();
    // Tags of more than one octet do not occur in certificates.
    if ((tag & 0x1f) === 0x1f) throw new ProtocolError("der", "a tag of many octets");
    const content = this.#reader.readBytes(this.#readLength());
    return { tag, content, whole: this.#reader.bytes.subarray(from, this.#reader.position) };
  }

  expect(tag: number): DerValue {
    const value = this.next();
    if (value.tag === tag) return value;
    throw new ProtocolError("der", `expected the tag ${tag}, found ${value.tag}`);
  }

  /** The next value if it has this tag; else nothing is taken. */
  tryNext(tag: number): DerValue | undefined {
    if (this.isAtEnd || this.#reader.bytes[this.#reader.position] !== tag) return undefined;
    return this.next();
  }

  /** The values inside the SEQUENCE that comes next. */
  enter(tag: number = DER_TAG.SEQUENCE): DerReader {
    return new DerReader(this.expect(tag).content);
  }

  /** X.690 10.1: definite lengths, in the fewest octets. */
  #readLength(): number {
    const first = this.#reader.readU8();
    if (first < 0x80) return first;
    const octets = first & 0x7f;
    if (octets === 0 || octets > 4) throw new ProtocolError("der", "a length out of bounds");
    let length = 0;
    for (let at = 0; at < octets; at++) length = length * 256 + this.#reader.readU8();
    if (length < 0x80 || length < 2 ** (8 * (octets - 1))) {
      throw new ProtocolError("der", "a length in too many octets");
    }
    return length;
  }
}

/** A whole number as lower-case hexadecimal without leading zeros: how serial numbers are compared. */
export function hexOfInteger(content: Uint8Array): string {
  return content.toHex().replace(/^0+(?=.)/, "");
}

/**
 * A time of RFC 5280 4.1.2.5 in milliseconds since 1970: in UTC, with seconds, UTCTime from 1950 to 2049.
 * @throws ProtocolError `der`
 */
export function readDerTime({ tag, content }: DerValue): number {
  const text = new TextDecoder("latin1").decode(content);
  const digits =
    tag === DER_TAG.UTC_TIME && /^\d{12}Z$/.test(text)
      ? `${Number(text.slice(0, 2)) < 50 ? "20" : "19"}${text}`
      : tag === DER_TAG.GENERALIZED_TIME && /^\d{14}Z$/.test(text)
        ? text
        : undefined;
  const iso = digits?.replace(/^(....)(..)(..)(..)(..)(..)Z$/, "$1-$2-$3T$4:$5:$6Z");
  const moment = Date.parse(iso ?? "");
  if (Number.isNaN(moment)) throw new ProtocolError("der", "not a time");
  return moment;
}
