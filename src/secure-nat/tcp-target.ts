// The outer end of a TCP flow: a socket with what epoll(7) has told of it, which it tells once.
import { SystemError } from "../base/errors.ts";
import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLPRI,
  EPOLLRDHUP,
  type Epoll,
  type EpollWatch,
} from "../platform/epoll.ts";
import type { SocketAddress } from "../platform/socket-address.ts";
import { ERRNO, StreamSocket } from "../platform/stream-socket.ts";
import { socketShare } from "./socket-share.ts";

const GONE = EPOLLERR | EPOLLHUP;
const INTEREST = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI;

/** What became of a dial. */
export type DialOutcome = "pending" | "connected" | { readonly errno: number };

export class TcpTarget {
  /** The socket may take bytes, and may have some. */
  isWritable = true;
  isReadable = false;
  /** The target has sent its FIN, and all before it was read. */
  isReadDone = false;
  /** It has reset, or vanished. What it sent before may still be there to read. */
  isBroken = false;
  /** The socket has told of an end or an error, which reading on will find. */
  #isEnding = false;
  /** Reading stops at an urgent byte, though there is more behind it. */
  #isUrgent = false;
  readonly #socket: StreamSocket;
  readonly #watch: EpollWatch;
  #isOpen = true;

  private constructor(socket: StreamSocket, watch: EpollWatch) {
    this.#socket = socket;
    this.#watch = watch;
  }

  /**
   * Starts a connection; `onEvents` is called when there is something to `note`.
   * @throws SystemError for what is known at once
   */
  static dial(to: SocketAddress, epoll: Epoll, onEvents: (events: number) => void): TcpTarget {
    if (!socketShare.take()) throw new SystemError("socket", ERRNO.EMFILE, "open a TCP socket");
    let socket: StreamSocket | undefined;
    try {
      socket = StreamSocket.connect(to);
      return new TcpTarget(socket, epoll.add(socket.fd, onEvents, INTEREST));
    } catch (thrown) {
      socket?.close();
      socketShare.give();
      throw thrown;
    }
  }

  /** How the dial stands, by events that came before its end was known. */
  outcome(events: number): DialOutcome {
    const errno = this.#socket.connectError();
    if (errno !== 0) return { errno };
    return (events & EPOLLOUT) === 0 ? "pending" : "connected";
  }

  /** Notes news. True if the socket takes bytes again. */
  note(events: number): boolean {
    if ((events & (EPOLLRDHUP | GONE)) !== 0) this.#isEnding = true;
    if ((events & EPOLLPRI) !== 0) this.#isUrgent = true;
    if (!this.isReadDone) {
      if ((events & (EPOLLIN | EPOLLRDHUP | GONE)) !== 0) this.isReadable = true;
      // Only an error can follow the end of what the target sends.
    } else if ((events & EPOLLERR) !== 0) this.isBroken = true;
    if ((events & EPOLLOUT) === 0 || this.isWritable || this.isBroken) return false;
    this.isWritable = true;
    return true;
  }

  /** Calls `onEvents` in the next turn, to read on. */
  readonly readLater = (): void => {
    this.#watch.again(EPOLLIN);
  };

  /** Bytes that were taken of the vectors; all of them, though they go nowhere, by a target that is gone. */
  write(vectorAt: number, vectors: number, bytes: number): number {
    if (this.isBroken || !this.#isOpen) return bytes;
    if (!this.isWritable) return 0;
    const taken = this.#socket.writev(vectorAt, vectors);
    if (taken >= 0) {
      this.isWritable = taken === bytes;
      return taken;
    }
    this.isWritable = false;
    if (taken === -ERRNO.EAGAIN) return 0;
    this.giveUp();
    return bytes;
  }

  /** It hears nothing more. The reader finds what it has sent before, and then that it has gone. */
  giveUp(): void {
    this.isBroken = true;
    this.readLater();
  }

  /** FIN behind what was written. */
  finish(): void {
    this.#socket.finish();
  }

  /** Bytes that were read; 0 if there are none, now or ever: `isReadDone` and `isBroken` say which. */
  read(address: number, bytes: number): number {
    const read = this.#socket.read(address, bytes);
    if (read > 0) {
      // Less than was asked for is all there was: the next byte is news (epoll(7)). An end has been told of already.
      if (read < bytes && !this.#isEnding && !this.#isUrgent) this.isReadable = false;
      return read;
    }
    this.isReadable = this.#isUrgent = false;
    // Whoever wrote has learnt of a reset, and reading then meets what looks like an orderly end.
    if (read === 0 && !this.isBroken) this.isReadDone = true;
    else if (read !== -ERRNO.EAGAIN) this.isBroken = true;
    return 0;
  }

  /** Frees the descriptor: the system sends what was written, unless it is a reset. May be called twice. */
  close(isReset: boolean): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.isReadable = false;
    this.#watch.remove();
    if (isReset) this.#socket.reset();
    else this.#socket.close();
    socketShare.give();
  }
}
