import type { Clock, Timer } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { ListenAddress } from "../config/server-config.ts";
import type { Log } from "../observe/log.ts";
import type { LinkOpening } from "../transport/tls-link.ts";
import { listenTls, type ServerTls, type TlsListener } from "../transport/tls-listener.ts";

/** How often a port that could not be bound is tried again, in milliseconds. */
const RETRY_MS = 5_000;

export interface ListenerState {
  readonly address: string | undefined;
  readonly port: number;
  readonly status: "listening" | "failed";
  /** Why not, while failed. */
  readonly problem: string | undefined;
}

interface Entry {
  readonly at: ListenAddress;
  listener: TlsListener | undefined;
  problem: string | undefined;
}

/** The ports of a server: those that can't be bound are reported and tried again while the others serve. */
export class Listeners {
  readonly #deps: { clock: Clock; log: Log; opening: LinkOpening };
  readonly #entries = new Map<string, Entry>();
  #tls: ServerTls;
  #retry: Timer | undefined;

  constructor(tls: ServerTls, deps: { clock: Clock; log: Log; opening: LinkOpening }) {
    this.#tls = tls;
    this.#deps = deps;
  }

  get states(): ListenerState[] {
    return [...this.#entries.values()].map(({ at, listener, problem }) => ({
      address: at.address,
      port: listener?.port ?? at.port,
      status: listener === undefined ? "failed" : "listening",
      problem,
    }));
  }

  /** Opens what is new before it closes what is gone; what stays is not touched. */
  reconfigure(wanted: readonly ListenAddress[]): void {
    const enabled = new Map(wanted.filter((at) => at.enable).map((at) => [keyOf(at), at]));
    for (const [key, at] of enabled) {
      if (this.#entries.has(key)) continue;
      const entry: Entry = { at, listener: undefined, problem: undefined };
      this.#entries.set(key, entry);
      this.#open(entry);
    }
    for (const [key, entry] of this.#entries) {
      if (enabled.has(key)) continue;
      entry.listener?.close();
      this.#entries.delete(key);
      this.#deps.log.info("listener_closed", `No longer listening on ${key}`, { listener: key });
    }
    this.#scheduleRetry();
  }

  /** Serves newcomers under another certificate; links that are there live on under the old one. */
  rotate(tls: ServerTls): void {
    this.#tls = tls;
    for (const entry of this.#entries.values()) {
      entry.listener?.close();
      entry.listener = undefined;
      this.#open(entry);
    }
    this.#scheduleRetry();
  }

  close(): void {
    this.#retry?.cancel();
    for (const entry of this.#entries.values()) entry.listener?.close();
    this.#entries.clear();
  }

  #open(entry: Entry): void {
    const { clock, log, opening } = this.#deps;
    const key = keyOf(entry.at);
    try {
      entry.listener = listenTls({
        address: entry.at.address,
        port: entry.at.port,
        tls: this.#tls,
        clock,
        opening,
        onFault: (error) => log.error("internal_error", error.message, { stack: error.stack }),
        // Whether any does is the hub's to say, at login.
        mayLeaveTls: true,
      });
      entry.problem = undefined;
      log.info("listening", `Listening on ${key}`, { listener: key });
    } catch (error) {
      const problem = bindProblem(error);
      if (entry.problem !== problem) {
        log.warn("listen_failed", `Cannot listen on ${key}: ${problem}; trying again`, {
          listener: key,
        });
      }
      entry.problem = problem;
    }
  }

  #scheduleRetry(): void {
    const failed = [...this.#entries.values()].filter((entry) => entry.listener === undefined);
    this.#retry?.cancel();
    this.#retry = undefined;
    if (failed.length === 0) return;
    this.#retry = this.#deps.clock.after(RETRY_MS, () => {
      for (const entry of failed) this.#open(entry);
      this.#scheduleRetry();
    });
  }
}

function keyOf({ address, port }: ListenAddress): string {
  if (address === undefined) return String(port);
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function bindProblem(error: unknown): string {
  switch ((error as { code?: string }).code) {
    case "EADDRINUSE":
      return "another program listens there";
    case "EACCES":
      return "no right to ports below 1024 (run as root or give the program CAP_NET_BIND_SERVICE)";
    case "EADDRNOTAVAIL":
      return "this machine has no such address";
    default:
      return messageOf(error);
  }
}
