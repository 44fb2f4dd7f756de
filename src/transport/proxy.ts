import type { Clock } from "../base/clock.ts";
import { messageOf, VpnError } from "../base/errors.ts";
import type { TcpSocket } from "./tcp-socket.ts";
import { talkHttpConnect } from "./proxy-http.ts";
import { talkSocks4 } from "./proxy-socks4.ts";
import { talkSocks5 } from "./proxy-socks5.ts";

/** How to reach a server through another host. `socks4` is SOCKS4a where the server has a name. */
export interface Proxy {
  readonly kind: "http" | "socks4" | "socks5";
  readonly host: string;
  readonly port: number;
  readonly user: string | undefined;
  /** UTF-8. */
  readonly password: Uint8Array | undefined;
}

/** Where the proxy is to connect to; names are the proxy's to resolve. */
export interface ProxyTarget {
  readonly host: string;
  readonly port: number;
}

/** One talk with a proxy: `read` waits for bytes within the deadline of the step. */
export interface ProxyTalk {
  readonly proxy: Proxy;
  readonly target: ProxyTarget;
  send(bytes: Uint8Array): void;
  /** What has come, at least one byte. */
  read(): Promise<Uint8Array>;
  /** Exactly so many bytes. */
  take(count: number): Promise<Uint8Array>;
  /** Gives back what was read beyond the proxy's last word: it is the server's. */
  unread(bytes: Uint8Array): void;
}

/** A proxy has this long for each of its answers: it connects to the server meanwhile. */
const ANSWER_MS = 15_000;

/**
 * Asks a proxy that we are connected to for a connection to the target. From then on the socket leads there.
 * @throws VpnError `proxy_error`, `proxy_auth_failed`, `cancelled`.
 */
export async function talkToProxy(
  tcp: TcpSocket,
  proxy: Proxy,
  target: ProxyTarget,
  deps: { clock: Clock; signal: AbortSignal },
): Promise<void> {
  const read = () => tcp.read({ clock: deps.clock, ms: ANSWER_MS, signal: deps.signal });
  const talk: ProxyTalk = {
    proxy,
    target,
    read,
    send: (bytes) => tcp.write(bytes),
    unread: (bytes) => tcp.unread(bytes),
    async take(count) {
      const taken = new Uint8Array(count);
      for (let at = 0; at < count;) {
        const chunk = await read();
        const part = chunk.subarray(0, count - at);
        taken.set(part, at);
        at += part.length;
        tcp.unread(chunk.subarray(part.length));
      }
      return taken;
    },
  };
  try {
    switch (proxy.kind) {
      case "http":
        return await talkHttpConnect(talk);
      case "socks4":
        return await talkSocks4(talk);
      case "socks5":
        return await talkSocks5(talk);
    }
  } catch (error) {
    const code = error instanceof VpnError ? error.code : "";
    if (code === "cancelled") throw error;
    throw new VpnError(
      code === "proxy_auth_failed" ? code : "proxy_error",
      `Cannot connect through the proxy ${proxy.host}: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
