import { Duplex } from "node:stream";
import { connect, type TLSSocket } from "node:tls";
import { tryParseAddress } from "../base/ip.ts";
import type { PeerCertificate } from "./tls-link.ts";

/** Whoever carries the records of an engine and takes what is in them. */
export interface EngineOwner {
  /** Carries ciphertext; calls `taken` when there is room for more. */
  send(records: Uint8Array, taken: () => void): void;
  secured(cipher: string): void;
  data(chunk: Uint8Array): void;
  drain(): void;
  /** The peer's close_notify. */
  ended(): void;
  failed(error: Error): void;
  /** Our close_notify has been handed to `send`. */
  finished(): void;
}

/** The client's side of TLS between two byte streams, for a socket that somebody else reads. */
export class TlsEngine {
  readonly #tls: TLSSocket;
  readonly #records: Duplex;
  #owner: EngineOwner | undefined;

  constructor(serverName: string, owner: EngineOwner) {
    this.#owner = owner;
    this.#records = new Duplex({
      read() {},
      write: (chunk: Buffer, _encoding, taken) => {
        if (this.#owner === undefined) taken();
        else this.#owner.send(chunk, () => taken());
      },
      final: (done) => {
        this.#owner?.finished();
        done();
      },
    });
    const tls = connect({
      socket: this.#records,
      rejectUnauthorized: false,
      // The runtime refuses SNI for addresses (RFC 6066 3) and checks them against the certificate as the host.
      ...(tryParseAddress(serverName) === undefined
        ? { servername: serverName }
        : { host: serverName }),
    });
    this.#tls = tls;
    tls.on("secureConnect", () => {
      const cipher = tls.getCipher();
      this.#owner?.secured(`${tls.getProtocol()} ${cipher.standardName ?? cipher.name}`);
    });
    tls.on("data", (chunk: Buffer) => {
      this.#owner?.data(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length));
    });
    tls.on("drain", () => this.#owner?.drain());
    tls.on("end", () => this.#owner?.ended());
    for (const stream of [tls, this.#records]) {
      stream.on("error", (error: Error) => this.#owner?.failed(error));
    }
  }

  /** Takes records; it may keep the memory. What is in them reaches the owner before this returns. */
  feed(records: Uint8Array): void {
    this.#records.push(records);
  }

  /** True while what was written is not with the owner yet. */
  get isFull(): boolean {
    return this.#tls.writableNeedDrain;
  }

  /** Takes all of it, by copy. */
  write(bytes: Uint8Array): void {
    this.#tls.write(Buffer.from(bytes));
  }

  /** Sends close_notify. */
  end(): void {
    this.#tls.end();
  }

  /** Is silent from now on, on either side. */
  drop(): void {
    this.#owner = undefined;
    this.#tls.destroy();
    this.#records.destroy();
  }

  certificate(): PeerCertificate | undefined {
    const certificate = this.#tls.getPeerX509Certificate();
    if (certificate === undefined) return undefined;
    const problem = this.#tls.authorizationError as Error | string | null;
    return {
      der: new Uint8Array(certificate.raw),
      authorized: this.#tls.authorized,
      problem: typeof problem === "string" ? problem : (problem as { code?: string } | null)?.code,
    };
  }
}
