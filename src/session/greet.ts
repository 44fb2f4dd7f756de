import { dialHost, type DialedLink } from "../transport/tls-dialer.ts";
import type { Link } from "../transport/tls-link.ts";
import type { DialDeps, DialTarget } from "./dial-target.ts";
import { parseHello, signatureRequest, type Hello } from "./handshake.ts";
import { Talk } from "./talk.ts";

/** Where a connection goes to. */
export interface Whither {
  readonly host: string;
  readonly port: number;
  /** It may have to go on in clear, which needs another kind of link. */
  readonly mayLeaveTls: boolean;
}

/** A link whose server has greeted. */
export interface Greeted {
  readonly link: Link;
  /** Where further connections go to. */
  readonly address: string;
  readonly port: number;
  readonly certificate: Uint8Array;
  readonly talk: Talk;
  readonly hello: Hello;
}

/**
 * Connects, by TCP and TLS, and exchanges signature and hello. The link is closed if anything is wrong.
 * @param judge throws where the certificate is not good enough
 */
export async function greet(
  target: DialTarget,
  at: Whither,
  deps: DialDeps,
  judge: (dialed: DialedLink) => void,
): Promise<Greeted> {
  const dialed = await connect(target, at, deps);
  const { link, address, certificate } = dialed;
  const talk = new Talk(link, deps);
  try {
    judge(dialed);
    const hello = parseHello(await talk.ask(signatureRequest(target.host)));
    return { link, address, port: at.port, talk, hello, certificate: certificate.der };
  } catch (error) {
    link.closeInOrder();
    talk.release();
    throw error;
  }
}

/** TCP and TLS, by all addresses in turn (robustness.md FI-11) or through the proxy. */
function connect(
  target: DialTarget,
  at: Whither,
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
    ...(deps.onAddress === undefined ? {} : { onAddress: deps.onAddress }),
    ...(deps.lookup === undefined ? {} : { lookup: deps.lookup }),
  });
}
