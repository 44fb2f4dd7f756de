import type { Clock } from "../base/clock.ts";
import { linkCallbacks, TlsLink, type LinkOpening } from "./tls-link.ts";

export type TlsVersion = "1.0" | "1.1" | "1.2" | "1.3";

export interface ServerTls {
  /** PEM, the leaf first. */
  readonly cert: string;
  readonly key: string;
  readonly min: TlsVersion;
  readonly max: TlsVersion;
  /** OpenSSL names of TLS 1.2 suites with ":". */
  readonly ciphers: string | undefined;
}

export const TLS_VERSION_NUMBER: Readonly<Record<TlsVersion, number>> = {
  "1.0": 0x0301,
  "1.1": 0x0302,
  "1.2": 0x0303,
  "1.3": 0x0304,
};

/** Forward-secret AEAD suites: what every stock client since 4.20 offers, and nothing weak. */
const DEFAULT_CIPHERS =
  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" +
  "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

export interface TlsListener {
  readonly port: number;
  /** Stops accepting; links that are there live on. */
  close(): void;
}

/**
 * Listens for TLS on a TCP port.
 * @throws the system's error with `code` EADDRINUSE, EACCES, EADDRNOTAVAIL ... when the port can't be bound.
 */
export function listenTls(options: {
  /** Without one: all addresses, v6 and v4. */
  address: string | undefined;
  port: number;
  tls: ServerTls;
  clock: Clock;
  opening: LinkOpening;
  /** Links may go on without TLS: see `Link.leaveTls`. */
  mayLeaveTls?: boolean;
  onFault: (error: Error) => void;
}): TlsListener {
  const callbacks = linkCallbacks(options.onFault);
  const clear = options.mayLeaveTls === true ? callbacks : undefined;
  const listen = (hostname: string) =>
    Bun.listen<TlsLink>({
      hostname,
      port: options.port,
      tls: {
        cert: options.tls.cert,
        key: options.tls.key,
        minVersion: TLS_VERSION_NUMBER[options.tls.min],
        maxVersion: TLS_VERSION_NUMBER[options.tls.max],
        ciphers: options.tls.ciphers ?? DEFAULT_CIPHERS,
      } as Bun.TLSOptions,
      socket: {
        open(socket) {
          socket.data = new TlsLink(options.clock, options.opening, clear);
          socket.data.attach(socket);
        },
        ...callbacks,
      },
    });
  const listener = options.address === undefined ? listenOnAll(listen) : listen(options.address);
  return { port: listener.port, close: () => listener.stop(false) };
}

/** Both families by one socket, or v4 alone on a system without IPv6. */
function listenOnAll<T>(listen: (hostname: string) => T): T {
  try {
    return listen("::");
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code === "EADDRINUSE" || code === "EACCES") throw error;
    return listen("0.0.0.0");
  }
}
