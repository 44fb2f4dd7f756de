import { createHash } from "node:crypto";
import { hostname } from "node:os";
import { VpnError } from "../base/errors.ts";
import type { SessionWishes } from "../config/client-config.ts";
import type { DialedLink } from "../transport/tls-dialer.ts";
import type { Link } from "../transport/tls-link.ts";
import { Pack } from "../wire/pack.ts";
import { connectAgain } from "./additional-connection.ts";
import { createBlockCodec } from "./block-codec.ts";
import { DIRECTION } from "./connection.ts";
import type { DialDeps, DialedSession, DialTarget } from "./dial-target.ts";
import { greet, type Greeted } from "./greet.ts";
import { encodeLogin, type OutgoingProof } from "./login.ts";
import { prove } from "./proof.ts";
import { Recruiter } from "./recruiter.ts";
import { MAX_REDIRECTS, parseRedirect, type Redirect } from "./redirect.ts";
import { Session } from "./session.ts";
import type { StreamOptions } from "./stream-options.ts";
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
  const at = {
    host: redirect?.address ?? target.host,
    port: redirect?.port ?? target.port,
    mayLeaveTls: !target.wishes.encrypt,
  };
  const onAddress = (address: string, port: number) => {
    deps.onPhase?.("connecting");
    deps.onAddress?.(address, port);
  };
  const greeted = await greet(target, at, { ...deps, onAddress }, (shown) => {
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
  const { proxy } = target;
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
      // Behind a proxy only that one knows.
      serverAddress: proxy === undefined ? link.remoteAddress : "0.0.0.0",
      serverPort: proxy === undefined ? link.remotePort : target.port,
      proxy: proxy && { host: proxy.host, address: link.remoteAddress, port: link.remotePort },
      installation: target.installation,
    },
  });
}
