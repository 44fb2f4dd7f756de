import type { Socket } from "bun";
import type { Clock } from "../base/clock.ts";
import { messageOf, VpnError } from "../base/errors.ts";
import { raceAddresses, joinFailures } from "./happy-eyeballs.ts";
import { HostAddresses, type AddressFamily, type Lookup } from "./host-addresses.ts";
import { connectTcp, formatEndpoint, type TcpSocket } from "./tcp-socket.ts";
import {
  linkCallbacks,
  NOBODY,
  TlsLink,
  type Link,
  type LinkOpening,
  type PeerCertificate,
} from "./tls-link.ts";
import { talkToProxy, type Proxy } from "./proxy.ts";

export { resolveHost, type AddressFamily } from "./host-addresses.ts";

// From a host's name to a link with TLS. Stages:
//
//   host-addresses   the addresses of the server, or of the proxy
//   happy-eyeballs   the first of them that answers
//   proxy            asks it for a connection to the server
//   secure()         TLS on that same TCP connection

/** Time for TLS after TCP (protocol.md 2.5), in milliseconds. */
const TLS_MS = 15_000;

export interface DialOptions {
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
  readonly family: AddressFamily;
  readonly proxy: Proxy | undefined;
  /** Sent as SNI and checked against the certificate; the host where nothing else is said. */
  readonly serverName?: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onFault: (error: Error) => void;
  /** Told of each address and port, of the server or of the proxy, before it is connected to. */
  readonly onAddress?: (address: string, port: number) => void;
  /** Local address to connect from. */
  readonly source?: string;
  /** The link may go on without TLS: see `Link.leaveTls`. */
  readonly mayLeaveTls?: boolean;
  /** The system's resolver, but in tests. */
  readonly lookup?: Lookup;
}

/** What the client's side of TLS needs to know. */
export interface TlsOptions {
  readonly serverName: string;
  readonly clock: Clock;
  readonly onFault: (error: Error) => void;
}

export interface DialedLink {
  readonly link: Link;
  readonly certificate: PeerCertificate;
}

/**
 * Connects to a host and finishes the TLS handshake; the certificate is for the caller to judge. All addresses are
 * tried, of both families (RFC 8305): the first that answers by TCP, and if TLS fails with that, the others. Data
 * that arrives before the caller has set the link's handler is lost: a server that speaks first is none of ours.
 * @returns `address`: where a further link of the same session goes as `host`, to end at the same server. Behind a
 * proxy that is the name itself, which is the proxy's to resolve.
 * @throws VpnError `resolve_failed`, `connect_failed`, `tls_failed`, `timeout`, `cancelled`,
 * `proxy_connect_failed`, `proxy_error`, `proxy_auth_failed`.
 */
export async function dialHost(options: DialOptions): Promise<DialedLink & { address: string }> {
  const { proxy, clock, signal } = options;
  const hop = proxy ?? options;
  const addresses = new HostAddresses(hop.host, options.family, { clock, lookup: options.lookup });
  const failures: Error[] = [];
  try {
    // Few links may leave TLS, and what that takes costs 7 MB and a 60th of a second to load.
    const begin = options.mayLeaveTls ? (await import("./split-link.ts")).beginSplitTls : beginTls;
    for (;;) {
      const { address, tcp } = await connectFirst(addresses, hop.port, options, failures);
      try {
        if (proxy !== undefined) await talkToProxy(tcp, proxy, options, { clock, signal });
        const dialed = await secure(tcp, options, begin);
        return { ...dialed, address: proxy === undefined ? address : options.host };
      } catch (error) {
        tcp.abort();
        // A proxy that answers has spoken for all of its addresses.
        if (signal.aborted || proxy !== undefined) throw error;
        failures.push(error as Error);
      }
    }
  } finally {
    addresses.close();
  }
}

/** @param failures of addresses that answered, and that no other answers instead of. */
async function connectFirst(
  addresses: HostAddresses,
  port: number,
  options: DialOptions,
  failures: readonly Error[],
): Promise<{ address: string; tcp: TcpSocket }> {
  const { clock, proxy, source } = options;
  const connect = (address: string, signal: AbortSignal) => {
    options.onAddress?.(address, port);
    const peer = proxy === undefined ? "VPN server" : "proxy";
    return connectTcp({ peer, address, port, source }, { clock, signal });
  };
  try {
    const drop = (late: TcpSocket) => late.abort();
    const won = await raceAddresses(addresses, connect, { clock, signal: options.signal, drop });
    return { address: won.address, tcp: won.value };
  } catch (error) {
    if (options.signal.aborted) throw error;
    if (proxy !== undefined) {
      throw new VpnError("proxy_connect_failed", messageOf(error), { cause: error });
    }
    throw failures.length === 0 ? error : joinFailures(failures);
  }
}

/** TLS on an open TCP connection. @throws VpnError `tls_failed`, `timeout`, `cancelled`. */
function secure(tcp: TcpSocket, options: DialOptions, begin: typeof beginTls): Promise<DialedLink> {
  return new Promise((resolve, reject) => {
    const where = formatEndpoint(options.host, options.port);
    let link: Link | undefined;
    let isSettled = false;
    const settle = (act: () => void) => {
      if (isSettled) return;
      isSettled = true;
      deadline.cancel();
      options.signal.removeEventListener("abort", cancel);
      act();
    };
    const fail = (code: string, text: string) => {
      settle(() => reject(new VpnError(code, `Cannot connect to ${where}: ${text}`)));
      link?.abort(code);
    };
    const cancel = () => fail("cancelled", "cancelled");
    const deadline = options.clock.after(TLS_MS, () => fail("timeout", "no TLS answer"));
    options.signal.addEventListener("abort", cancel, { once: true });
    const opening: LinkOpening<Link> = {
      opened(opened) {
        link = opened;
        opened.handler = {
          ...NOBODY,
          closed: (reason) => fail("tls_failed", `TLS failed (${reason})`),
        };
      },
      secured(secured, certificate) {
        const shown = certificate();
        if (shown === undefined) return fail("tls_failed", "the server shows no certificate");
        settle(() => resolve({ link: secured, certificate: shown }));
      },
      gone() {},
    };
    try {
      begin(tcp.release(), { ...options, serverName: options.serverName ?? options.host }, opening);
    } catch (error) {
      fail("tls_failed", messageOf(error));
    }
  });
}

function beginTls(socket: Socket<unknown>, options: TlsOptions, opening: LinkOpening<Link>): void {
  // Without a handler for data the runtime makes no copy of the records that it hands to TLS.
  socket.reload({ socket: { drain() {} } });
  const link = new TlsLink(options.clock, opening);
  const [, secured] = socket.upgradeTLS<TlsLink>({
    data: link,
    tls: { rejectUnauthorized: false, serverName: options.serverName } as Bun.TLSOptions,
    socket: linkCallbacks(options.onFault),
  });
  link.attach(secured);
}
