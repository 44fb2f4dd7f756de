import type { Random } from "../../base/random.ts";
import type { TcpEndpoints } from "./endpoints.ts";

/** RFC 6528 3: the clock of initial sequence numbers ticks every 4 microseconds. */
const TICKS_PER_MS = 250;

/** Numbers that nobody off the path can guess, made of the connection's addresses and a secret (RFC 6528, RFC 7323 5.4). */
export class InitialSequence {
  readonly #secret: Uint8Array;

  constructor(random: Random) {
    this.#secret = random.bytes(32);
  }

  /** The sequence number to begin with, and what is added to the clock to make timestamps of it. */
  of(ends: TcpEndpoints, nowMs: number): { readonly sequence: number; readonly timestamp: number } {
    const ports = new Uint16Array([ends.innerPort, ends.outerPort]);
    const digest = new Bun.CryptoHasher("sha256", this.#secret)
      .update(ends.inner.bytes)
      .update(ends.outer.bytes)
      .update(ports)
      .digest();
    const view = new DataView(digest.buffer, digest.byteOffset, digest.byteLength);
    return {
      sequence: (view.getUint32(0) + nowMs * TICKS_PER_MS) >>> 0,
      timestamp: view.getUint32(4),
    };
  }
}
