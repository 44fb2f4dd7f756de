import { VpnError } from "../../src/base/errors.ts";
import type { Link, LinkHandler } from "../../src/transport/tls-link.ts";

/** A link without a socket: what is written lies in `written`, and the peer is played by calling `handler`. */
export class FakeLink implements Link {
  readonly remoteAddress: string;
  readonly remotePort = 40_000;
  readonly localAddress = "192.0.2.1";
  readonly localPort = 443;
  cipher = "TLSv1.3 TLS_AES_128_GCM_SHA256";
  mayLeaveTls = false;
  handler: LinkHandler = { data() {}, drain() {}, closed() {} };
  /** Bytes that the next writes take in all; Infinity at first. */
  room = Infinity;
  ended: "in order" | "aborted" | undefined;
  #written: Uint8Array[] = [];

  constructor(remoteAddress = "198.51.100.7") {
    this.remoteAddress = remoteAddress;
  }

  write(bytes: Uint8Array): number {
    const taken = this.ended === undefined ? Math.min(this.room, bytes.length) : 0;
    this.room -= taken;
    this.#written.push(bytes.slice(0, taken));
    return taken;
  }

  closeInOrder(): void {
    this.ended ??= "in order";
  }

  abort(reason: string): void {
    if (this.ended !== undefined) return;
    this.ended = "aborted";
    this.handler.closed(reason);
  }

  leaveTls(): void {
    if (!this.mayLeaveTls) throw new VpnError("tls_required", "Cannot leave TLS");
    this.cipher = "none";
  }

  /** What was written since the last call. */
  take(): Uint8Array {
    return Buffer.concat(this.#written.splice(0));
  }
}
