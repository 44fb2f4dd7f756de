import type { Clock } from "../base/clock.ts";
import { messageOf, VpnError } from "../base/errors.ts";
import { tryParseAddress } from "../base/ip.ts";
import { linkCallbacks, TlsLink, type PeerCertificate } from "./tls-link.ts";

export type AddressFamily = "any" | "ipv4" | "ipv6";

/** Time for one address to answer the TCP connect, and for TLS after it (protocol.md 2.5), in milliseconds. */
const CONNECT_MS = 10_000;
const TLS_MS = 15_000;

export interface DialedLink {
  readonly link: TlsLink;
  readonly certificate: PeerCertificate;
}

/** All addresses of a host, in the resolver's order. @throws VpnError `resolve_failed`. */
export async function resolveHost(host: string, family: AddressFamily): Promise<string[]> {
  if (tryParseAddress(host) !== undefined) return [host];
  try {
    // Loaded for names only: an address, which scripts and tests give, needs no resolver.
    const { lookup } = await import("node:dns/promises");
    const found = await lookup(host, {
      all: true,
      family: family === "any" ? 0 : family === "ipv4" ? 4 : 6,
    });
    return found.map((entry) => entry.address);
  } catch (error) {
    throw new VpnError("resolve_failed", `Cannot find the address of ${host}: ${messageOf(error)}`);
  }
}

/**
 * Connects to one address and finishes the TLS handshake; the certificate is for the caller to judge. Data
 * that arrives before the caller has set the link's handler is lost: a server that speaks first is none of ours.
 * @throws VpnError `connect_failed`, `tls_failed`, `timeout`, `cancelled`.
 */
export function dialTls(options: {
  address: string;
  port: number;
  /** Sent as SNI and checked against the certificate. */
  serverName: string;
  clock: Clock;
  signal: AbortSignal;
  onFault: (error: Error) => void;
}): Promise<DialedLink> {
  const where = `${options.address.includes(":") ? `[${options.address}]` : options.address}:${options.port}`;
  return new Promise((resolve, reject) => {
    let settled = false;
    const settle = (act: () => void) => {
      if (settled) return;
      settled = true;
      deadline.cancel();
      options.signal.removeEventListener("abort", cancel);
      act();
    };
    const fail = (code: string, text: string) => {
      settle(() => reject(new VpnError(code, `Cannot connect to ${where}: ${text}`)));
      link.abort(code);
    };
    const cancel = () => fail("cancelled", "cancelled");
    const link = new TlsLink(options.clock, {
      opened() {
        if (settled) return;
        deadline.cancel();
        deadline = options.clock.after(TLS_MS, () => fail("timeout", "no TLS answer"));
      },
      secured(secured, certificate) {
        const shown = certificate();
        if (shown === undefined) return fail("tls_failed", "the server shows no certificate");
        settle(() => resolve({ link: secured, certificate: shown }));
      },
      gone() {},
    });
    link.handler = {
      data() {},
      drain() {},
      closed: (reason) => fail("tls_failed", `TLS failed (${reason})`),
    };
    let deadline = options.clock.after(CONNECT_MS, () => fail("timeout", "no answer"));
    if (options.signal.aborted) return cancel();
    options.signal.addEventListener("abort", cancel, { once: true });
    Bun.connect<TlsLink>({
      hostname: options.address,
      port: options.port,
      data: link,
      tls: { rejectUnauthorized: false, serverName: options.serverName } as Bun.TLSOptions,
      socket: {
        open(socket) {
          link.attach(socket);
          if (settled) link.abort("cancelled");
        },
        connectError(_socket, error) {
          fail("connect_failed", connectText(error));
        },
        ...linkCallbacks(options.onFault),
      },
    }).catch((error: unknown) => fail("connect_failed", connectText(error)));
  });
}

function connectText(error: unknown): string {
  switch ((error as { code?: string }).code) {
    case "ECONNREFUSED":
      return "connection refused: is a VPN server listening on this port?";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "the network is unreachable";
    default:
      return messageOf(error);
  }
}
