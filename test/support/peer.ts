import { connect as connectTcp, type Socket as TcpSocket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { hashUserPassword, securePassword } from "../../src/crypto/password.ts";
import { parseHello, type Hello } from "../../src/session/handshake.ts";
import { HttpReader, type HttpMessage } from "../../src/transport/http-message.ts";
import { Pack } from "../../src/wire/pack.ts";
import { until } from "./process.ts";

const PACK_HEAD =
  "POST /vpnsvc/vpn.cgi HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n";
const SIGNATURE_HEAD =
  "POST /vpnsvc/connect.cgi HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n";

export interface PeerOptions {
  readonly port: number;
  /** Address of the loopback net to come from. */
  readonly from?: string;
  readonly tls?: ConnectionOptions;
}

/** What a peer saw of its connection's end: the other side closed it, or reset it. */
export type PeerEnd = "closed" | "reset";

/** A TCP connection without any TLS; `end` tells how the server ended it. */
export class RawPeer {
  readonly socket: TcpSocket;
  received = 0;
  end: PeerEnd | undefined;

  private constructor(socket: TcpSocket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => (this.received += chunk.length));
    socket.on("error", () => (this.end ??= "reset"));
    socket.on("close", () => (this.end ??= "closed"));
  }

  static async connect({ port, from }: Omit<PeerOptions, "tls">): Promise<RawPeer> {
    const peer = new RawPeer(connectTcp(tcpOptions(port, from)));
    await until("a TCP connection", () => !peer.socket.connecting || peer.end !== undefined, FAST);
    return peer;
  }

  write(bytes: Uint8Array | string): void {
    if (this.end === undefined) this.socket.write(bytes);
  }

  ended(deadlineMs = 5_000): Promise<PeerEnd> {
    return until("the end of a TCP connection", () => this.end, { ...FAST, deadlineMs });
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    this.socket.destroy();
    await this.ended();
  }
}

/** A client that says exactly what it is told, over real TLS. */
export class Peer {
  readonly socket: ReturnType<typeof connectTls>;
  readonly #tcp: TcpSocket;
  /** Everything that came, until `reply` or `take` took it. */
  #received: Uint8Array[] = [];
  #reader = new HttpReader(() => 1 << 20);
  end: PeerEnd | undefined;
  isSecured = false;

  private constructor(tcp: TcpSocket, options: ConnectionOptions) {
    this.#tcp = tcp;
    this.socket = connectTls({ socket: tcp, rejectUnauthorized: false, ...options });
    this.socket.on("secureConnect", () => (this.isSecured = true));
    this.socket.on("data", (chunk: Buffer) => this.#received.push(new Uint8Array(chunk)));
    for (const socket of [this.socket, tcp]) {
      socket.on("error", () => (this.end ??= "reset"));
      socket.on("close", () => (this.end ??= "closed"));
    }
  }

  static async connect({ port, from, tls = {} }: PeerOptions): Promise<Peer> {
    const peer = new Peer(connectTcp(tcpOptions(port, from)), tls);
    await until("TLS or its end", () => peer.isSecured || peer.end !== undefined, FAST);
    return peer;
  }

  write(bytes: Uint8Array | string): void {
    if (this.end === undefined) this.socket.write(bytes);
  }

  /** Writes a head as it stands and, where there is a body, its length. */
  request(head: string, body?: Uint8Array | string): void {
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    const length = bytes === undefined ? "" : `Content-Length: ${bytes.length}\r\n`;
    this.write(Buffer.concat([Buffer.from(`${head}${length}\r\n`, "latin1"), bytes ?? EMPTY]));
  }

  /** The next message of the server; undefined if the connection ends first. */
  async reply(deadlineMs = 5_000): Promise<HttpMessage | undefined> {
    const found = await until(
      "an HTTP reply",
      () => {
        for (const chunk of this.take()) this.#reader.push(chunk);
        const message = this.#reader.next();
        return message ?? (this.end === undefined ? undefined : "none");
      },
      { ...FAST, deadlineMs },
    );
    return found === "none" ? undefined : found;
  }

  /** Status of the next reply, "" if there is none. */
  async status(): Promise<string> {
    return (await this.reply())?.head.second ?? "";
  }

  async pack(): Promise<Pack> {
    const message = await this.reply();
    if (message === undefined) throw new Error("the server closed instead of answering");
    return Pack.parse(message.body);
  }

  /** Signature and hello. */
  async greet(): Promise<Hello> {
    this.request(SIGNATURE_HEAD, "VPNCONNECT");
    return parseHello(await this.pack());
  }

  ask(pack: Pack): Promise<Pack> {
    this.request(PACK_HEAD, pack.encode());
    return this.pack();
  }

  /** Greets and logs in; the answer as it came. */
  async login(login: PeerLogin): Promise<Pack> {
    const hello = await this.greet();
    return this.ask(loginPack(login, hello.random));
  }

  /** Bytes of the data stream that came until now. */
  take(): Uint8Array[] {
    return this.#received.splice(0);
  }

  /** Bytes behind the last HTTP reply and all since. */
  takeStream(): Uint8Array {
    return Buffer.concat([this.#reader.takeRest(), ...this.take()]);
  }

  ended(deadlineMs = 5_000): Promise<PeerEnd> {
    return until("the end of a TLS connection", () => this.end, { ...FAST, deadlineMs });
  }

  /** FIN without a close_notify. */
  halfClose(): void {
    this.#tcp.end();
  }

  /** RST, without a close_notify. */
  reset(): void {
    this.#tcp.resetAndDestroy();
  }

  async close(): Promise<void> {
    this.socket.destroy();
    this.#tcp.destroy();
    await this.ended();
  }
}

export interface PeerLogin {
  readonly hub?: string;
  readonly user?: string;
  readonly password?: string;
  /** Takes the place of elements, or adds to them; last, so that it wins. */
  readonly change?: (pack: Pack) => void;
}

/** A login that the test server lets in, unless it is changed. */
export function loginPack(login: PeerLogin, challenge: Uint8Array): Pack {
  const user = login.user ?? "alice";
  const password = new TextEncoder().encode(login.password ?? "wonderland");
  const pack = new Pack()
    .setStr("method", "login")
    .setStr("hubname", login.hub ?? "VPN")
    .setStr("username", user)
    .setInt("authtype", 1)
    .setData("secure_password", securePassword(hashUserPassword(user, password), challenge))
    .setStr("client_str", "Test Client")
    .setInt("client_ver", 502)
    .setInt("client_build", 9700)
    .setInt("max_connection", 1)
    .setInt("use_encrypt", 1)
    .setBool("require_bridge_routing_mode", true);
  login.change?.(pack);
  return pack;
}

export const signatureHead = SIGNATURE_HEAD;
export const packHead = PACK_HEAD;

const EMPTY = new Uint8Array(0);
const FAST = { everyMs: 1, deadlineMs: 5_000 };

function tcpOptions(port: number, from: string | undefined) {
  return { port, host: "127.0.0.1", ...(from === undefined ? {} : { localAddress: from }) };
}
