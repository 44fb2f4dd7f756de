import { ProtocolError } from "../base/errors.ts";

/** A cursor over bytes. Reading past the end throws a ProtocolError with the code given. Big-endian. */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #shortCode: string;
  #at = 0;

  constructor(bytes: Uint8Array, shortCode: string) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#shortCode = shortCode;
  }

  get position(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.bytes.length - this.#at;
  }

  readU8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  readU16(): number {
    return this.#view.getUint16(this.#advance(2));
  }

  readU32(): number {
    return this.#view.getUint32(this.#advance(4));
  }

  readU64(): bigint {
    return this.#view.getBigUint64(this.#advance(8));
  }

  /** The next `count` bytes, as a view of the buffer. */
  readBytes(count: number): Uint8Array {
    const from = this.#advance(count);
    return this.bytes.subarray(from, from + count);
  }

  #advance(count: number): number {
    const from = this.#at;
    if (count > this.bytes.length - from) {
      throw new ProtocolError(
        this.#shortCode,
        `Cannot read ${count} bytes at ${from}: ${this.bytes.length - from} are left`,
      );
    }
    this.#at = from + count;
    return from;
  }
}
