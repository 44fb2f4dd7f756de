import type { Random } from "../../base/random.ts";
import type { TcpEndpoints } from "./endpoints.ts";

/** RFC 6528 3: the clock of initial sequence numbers ticks every 4 microseconds. */
const TICKS_PER_MS = 250;

const SECRET_BYTES = 32;
const ADDRESS_BYTES = 16;
const PORTS_AT = SECRET_BYTES + 2 * ADDRESS_BYTES;
const DIGEST_BYTES = 32;

/** Numbers that nobody off the path can guess, made of the connection's addresses and a secret (RFC 6528, RFC 7323 5.4). */
export class InitialSequence {
  /** What is hashed: the secret, both addresses, the ports, the family. Used again, as the digest is. */
  readonly #input = new Uint8Array(PORTS_AT + 5);
  readonly #inputView = new DataView(this.#input.buffer);
  readonly #digest = new Uint8Array(DIGEST_BYTES);
  readonly #digestView = new DataView(this.#digest.buffer);

  constructor(random: Random) {
    this.#input.set(random.bytes(SECRET_BYTES));
  }

  /** The sequence number to begin with, and what is added to the clock to make timestamps of it. */
  of(ends: TcpEndpoints, nowMs: number): { readonly sequence: number; readonly timestamp: number } {
    const { inner, innerPort, outer, outerPort } = ends;
    this.#input.fill(0, SECRET_BYTES);
    this.#input.set(inner.bytes, SECRET_BYTES);
    this.#input.set(outer.bytes, SECRET_BYTES + ADDRESS_BYTES);
    this.#inputView.setUint16(PORTS_AT, innerPort);
    this.#inputView.setUint16(PORTS_AT + 2, outerPort);
    this.#inputView.setUint8(PORTS_AT + 4, inner.family);
    Bun.SHA256.hash(this.#input, this.#digest);
    const view = this.#digestView;
    return {
      sequence: (view.getUint32(0) + nowMs * TICKS_PER_MS) >>> 0,
      timestamp: view.getUint32(4),
    };
  }
}
