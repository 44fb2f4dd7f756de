import type { Socket } from "bun";
import type { Clock, Timer } from "../base/clock.ts";
import { messageOf, SystemError, VpnError } from "../base/errors.ts";
import { SOCKET_OPTION, tryGetSocketOption } from "../platform/socket-option.ts";
import { closeDescriptor, startConnect } from "../platform/tcp-connect.ts";
import { adoptSocket, descriptorOf } from "./adopt-socket.ts";

/** Time for one address to answer the TCP connect (protocol.md 2.5), in milliseconds. */
const CONNECT_MS = 10_000;

/** What a proxy may say ahead of what is asked of it. */
const MAX_UNREAD_BYTES = 1 << 20;

const NOTHING = new Uint8Array(0);

export interface TcpTarget {
  /** Who is expected there, for the text of errors. */
  readonly peer: "VPN server" | "proxy";
  readonly address: string;
  readonly port: number;
  /** Local address to send from. */
  readonly source: string | undefined;
}

/**
 * A TCP connection that we opened, for as long as nobody speaks TLS on it: what goes over it until then are the few
 * bytes of a talk with a proxy.
 */
export class TcpSocket {
  #socket: Socket<TcpSocket> | undefined;
  #unread: Uint8Array = NOTHING;
  #ended: Error | undefined;
  #changed: () => void = () => {};
  /** Only while the connect is under way, which is over when the socket can be written to. */
  onWritable: ((fd: number) => void) | undefined;

  /** Whose death is told to nobody but the reader. */
  ended(error: Error): void {
    this.#socket = undefined;
    this.#ended ??= error;
    this.#changed();
  }

  attach(socket: Socket<TcpSocket>): void {
    this.#socket = socket;
  }

  received(chunk: Buffer): void {
    if (this.#unread.length + chunk.length > MAX_UNREAD_BYTES) return this.abort();
    const joined = new Uint8Array(this.#unread.length + chunk.length);
    joined.set(this.#unread);
    joined.set(chunk, this.#unread.length);
    this.#unread = joined;
    this.#changed();
  }

  get remoteAddress(): string {
    return this.#socket?.remoteAddress ?? "";
  }

  /** @throws VpnError `disconnected` where the socket does not take a few bytes at once. */
  write(bytes: Uint8Array): void {
    if (this.#socket?.write(bytes) !== bytes.length) {
      throw new VpnError("disconnected", "what we send is not taken");
    }
  }

  /**
   * Takes what has come, waiting for it where nothing has.
   * @throws VpnError `disconnected`, `timeout`, `cancelled`.
   */
  async read(wait: { clock: Clock; ms: number; signal: AbortSignal }): Promise<Uint8Array> {
    if (this.#unread.length === 0) await this.#change(wait);
    const taken = this.#unread;
    this.#unread = NOTHING;
    return taken;
  }

  /** Gives back what `read` took too much of. */
  unread(bytes: Uint8Array): void {
    this.#unread = bytes;
  }

  /**
   * Hands over the socket for TLS; this object is done.
   * @throws VpnError where it is closed, or where the other end has spoken first, which no server of ours does
   */
  release(): Socket<TcpSocket> {
    const socket = this.#socket;
    if (socket === undefined) throw this.#ended ?? new VpnError("disconnected", "closed");
    if (this.#unread.length > 0) throw new VpnError("disconnected", "it speaks first, without TLS");
    this.#socket = undefined;
    return socket;
  }

  abort(): void {
    this.#socket?.terminate();
  }

  #change(wait: { clock: Clock; ms: number; signal: AbortSignal }): Promise<void> {
    return new Promise((resolve, reject) => {
      let deadline: Timer | undefined;
      const done = (act: () => void) => {
        deadline?.cancel();
        wait.signal.removeEventListener("abort", cancel);
        this.#changed = () => {};
        act();
      };
      const cancel = () => done(() => reject(new VpnError("cancelled", "cancelled")));
      this.#changed = () => {
        if (this.#unread.length > 0) done(resolve);
        else if (this.#ended !== undefined) done(() => reject(this.#ended));
      };
      if (wait.signal.aborted) return cancel();
      wait.signal.addEventListener("abort", cancel, { once: true });
      deadline = wait.clock.after(wait.ms, () =>
        done(() => reject(new VpnError("timeout", "no answer"))),
      );
      this.#changed();
    });
  }
}

/**
 * Opens a TCP connection to an address.
 * @throws VpnError `connect_failed`, `timeout`, `cancelled`.
 */
export function connectTcp(
  target: TcpTarget,
  deps: { clock: Clock; signal: AbortSignal },
): Promise<TcpSocket> {
  const endpoint = formatEndpoint(target.address, target.port);
  const where = target.peer === "proxy" ? `the proxy ${endpoint}` : endpoint;
  const failure = (code: string, text: string, cause?: unknown) =>
    new VpnError(code, `Cannot connect to ${where}: ${text}`, { cause });
  return new Promise((resolve, reject) => {
    if (deps.signal.aborted) return reject(failure("cancelled", "cancelled"));
    const tcp = new TcpSocket();
    let isSettled = false;
    const settle = (act: () => void) => {
      if (isSettled) return;
      isSettled = true;
      deadline.cancel();
      deps.signal.removeEventListener("abort", cancel);
      tcp.onWritable = undefined;
      act();
    };
    const fail = (error: Error) => settle(() => (tcp.abort(), reject(error)));
    const cancel = () => fail(failure("cancelled", "cancelled"));
    const deadline = deps.clock.after(CONNECT_MS, () => fail(failure("timeout", "no answer")));
    deps.signal.addEventListener("abort", cancel, { once: true });
    tcp.onWritable = (fd) => {
      const errno = tryGetSocketOption(fd, SOCKET_OPTION.error);
      if (errno === 0) return settle(() => resolve(tcp));
      const error = new SystemError("connect", errno ?? 0, "connect");
      fail(failure("connect_failed", connectText(target.peer, error), error));
    };
    try {
      const fd = startConnect(target.address, target.port, target.source);
      const onEnd = (error: unknown) =>
        fail(failure("connect_failed", connectText(target.peer, error), error));
      adoptSocket({ fd, data: tcp, socket: callbacks(onEnd) }).catch((error: unknown) => {
        closeDescriptor(fd);
        onEnd(error);
      });
    } catch (error) {
      fail(failure("connect_failed", connectText(target.peer, error), error));
    }
  });
}

/** `onEnd` hears of an end before the connect is over; later ones are the reader's. */
function callbacks(onEnd: (error: unknown) => void) {
  return {
    // Told at once: the runtime takes the descriptor for connected.
    open: (socket: Socket<TcpSocket>) => socket.data.attach(socket),
    drain: (socket: Socket<TcpSocket>) => socket.data.onWritable?.(descriptorOf(socket)),
    data: (socket: Socket<TcpSocket>, chunk: Buffer) => socket.data.received(chunk),
    close(socket: Socket<TcpSocket>, error?: Error) {
      socket.data.ended(new VpnError("disconnected", "the connection was closed"));
      onEnd(error);
    },
    error(socket: Socket<TcpSocket>, error: Error) {
      onEnd(error);
      socket.data.abort();
    },
  };
}

/** `192.0.2.1:443`, `[2001:db8::1]:443`, `vpn.example.com:443`. */
export function formatEndpoint(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

const ECONNREFUSED = 111;
const UNREACHABLE: readonly (string | number)[] = ["EHOSTUNREACH", "ENETUNREACH", 113, 101];

function connectText(peer: string, error: unknown): string {
  const code =
    error instanceof SystemError
      ? error.errno
      : ((error as { code?: string } | undefined)?.code ?? "");
  if (code === "ECONNREFUSED" || code === ECONNREFUSED) {
    return `connection refused: is a ${peer} listening on this port?`;
  }
  if (UNREACHABLE.includes(code)) return "the network is unreachable";
  return error === undefined ? "the connection was closed" : messageOf(error);
}
