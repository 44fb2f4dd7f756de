import { createHash } from "node:crypto";
import { hostname } from "node:os";
import type { Clock } from "../base/clock.ts";
import { VpnError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { SessionWishes } from "../config/client-config.ts";
import type { Log } from "../observe/log.ts";
import type { Lookup } from "../transport/host-addresses.ts";
import type { Proxy } from "../transport/proxy.ts";
import { dialHost, type AddressFamily, type DialedLink } from "../transport/tls-dialer.ts";
import type { Link } from "../transport/tls-link.ts";
import { Pack } from "../wire/pack.ts";
import { createBlockCodec } from "./block-codec.ts";
import { DIRECTION, type Direction } from "./connection.ts";
import { parseHello, signatureRequest, WIRE_BUILD, WIRE_VERSION, type Hello } from "./handshake.ts";
import type { Heartbeat } from "./heartbeat.ts";
import { encodeLogin, type OutgoingProof, type SessionMode } from "./login.ts";
import { prove, type Credential } from "./proof.ts";
import { Recruiter, type Recruit } from "./recruiter.ts";
import { MAX_REDIRECTS, parseRedirect, type Redirect } from "./redirect.ts";
import { Session } from "./session.ts";
import type { StreamOptions } from "./stream-options.ts";
import { Talk } from "./talk.ts";
import { offerUdp, type UdpOffer } from "./udp/udp-path.ts";
import { parseWelcome, type Welcome } from "./welcome.ts";

// How a session is opened from the side that dials: the client, and cascades. Stages:
//
//   resolving       the host's addresses, tried in turn
//   connecting      TCP and TLS; the caller judges the certificate
//   negotiating     signature, hello
//   authenticating  login, welcome; from then on the connection carries the stream
//
// A cluster's controller answers the login with a member's address, where all but the first begins anew.

export type DialPhase = "resolving" | "connecting" | "negotiating" | "authenticating";

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
  readonly mode: SessionMode;
  readonly family: AddressFamily;
  /** Undefined: the server is connected to directly. */
  readonly proxy: Proxy | undefined;
  /** Product name that the server sees. */
  readonly clientName: string;
  readonly wishes: SessionWishes;
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
  /** Told of each address and port, of the server or its proxy, before it is connected to. */
  readonly onAddress?: (address: string, port: number) => void;
  /** The system's resolver unless given. */
  readonly lookup?: Lookup;
}

/** A link whose server has greeted. */
interface Greeted {
  readonly link: Link;
  /** Where further connections go to. */
  readonly address: string;
  readonly port: number;
  readonly certificate: Uint8Array;
  readonly talk: Talk;
  readonly hello: Hello;
}

/**
 * Opens a session.
 * @throws RefusedError with the server's number; VpnError `resolve_failed`, `connect_failed`, `tls_failed`,
 * `certificate`, `not_vpn_server`, `protocol_error`, `redirect`, `bad_key`, `timeout`, `disconnected`, `cancelled`.
 */
export async function dial(target: DialTarget, deps: DialDeps): Promise<DialedSession> {
  let redirect: Redirect | undefined;
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const outcome = await login(target, redirect, deps);
    if ("session" in outcome) return outcome;
    redirect = outcome;
  }
  throw new VpnError(
    "redirect",
    `The server sent us on ${MAX_REDIRECTS} times without letting us in`,
  );
}

async function login(
  target: DialTarget,
  redirect: Redirect | undefined,
  deps: DialDeps,
): Promise<DialedSession | Redirect> {
  deps.onPhase?.("resolving");
  const at = { host: redirect?.address ?? target.host, port: redirect?.port ?? target.port };
  const dialed = await connect(target, at, {
    ...deps,
    onAddress(address, port) {
      deps.onPhase?.("connecting");
      deps.onAddress?.(address, port);
    },
  });
  const greeted = await greet(dialed, at.port, target.host, deps, (shown) => {
    judgeCertificate(shown, target, redirect);
    deps.onPhase?.("negotiating");
  });
  const { link, talk, hello } = greeted;
  const udp = tryOfferUdp(target, link, deps);
  try {
    deps.onPhase?.("authenticating");
    const proof: OutgoingProof =
      redirect === undefined
        ? prove(target.credential, target.user, hello.random)
        : { kind: "ticket", ticket: redirect.ticket };
    const wish = streamWish(target.wishes);
    const answer = await talk.askPack(target.host, loginPack(target, proof, wish, greeted, udp));
    const onward = parseRedirect(answer, { address: link.remoteAddress, port: link.remotePort });
    if (onward === undefined) return open(target, greeted, parseWelcome(answer, wish), udp, deps);
    talk.tell(target.host, new Pack());
    link.closeInOrder();
    return onward;
  } catch (error) {
    link.closeInOrder();
    throw error;
  } finally {
    udp?.close();
    talk.release();
  }
}

/** Datagrams go straight to the server, so not where TCP has to go by a proxy (protocol.md 17.2). */
function tryOfferUdp(target: DialTarget, link: Link, deps: DialDeps): UdpOffer | undefined {
  if (!target.wishes.udp || target.proxy !== undefined) return undefined;
  return offerUdp({ ...deps, localAddress: link.localAddress });
}

/** A member's certificate is known from its controller, whose own was judged before. */
function judgeCertificate(
  { certificate }: DialedLink,
  target: DialTarget,
  redirect: Redirect | undefined,
): void {
  if (redirect !== undefined) {
    if (Buffer.compare(redirect.certificate, certificate.der) === 0) return;
    throw new VpnError("certificate", "The cluster's member does not show its certificate");
  }
  const sha256 = createHash("sha256").update(certificate.der).digest("hex");
  const verdict = target.verify({ ...certificate, sha256 });
  if (verdict !== true) throw verdict;
}

function open(
  target: DialTarget,
  first: Greeted,
  welcome: Welcome,
  udp: UdpOffer | undefined,
  deps: DialDeps,
): DialedSession {
  const { link, talk, hello } = first;
  const { compression, isEncrypted, isHalfDuplex } = welcome.stream;
  if (!isEncrypted) link.leaveTls();
  const codec = compression === "none" ? undefined : createBlockCodec(compression);
  const { remoteAddress } = link;
  const session = new Session(welcome, {
    ...deps,
    end: "client",
    codec,
    udp: welcome.udp && udp?.accept(welcome.udp, { remoteAddress, codec }),
    egressBytes: deps.egressBytes ?? 0,
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
  const begin = () => {
    session.join(link, isHalfDuplex ? DIRECTION.TO_SERVER : DIRECTION.BOTH, talk.finish());
    new Recruiter(session, target.wishes, {
      clock: deps.clock,
      log: deps.log,
      connect: (signal) => connectAgain(target, first, welcome, { ...deps, signal }),
    });
  };
  return { session, server, begin };
}

/** A further connection of an open session, from the same server (protocol.md 12.1). */
async function connectAgain(
  target: DialTarget,
  first: Greeted,
  { sessionKey, stream }: Welcome,
  deps: DialDeps,
): Promise<Recruit> {
  const dialed = await connect(target, { host: first.address, port: first.port }, deps);
  const { link, talk } = await greet(dialed, first.port, target.host, deps, ({ certificate }) => {
    if (Buffer.compare(first.certificate, certificate.der) === 0) return;
    throw new VpnError("certificate", "The server shows another certificate than before");
  });
  try {
    const reply = await talk.askPack(
      target.host,
      new Pack()
        .setStr("method", "additional_connect")
        .setData("session_key", sessionKey)
        .setStr("client_str", target.clientName)
        .setInt("client_ver", WIRE_VERSION)
        .setInt("client_build", WIRE_BUILD),
    );
    if (!stream.isEncrypted) link.leaveTls();
    return { link, direction: readDirection(reply), rest: talk.finish() };
  } catch (error) {
    link.closeInOrder();
    throw error;
  } finally {
    talk.release();
  }
}

function readDirection(reply: Pack): Direction {
  const direction = reply.int("direction");
  return direction === DIRECTION.TO_CLIENT || direction === DIRECTION.TO_SERVER
    ? direction
    : DIRECTION.BOTH;
}

/** Signature and hello on a fresh link, which is closed if anything is wrong. */
async function greet(
  dialed: DialedLink & { address: string },
  port: number,
  host: string,
  deps: DialDeps,
  judge: (dialed: DialedLink) => void,
): Promise<Greeted> {
  const { link } = dialed;
  const talk = new Talk(link, deps);
  try {
    judge(dialed);
    const hello = parseHello(await talk.ask(signatureRequest(host)));
    return {
      link,
      address: dialed.address,
      port,
      talk,
      hello,
      certificate: dialed.certificate.der,
    };
  } catch (error) {
    link.closeInOrder();
    talk.release();
    throw error;
  }
}

/** TCP and TLS, by all addresses in turn (robustness.md FI-11) or through the proxy. */
function connect(
  target: DialTarget,
  at: { readonly host: string; readonly port: number },
  deps: DialDeps,
): Promise<DialedLink & { address: string }> {
  return dialHost({
    ...at,
    serverName: target.host,
    family: target.family,
    proxy: target.proxy,
    clock: deps.clock,
    signal: deps.signal,
    onFault: (error) => deps.log.error("internal_error", error.message),
    mayLeaveTls: !target.wishes.encrypt,
    ...(deps.onAddress === undefined ? {} : { onAddress: deps.onAddress }),
    ...(deps.lookup === undefined ? {} : { lookup: deps.lookup }),
  });
}

function streamWish(wishes: SessionWishes): StreamOptions {
  return {
    connections: wishes.connections,
    isEncrypted: wishes.encrypt,
    compression: wishes.compress ? "lz4" : "none",
    isHalfDuplex: wishes.halfDuplex,
    hasQos: wishes.qos,
  };
}

function loginPack(
  target: DialTarget,
  proof: OutgoingProof,
  stream: StreamOptions,
  { hello, link }: Greeted,
  udp: UdpOffer | undefined,
): Pack {
  return encodeLogin({
    hub: target.hub,
    user: target.user,
    proof,
    clientProduct: target.clientName,
    stream,
    udp: udp?.wish,
    mode: target.mode,
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
