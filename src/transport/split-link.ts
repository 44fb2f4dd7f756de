import type { Socket } from "bun";
import type { Clock, Timer } from "../base/clock.ts";
import { CLOSE_MS, NOTSENT_LOWAT_BYTES } from "../base/limits.ts";
import { setNotSentLowat } from "../platform/socket-option.ts";
import { descriptorOf } from "./adopt-socket.ts";
import { RecordSplitter } from "./record-splitter.ts";
import { TlsEngine, type EngineOwner } from "./tls-engine.ts";
import type { TlsOptions } from "./tls-dialer.ts";
import {
  endpointsOf,
  failureReason,
  NO_CIPHER,
  NOBODY,
  type Link,
  type LinkHandler,
  type LinkOpening,
} from "./tls-link.ts";

/** Clear bytes that nobody has asked for by then are no stream but a broken record, in milliseconds. */
const LEAVE_MS = 15_000;

/**
 * The link of the side that asks, when it may leave TLS. Clear bytes may come in one segment with the last record,
 * so TLS must not read the socket itself: here it gets whole records from a splitter, and what comes behind them
 * waits. Costs about half of the throughput while TLS is on; without it the socket is the runtime's own.
 */
export class SplitLink implements Link, EngineOwner {
  handler: LinkHandler = NOBODY;
  remoteAddress = "";
  remotePort = 0;
  localAddress = "";
  localPort = 0;
  cipher = "";
  readonly mayLeaveTls = true;
  readonly #clock: Clock;
  readonly #opening: LinkOpening<SplitLink>;
  readonly #splitter = new RecordSplitter();
  #socket: Socket<SplitLink> | undefined;
  /** Until TLS is left. */
  #engine: TlsEngine | undefined;
  /** Clear bytes that came before `leaveTls`: few, for the socket is not read meanwhile. */
  #early: Uint8Array | undefined;
  /** Records that the socket has not taken. */
  #unsent: Uint8Array | undefined;
  #onSent: () => void = () => {};
  #isClosing = false;
  #deadline: Timer | undefined;
  #endReason: string | undefined;

  constructor(clock: Clock, opening: LinkOpening<SplitLink>) {
    this.#clock = clock;
    this.#opening = opening;
  }

  // Opening.

  /** Begins TLS on a connected socket, whose callbacks must be those of `splitCallbacks`. */
  attach(socket: Socket<SplitLink>, serverName: string): void {
    this.#socket = socket;
    Object.assign(this, endpointsOf(socket));
    socket.setNoDelay(true);
    setNotSentLowat(descriptorOf(socket), NOTSENT_LOWAT_BYTES);
    this.#opening.opened(this);
    this.#engine = new TlsEngine(serverName, this);
  }

  secured(cipher: string): void {
    this.cipher = cipher;
    this.#opening.secured(this, () => this.#engine?.certificate());
  }

  // From the peer to the handler.

  received(chunk: Buffer): void {
    if (this.#isClosing || this.#endReason !== undefined) return;
    const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
    const engine = this.#engine;
    if (engine === undefined) {
      this.handler.data(bytes);
      (chunk.buffer as ArrayBuffer).transfer(0);
      return;
    }
    const length = this.#splitter.tlsBytes(bytes);
    if (length < bytes.length) this.#keep(bytes.subarray(length));
    if (length > 0) engine.feed(bytes.subarray(0, length));
  }

  /** Kept before the engine sees what came ahead: its owner may leave TLS as soon as he has read that. */
  #keep(early: Uint8Array): void {
    if (this.cipher === "") return this.abort("not_tls");
    // The runtime may bring one more chunk after pause() (bun-interop.md 5).
    const before = this.#early?.length ?? 0;
    const joined = new Uint8Array(before + early.length);
    if (this.#early !== undefined) joined.set(this.#early);
    joined.set(early, before);
    this.#early = joined;
    this.#socket?.pause();
    this.#deadline ??= this.#clock.after(LEAVE_MS, () => this.abort("tls_error"));
  }

  data(chunk: Uint8Array): void {
    if (!this.#isClosing && this.#endReason === undefined) this.handler.data(chunk);
  }

  leaveTls(): void {
    const socket = this.#socket;
    if (socket === undefined || this.#engine === undefined || this.#isClosing) return;
    this.#engine.drop();
    this.#engine = undefined;
    this.cipher = NO_CIPHER;
    this.#deadline?.cancel();
    const early = this.#early;
    if (early === undefined) return;
    this.#early = undefined;
    socket.resume();
    this.handler.data(early);
  }

  // From the handler to the peer.

  write(bytes: Uint8Array): number {
    const socket = this.#socket;
    if (socket === undefined || this.#isClosing) return 0;
    const engine = this.#engine;
    if (engine === undefined) return Math.max(0, socket.write(bytes));
    if (engine.isFull) return 0;
    engine.write(bytes);
    return bytes.length;
  }

  send(records: Uint8Array, taken: () => void): void {
    this.#unsent = records;
    this.#onSent = taken;
    this.#sendRest();
  }

  #sendRest(): void {
    if (this.#socket === undefined || this.#unsent === undefined) return;
    const taken = Math.max(0, this.#socket.write(this.#unsent));
    if (taken < this.#unsent.length) {
      this.#unsent = this.#unsent.subarray(taken);
      return;
    }
    this.#unsent = undefined;
    this.#onSent();
  }

  drained(): void {
    if (this.#engine !== undefined || this.#unsent !== undefined) this.#sendRest();
    else this.drain();
  }

  drain(): void {
    if (!this.#isClosing && this.cipher !== "") this.handler.drain();
  }

  // The end.

  closeInOrder(): void {
    const socket = this.#socket;
    if (socket === undefined || this.#isClosing) return;
    if (this.cipher === "") return this.abort("closed");
    this.#endReason ??= "closed";
    this.#isClosing = true;
    this.#deadline?.cancel();
    this.#deadline = this.#clock.after(CLOSE_MS, () => socket.terminate());
    if (this.#engine === undefined) socket.shutdown();
    else this.#engine.end();
  }

  finished(): void {
    this.#socket?.shutdown();
  }

  abort(reason: string): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    this.#endReason ??= reason;
    socket.terminate();
  }

  /** The peer has said its last; the runtime's own links end then as well. */
  ended(): void {
    this.#endReason ??= "peer_closed";
    this.closeInOrder();
  }

  failed(error: Error): void {
    this.abort(this.cipher === "" ? failureReason(error) : "tls_error");
  }

  gone(error: Error | undefined): void {
    if (this.#socket === undefined) return;
    this.#socket = undefined;
    this.#deadline?.cancel();
    this.#engine?.drop();
    const code = (error as { code?: string } | undefined)?.code;
    this.handler.closed(this.#endReason ?? (code === "ECONNRESET" ? "reset" : "peer_closed"));
    this.#opening.gone(this);
  }
}

/** Begins TLS on a connected socket, which tells `opening` of its link. */
export function beginSplitTls(
  socket: Socket<unknown>,
  options: TlsOptions,
  opening: LinkOpening<SplitLink>,
): void {
  const link = new SplitLink(options.clock, opening);
  const own = socket as Socket<SplitLink>;
  own.data = link;
  own.reload({ socket: splitCallbacks(options.onFault) });
  link.attach(own, options.serverName);
}

/** The socket callbacks of Bun, which hand everything to the link in `socket.data`. */
function splitCallbacks(onFault: (error: Error) => void) {
  return {
    data: (socket: Socket<SplitLink>, chunk: Buffer) => socket.data.received(chunk),
    drain: (socket: Socket<SplitLink>) => socket.data.drained(),
    close: (socket: Socket<SplitLink>, error?: Error) => socket.data.gone(error),
    error(socket: Socket<SplitLink>, error: Error) {
      onFault(error);
      socket.data.abort("internal_error");
    },
  };
}
