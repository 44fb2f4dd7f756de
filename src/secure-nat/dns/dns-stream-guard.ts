import { MAX_DNS_STREAM_QUESTION_BYTES } from "../../base/limits.ts";
import { readVectors } from "../../platform/vector-bytes.ts";
import type { StreamGuard } from "../flow.ts";

/** RFC 1035 4.2.2. */
const LENGTH_BYTES = 2;

/**
 * Questions of a guest by TCP, one behind the other. The resolver sees this machine ask, which it may trust with more than
 * look-ups: no last byte of a message goes there before the message was looked at.
 */
export class DnsStreamGuard implements StreamGuard {
  readonly #mayAsk: (message: Uint8Array) => boolean;
  readonly #message = new Uint8Array(LENGTH_BYTES + MAX_DNS_STREAM_QUESTION_BYTES);
  #filled = 0;
  /** Looked at, and not gone on yet. */
  #ahead = 0;
  #isOver = false;

  constructor(mayAsk: (message: Uint8Array) => boolean) {
    this.#mayAsk = mayAsk;
  }

  passes(vectorAt: number, vectors: number, bytes: number): boolean {
    while (!this.#isOver && this.#ahead < bytes) {
      const room = this.#message.subarray(this.#filled, LENGTH_BYTES + this.#length);
      const copied = readVectors(vectorAt, vectors, this.#ahead, room);
      this.#filled += copied;
      this.#ahead += copied;
      if (this.#filled < LENGTH_BYTES) continue;
      const isTooLong = this.#length > MAX_DNS_STREAM_QUESTION_BYTES;
      if (!isTooLong && this.#filled < LENGTH_BYTES + this.#length) continue;
      this.#isOver = isTooLong || !this.#mayAsk(this.#message.subarray(LENGTH_BYTES, this.#filled));
      this.#filled = 0;
    }
    return !this.#isOver;
  }

  taken(bytes: number): void {
    this.#ahead -= bytes;
  }

  /** Of the message; 0 until it is known. */
  get #length(): number {
    return this.#filled < LENGTH_BYTES ? 0 : (this.#message[0]! << 8) | this.#message[1]!;
  }
}
