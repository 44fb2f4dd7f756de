import { createHash } from "node:crypto";
import { hostname } from "node:os";
import type { Clock } from "../base/clock.ts";
import { ProtocolError, RefusedError, VpnError, WIRE_ERROR } from "../base/errors.ts";
import { MAX_ANSWER_TO_CLIENT, MAX_NOOPS_BEFORE_LOGIN, MAX_PACK_ELEMENTS } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import { hashUserPassword, securePassword } from "../crypto/password.ts";
import type { Log } from "../observe/log.ts";
import { HttpReader, type HttpMessage } from "../transport/http-message.ts";
import {
  dialTls,
  resolveHost,
  type AddressFamily,
  type DialedLink,
} from "../transport/tls-dialer.ts";
import type { Link } from "../transport/tls-link.ts";
import { Pack } from "../wire/pack.ts";
import {
  isNoop,
  isPackReply,
  packRequest,
  parseHello,
  signatureRequest,
  type Hello,
} from "./handshake.ts";
import type { Heartbeat } from "./heartbeat.ts";
import { encodeLogin, type Proof } from "./login.ts";
import { refusalText } from "./refusal.ts";
import { Session } from "./session.ts";
import { parseWelcome } from "./welcome.ts";

// How a session is opened from the side that dials: the client, and cascades. Stages:
//
//   resolving       the host's addresses, tried in turn
//   connecting      TCP and TLS; the caller judges the certificate
//   negotiating     signature, hello
//   authenticating  login, welcome; from then on the connection carries the stream

/** A reply must come within this time (protocol.md 2.5), in milliseconds. */
const REPLY_MS = 15_000;

export type DialPhase = "resolving" | "connecting" | "negotiating" | "authenticating";

export type Credential =
  | { readonly kind: "anonymous" }
  | { readonly kind: "password"; readonly password: Uint8Array }
  /** SHA-0 of password and user name (protocol.md 19.1). */
  | { readonly kind: "password-hash"; readonly hash: Uint8Array }
  /** Sent as it is, inside TLS: for servers that ask another authority. */
  | { readonly kind: "plain-password"; readonly password: Uint8Array };

/** The server's certificate, for the caller's verdict. */
export interface ShownCertificate {
  readonly der: Uint8Array;
  /** SHA-256 of the DER form, lower-case hex. */
  readonly sha256: string;
  /** Valid by the system's CAs for this host. */
  readonly authorized: boolean;
  readonly problem: string | undefined;
}

export interface DialTarget {
  readonly host: string;
  readonly port: number;
  readonly hub: string;
  readonly user: string;
  readonly credential: Credential;
  readonly mode: "client" | "bridge";
  readonly family: AddressFamily;
  /** Product name that the server sees. */
  readonly clientName: string;
  readonly connectionsWanted: number;
  /** 16 random bytes of this installation, the same every time. */
  readonly installation: Uint8Array;
  /** True, or why the certificate is not good enough. */
  readonly verify: (certificate: ShownCertificate) => true | Error;
}

/** What is known of the server of an open session. */
export interface ServerIdentity {
  readonly product: string;
  readonly version: number;
  readonly build: number;
  readonly address: string;
  readonly port: number;
  readonly cipher: string;
}

export interface DialedSession {
  readonly session: Session;
  readonly server: ServerIdentity;
  /** Puts the connection into its data phase. Call it once the session is plugged: frames come at once. */
  begin(): void;
}

export interface DialDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly heartbeat: Heartbeat;
  readonly signal: AbortSignal;
  /** As in SessionDeps, but 0 by default: the TAP behind a client can be stopped. */
  readonly egressBytes?: number;
  readonly onPhase?: (phase: DialPhase) => void;
}

/**
 * Opens a session.
 * @throws RefusedError with the server's number; VpnError `resolve_failed`, `connect_failed`, `tls_failed`,
 * `certificate`, `not_vpn_server`, `protocol_error`, `redirect_unsupported`, `timeout`, `disconnected`, `cancelled`.
 */
export async function dial(target: DialTarget, deps: DialDeps): Promise<DialedSession> {
  deps.onPhase?.("resolving");
  const addresses = await resolveHost(target.host, target.family);
  deps.onPhase?.("connecting");
  const { link, certificate } = await dialFirst(addresses, target, deps);
  const talk = new Talk(link, deps);
  try {
    const shown: ShownCertificate = {
      ...certificate,
      sha256: createHash("sha256").update(certificate.der).digest("hex"),
    };
    const verdict = target.verify(shown);
    if (verdict !== true) throw verdict;
    deps.onPhase?.("negotiating");
    const hello = parseHello(await talk.ask(signatureRequest(target.host)));
    deps.onPhase?.("authenticating");
    const answer = await talk.askPack(target.host, loginPack(target, hello, link));
    if (answer.bool("Redirect")) {
      throw new VpnError(
        "redirect_unsupported",
        "The server is a cluster's controller and sends us on to a member, which this client cannot follow: connect to the member itself",
      );
    }
    const welcome = parseWelcome(answer, target.connectionsWanted);
    const session = new Session(welcome, {
      ...deps,
      egressBytes: deps.egressBytes ?? 0,
      endsWithLastConnection: true,
    });
    // Until begin() neither may outlive the other.
    session.expect(link);
    talk.onEnded = ({ message }) => session.close({ code: "connection_lost", detail: message });
    const server = {
      product: hello.product,
      version: hello.version,
      build: hello.build,
      address: link.remoteAddress,
      port: link.remotePort,
      cipher: link.cipher,
    };
    return { session, server, begin: () => session.join(link, talk.finish()) };
  } catch (error) {
    link.closeInOrder();
    throw error;
  } finally {
    talk.release();
  }
}

/** The first address that answers: all are tried, both families (robustness.md FI-11). */
async function dialFirst(
  addresses: readonly string[],
  target: DialTarget,
  deps: DialDeps,
): Promise<DialedLink> {
  let failure: unknown = new VpnError("resolve_failed", `${target.host} has no address`);
  for (const address of addresses) {
    try {
      return await dialTls({
        address,
        port: target.port,
        serverName: target.host,
        clock: deps.clock,
        signal: deps.signal,
        onFault: (error) => deps.log.error("internal_error", error.message),
      });
    } catch (error) {
      failure = error;
      if (deps.signal.aborted) break;
    }
  }
  throw failure;
}

function loginPack(target: DialTarget, hello: Hello, link: Link): Pack {
  return encodeLogin({
    hub: target.hub,
    user: target.user,
    proof: prove(target, hello),
    clientProduct: target.clientName,
    connections: target.connectionsWanted,
    bridge: target.mode === "bridge",
    hostKey: new Uint8Array(createHash("sha1").update(target.installation).digest()),
    node: {
      product: target.clientName,
      osName: "Linux",
      osVersion: process.platform === "linux" ? process.arch : process.platform,
      hostName: hostname(),
      clientAddress: link.localAddress,
      clientPort: link.localPort,
      serverProduct: hello.product,
      serverVersion: hello.version,
      serverBuild: hello.build,
      serverHost: target.host,
      serverAddress: link.remoteAddress,
      serverPort: link.remotePort,
      installation: target.installation,
    },
  });
}

function prove(
  { credential, user }: DialTarget,
  hello: Hello,
): Exclude<Proof, { kind: "unsupported" }> {
  switch (credential.kind) {
    case "anonymous":
      return { kind: "anonymous" };
    case "plain-password":
      return { kind: "plain-password", password: credential.password };
    case "password":
    case "password-hash": {
      const hash =
        credential.kind === "password"
          ? hashUserPassword(user, credential.password)
          : credential.hash;
      return { kind: "hashed-password", secure: securePassword(hash, hello.random) };
    }
  }
}

/** Requests and replies in turn on a fresh link, before it carries the stream. */
class Talk {
  readonly #link: Link;
  readonly #deps: DialDeps;
  readonly #reader = new HttpReader(() => MAX_ANSWER_TO_CLIENT);
  #ended: Error | undefined;
  #wake: () => void = () => {};
  /** The connection is lost, whether or not somebody awaits a reply. */
  onEnded: ((error: Error) => void) | undefined;
  readonly #onAbort = () => this.#end(new VpnError("cancelled", "Cancelled"));

  constructor(link: Link, deps: DialDeps) {
    this.#link = link;
    this.#deps = deps;
    link.handler = {
      data: (chunk) => {
        try {
          this.#reader.push(chunk);
          this.#wake();
        } catch (error) {
          this.#end(error as Error);
        }
      },
      drain: () => {},
      closed: (reason) =>
        this.#end(new VpnError("disconnected", `The server closed the connection (${reason})`)),
    };
    deps.signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  askPack(host: string, pack: Pack): Promise<Pack> {
    const { random, clock } = this.#deps;
    return this.ask(packRequest(host, pack, { random, wall: clock.wall() }));
  }

  /** @throws RefusedError when the answer carries an error number. */
  async ask(request: Uint8Array): Promise<Pack> {
    if (this.#link.write(request) !== request.length) {
      throw new VpnError("disconnected", "The server does not take what we send");
    }
    let pack = await this.#nextPack();
    // A server says so while somebody else takes his time over the password (protocol.md 3.6).
    for (let noops = 0; isNoop(pack); noops++) {
      if (noops === MAX_NOOPS_BEFORE_LOGIN) {
        throw new VpnError("timeout", "The server only says that it is busy");
      }
      pack = await this.#nextPack();
    }
    const error = pack.int("error") ?? WIRE_ERROR.NONE;
    if (error !== WIRE_ERROR.NONE) throw new RefusedError(error, refusalText(error));
    return pack;
  }

  /** What came of the stream behind the last reply. */
  finish(): Uint8Array {
    return this.#reader.takeRest();
  }

  release(): void {
    this.#deps.signal.removeEventListener("abort", this.#onAbort);
  }

  async #nextPack(): Promise<Pack> {
    const { head, body } = await this.#nextMessage();
    if (!isPackReply(head)) {
      throw new VpnError(
        "not_vpn_server",
        `This is not a VPN server: it answered "${head.second}"`,
      );
    }
    return Pack.parse(body, { maxElements: MAX_PACK_ELEMENTS });
  }

  async #nextMessage(): Promise<HttpMessage> {
    const deadline = this.#deps.clock.after(REPLY_MS, () =>
      this.#end(new VpnError("timeout", "The server does not answer")),
    );
    try {
      for (;;) {
        if (this.#ended !== undefined) throw this.#ended;
        const message = this.#reader.next();
        if (message !== undefined) return message;
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } catch (error) {
      if (error instanceof ProtocolError) {
        throw new VpnError("not_vpn_server", `This is not a VPN server: ${error.message}`);
      }
      throw error;
    } finally {
      deadline.cancel();
    }
  }

  #end(error: Error): void {
    this.#ended ??= error;
    this.#wake();
    this.onEnded?.(error);
  }
}
