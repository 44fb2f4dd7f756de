// RFC 8446 5.1, RFC 5246 6.2.1: type, version, length.
const HEADER_BYTES = 5;
const CHANGE_CIPHER_SPEC = 20;
const APPLICATION_DATA = 23;

/**
 * Finds where a peer leaves TLS, in a byte stream that begins with TLS records and may go on clear (protocol.md 16).
 *
 * A record begins with its type, 20 to 23. A clear stream begins with the u32 number of its first blocks, or with
 * FFFFFFFF for a keep-alive (protocol.md 13): its first byte is of a record only for a first unit of more than 335
 * million blocks, where stock senders stay below 1024.
 */
export class RecordSplitter {
  /** Bytes of the record at hand that are still to come; of its header while that is not whole. */
  #missing = 0;
  #header = 0;
  #length = 0;
  #isClear = false;

  /** How many of the bytes are of TLS. All behind them are clear, and so is everything after. */
  tlsBytes(bytes: Uint8Array): number {
    let at = 0;
    while (at < bytes.length && !this.#isClear) {
      if (this.#missing > 0) {
        const part = Math.min(this.#missing, bytes.length - at);
        this.#missing -= part;
        at += part;
        continue;
      }
      const byte = bytes[at]!;
      if (this.#header === 0 && (byte < CHANGE_CIPHER_SPEC || byte > APPLICATION_DATA)) {
        this.#isClear = true;
        break;
      }
      this.#length = ((this.#length << 8) | byte) & 0xffff;
      at++;
      if (++this.#header === HEADER_BYTES) {
        this.#missing = this.#length;
        this.#header = 0;
      }
    }
    return at;
  }

  get isClear(): boolean {
    return this.#isClear;
  }
}
