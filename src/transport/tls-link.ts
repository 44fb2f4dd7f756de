import type { Socket } from "bun";
import type { Clock, Timer } from "../base/clock.ts";
import { messageOf, VpnError } from "../base/errors.ts";
import { CLOSE_MS, NOTSENT_LOWAT_BYTES } from "../base/limits.ts";
import { setNotSentLowat } from "../platform/socket-option.ts";
import { closeDescriptor, duplicateDescriptor } from "../platform/tcp-connect.ts";
import { adoptSocket, descriptorOf } from "./adopt-socket.ts";

/** What the owner of a link hears. Every link ends with exactly one `closed`. */
export interface LinkHandler {
  /** Bytes in order. The chunk is gone after the call: copy what is to be kept. */
  data(chunk: Uint8Array): void;
  /** The socket takes bytes again after a short `write`. */
  drain(): void;
  closed(reason: string): void;
}

export interface PeerCertificate {
  readonly der: Uint8Array;
  /** Valid by the system's CAs, host name included. */
  readonly authorized: boolean;
  /** Why not, in the TLS library's word. */
  readonly problem: string | undefined;
}

/** One TLS connection as the layers above see it, from TCP accept or connect to its end. */
export interface Link {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** `TLSv1.3 TLS_AES_128_GCM_SHA256` once secured, `none` after `leaveTls`. */
  readonly cipher: string;
  /** Opened so that it can go on without TLS. */
  readonly mayLeaveTls: boolean;
  handler: LinkHandler;
  /** Takes bytes at once and answers how many; the rest waits with the caller for `drain`. */
  write(bytes: Uint8Array): number;
  /**
   * close_notify, FIN, and an end by force if the peer does not answer (protocol.md 2.3). With `readsOn` what the
   * peer still sends is handed over until it closes its side.
   */
  closeInOrder(options?: { readsOn: boolean }): void;
  /** Ends at once with a RST: before login, or for all connections of a dead session. */
  abort(reason: string): void;
  /**
   * From the next byte on both directions are clear, on the same TCP connection and without a close_notify
   * (protocol.md 16). Call it right after the last message: on the side that answers in the same turn as its
   * `write`, before the peer can have sent anything more; on the side that asked once the answer is read. What has
   * come clear by then reaches `handler.data` before this returns.
   * @throws VpnError `tls_required` where `mayLeaveTls` is false
   */
  leaveTls(): void;
}

/** Before somebody owns the link: whoever opened it wants to know about TLS. */
export interface LinkOpening<L extends Link = TlsLink> {
  opened(link: L): void;
  secured(link: L, certificate: () => PeerCertificate | undefined): void;
  /** The socket is gone, whoever owned the link last. Not told of links that never were `opened`. */
  gone(link: L): void;
}

export const NOBODY: LinkHandler = { data() {}, drain() {}, closed() {} };

/** What `Link.cipher` says of a link that has left TLS. */
export const NO_CIPHER = "none";

/** A link on Bun's native socket. Made by the listener and the dialler only. */
export class TlsLink implements Link {
  handler: LinkHandler = NOBODY;
  remoteAddress = "";
  remotePort = 0;
  localAddress = "";
  localPort = 0;
  cipher = "";
  #socket: Socket<TlsLink> | undefined;
  #secured = false;
  #closing: Timer | undefined;
  #readsOn = false;
  #endReason: string | undefined;
  readonly #clock: Clock;
  readonly #opening: LinkOpening;
  readonly #clear: LinkCallbacks | undefined;

  /**
   * @param clear callbacks for the socket that goes on without TLS; with them the link may leave it. Only for the
   * side that answers: on the other the TLS library, which reads for itself, would read too far.
   */
  constructor(clock: Clock, opening: LinkOpening, clear?: LinkCallbacks) {
    this.#clock = clock;
    this.#opening = opening;
    this.#clear = clear;
  }

  get mayLeaveTls(): boolean {
    return this.#clear !== undefined;
  }

  get isOpen(): boolean {
    return this.#socket !== undefined;
  }

  /** Never a failure in itself: a socket that is gone takes nothing, and `closed` tells. */
  write(bytes: Uint8Array): number {
    if (this.#socket === undefined || this.#closing !== undefined) return 0;
    const taken = this.#socket.write(bytes);
    return taken < 0 ? 0 : taken;
  }

  closeInOrder(options?: { readsOn: boolean }): void {
    const socket = this.#socket;
    if (socket === undefined || this.#closing !== undefined) return;
    if (!this.#secured) return this.abort("closed");
    this.#endReason ??= "closed";
    this.#readsOn = options?.readsOn ?? false;
    // Without the deadline a peer that never closes its side keeps the descriptor for good.
    this.#closing = this.#clock.after(CLOSE_MS, () => socket.terminate());
    socket.shutdown();
  }

  abort(reason: string): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    this.#endReason ??= reason;
    socket.terminate();
  }

  // The runtime has no way out of TLS, but its close() is silent and shuts nothing down. So the connection goes on
  // over a second descriptor, as a socket of the runtime that never knew TLS. Nothing of the peer's is lost: it
  // sends clear bytes only after our last answer, and nobody has read the socket since that was written.
  leaveTls(): void {
    const clear = this.#clear;
    if (clear === undefined) throw tlsRequired();
    const secure = this.#socket;
    if (secure === undefined || this.#closing !== undefined || this.cipher === NO_CIPHER) return;
    const fd = duplicateDescriptor(descriptorOf(secure));
    this.cipher = NO_CIPHER;
    this.#socket = undefined;
    secure.close();
    adoptSocket<TlsLink>({
      fd,
      data: this,
      socket: { ...clear, open: (socket) => void (this.#socket = socket) },
    }).catch((error: unknown) => this.#lose(fd, error));
  }

  /** The runtime did not take the descriptor. */
  #lose(fd: number, error: unknown): void {
    closeDescriptor(fd);
    this.handler.closed(this.#endReason ?? messageOf(error));
    this.#opening.gone(this);
  }

  attach(socket: Socket<TlsLink>): void {
    this.#socket = socket;
    Object.assign(this, endpointsOf(socket));
    this.#opening.opened(this);
  }

  handshaken(error: Error | null): void {
    const socket = this.#socket;
    if (socket === undefined || this.#endReason !== undefined) return;
    // `ok` is false for every self-signed peer; only a cipher with a name tells that TLS is up (bun-interop.md 2).
    const cipher = socket.getCipher() as
      { name?: string | null; standardName?: string } | undefined;
    if (cipher?.name == null) {
      this.#endReason = failureReason(error);
      socket.terminate();
      return;
    }
    this.#secured = true;
    this.cipher = `${socket.getTLSVersion()} ${cipher.standardName ?? cipher.name}`;
    socket.setNoDelay(true);
    setNotSentLowat(descriptorOf(socket), NOTSENT_LOWAT_BYTES);
    this.#opening.secured(this, () => {
      const certificate = socket.getPeerX509Certificate();
      if (certificate === undefined) return undefined;
      return {
        der: new Uint8Array(certificate.raw),
        authorized: socket.authorized,
        problem: (error as { code?: string } | null)?.code,
      };
    });
  }

  received(chunk: Buffer): void {
    if (this.#readsOn || this.#endReason === undefined) {
      // No Buffer leaves this folder: its slice() is no copy.
      this.handler.data(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length));
    }
    // Frees the chunk now instead of at the next collection: a third of a busy server's time (dataplane.md 2).
    (chunk.buffer as ArrayBuffer).transfer(0);
  }

  drained(): void {
    if (this.#secured && this.#closing === undefined) this.handler.drain();
  }

  ended(socket: Socket<TlsLink>, error: Error | undefined): void {
    // The socket that a link has left TLS with ends without the link.
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    this.#closing?.cancel();
    const code = (error as { code?: string } | undefined)?.code;
    this.handler.closed(this.#endReason ?? (code === "ECONNRESET" ? "reset" : "peer_closed"));
    this.#opening.gone(this);
  }
}

export type LinkCallbacks = ReturnType<typeof linkCallbacks>;

/** The socket callbacks of Bun, which hand everything to the link in `socket.data`. */
export function linkCallbacks(onFault: (error: Error) => void) {
  return {
    handshake(socket: Socket<TlsLink>, _ok: boolean, error: Error | null) {
      socket.data.handshaken(error);
    },
    data(socket: Socket<TlsLink>, chunk: Buffer) {
      socket.data.received(chunk);
    },
    drain(socket: Socket<TlsLink>) {
      socket.data.drained();
    },
    close(socket: Socket<TlsLink>, error?: Error) {
      socket.data?.ended(socket, error);
    },
    // Bun reports exceptions of our own handlers here and leaves the connection open, and what the TLS library
    // finds wrong after the handshake: renegotiation, a record that nobody can decrypt.
    error(socket: Socket<TlsLink>, error: Error) {
      if ((error as { code?: string }).code === "EPROTO") return socket.data?.abort("tls_error");
      onFault(error);
      socket.data?.abort("internal_error");
    },
  };
}

export function tlsRequired(): VpnError {
  return new VpnError("tls_required", "Cannot leave TLS: the link was not opened so");
}

/** Why a handshake failed, as the counters name it (robustness.md 3.1). */
export function failureReason(error: Error | null): string {
  const text = error?.message ?? "";
  if (
    /UNSUPPORTED_PROTOCOL|NO_SHARED_CIPHER|NO_COMMON|UNKNOWN_CIPHER|BAD_PROTOCOL_VERSION/.test(text)
  ) {
    return "tls_version";
  }
  if (/ALERT|CERTIFICATE|VERIFY/.test(text)) return "tls_alert";
  return (error as { code?: string } | null)?.code === "ECONNRESET" ? "reset" : "not_tls";
}

/** Both ends of a socket; an IPv4 address is one also on a socket of both families. */
export function endpointsOf(socket: Socket<unknown>) {
  return {
    remoteAddress: plainAddress(socket.remoteAddress),
    remotePort: socket.remotePort,
    localAddress: plainAddress(socket.localAddress),
    localPort: socket.localPort,
  };
}

function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}
