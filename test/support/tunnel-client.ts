import type { Namespace } from "./namespace.ts";
import { until } from "./process.ts";
import { accountKeys, type SessionOptions, type SessionView } from "./session-options.ts";
import { viewOfOurs, viewOfTable } from "./session-options.ts";
import { SoftEtherClient } from "./softether.ts";
import type { Credentials, Implementation } from "./tunnel-server.ts";
import { VpnClient } from "./vpn.ts";

// A client at the end of a tunnel, of either kind.

export interface TunnelClient {
  readonly kind: Implementation;
  readonly at: Namespace;
  readonly device: string;
  waitConnected(deadlineMs?: number): Promise<void>;
  /** The error number of the protocol that the server refused it with. */
  waitRefused(): Promise<number>;
  /** What it tells of its session. */
  session(): Promise<SessionView>;
  /** Ends it in order. */
  stop(): Promise<void>;
  /** Ends it as a crash does. */
  kill(): Promise<void>;
  /** Ends the program, starts it again and connects, as its user would. */
  beginAnew(): Promise<void>;
  /** Ends the session in order and connects with other options, on the same device and with the same MAC. */
  reconnect(options: ClientOptions, credentials?: Credentials): Promise<void>;
}

export interface ClientOptions extends SessionOptions {
  /** Ours only: the reference goes on until it is stopped. */
  readonly retry?: "forever" | 0;
}

class OurClient implements TunnelClient {
  readonly kind = "ours";
  readonly at: Namespace;
  readonly device: string;
  readonly #start: (options: ClientOptions, credentials: Credentials) => VpnClient;
  #asked: [ClientOptions, Credentials];
  #vpn: VpnClient;

  constructor(
    start: (options: ClientOptions, credentials: Credentials) => VpnClient,
    options: ClientOptions,
    credentials: Credentials,
  ) {
    this.#start = start;
    this.#asked = [options, credentials];
    this.#vpn = start(options, credentials);
    this.at = this.#vpn.at;
    this.device = this.#vpn.device;
  }

  waitConnected(deadlineMs?: number): Promise<void> {
    return this.#vpn.waitConnected(deadlineMs);
  }

  waitRefused(): Promise<number> {
    return until("a refusal", () => this.#vpn.refusal, { explain: () => this.#vpn.output() });
  }

  async session(): Promise<SessionView> {
    const session = (await this.#vpn.status())[0]?.session;
    if (session === undefined) throw new Error(`no session: ${this.#vpn.output()}`);
    return viewOfOurs(session);
  }

  async stop(): Promise<void> {
    await this.#vpn.stop();
  }

  kill(): Promise<void> {
    return this.#vpn.kill();
  }

  beginAnew(): Promise<void> {
    return this.reconnect(...this.#asked);
  }

  async reconnect(options: ClientOptions, credentials = this.#asked[1]): Promise<void> {
    await this.#vpn.stop();
    this.#asked = [options, credentials];
    this.#vpn = this.#start(options, credentials);
  }
}

class ReferenceClient implements TunnelClient {
  readonly kind = "reference";
  readonly at: Namespace;
  readonly device: string;
  readonly daemon: SoftEtherClient;
  readonly #server: string;
  #credentials: Credentials;

  constructor(daemon: SoftEtherClient, server: string, credentials: Credentials) {
    this.at = daemon.at;
    this.device = daemon.device;
    this.daemon = daemon;
    this.#server = server;
    this.#credentials = credentials;
  }

  connect(options: SessionOptions): Promise<void> {
    const password = `"${this.#credentials.password}"`;
    const account = { server: this.#server, ...this.#credentials, password };
    return this.daemon.connect({ ...account, ...options });
  }

  waitConnected(deadlineMs?: number): Promise<void> {
    return this.daemon.waitConnected(deadlineMs);
  }

  waitRefused(): Promise<number> {
    return this.daemon.waitRefused();
  }

  async session(): Promise<SessionView> {
    return viewOfTable(await this.daemon.status());
  }

  async stop(): Promise<void> {
    await this.daemon.disconnect();
    await this.daemon.kill();
  }

  kill(): Promise<void> {
    return this.daemon.kill();
  }

  beginAnew(): Promise<void> {
    return this.daemon.restart();
  }

  async reconnect(options: ClientOptions, credentials = this.#credentials): Promise<void> {
    await this.daemon.disconnect();
    this.#credentials = credentials;
    await this.connect(options);
  }
}

/**
 * Starts a client and tells it to connect; waits for nothing but the program itself. Both go on trying, ours
 * unless told otherwise: the reference stops only when it is stopped.
 */
export async function startClient(
  kind: Implementation,
  at: Namespace,
  host: string,
  credentials: Credentials,
  options: ClientOptions = {},
): Promise<TunnelClient> {
  const server = `${host}:5555`;
  if (kind === "ours") {
    const start = ({ retry, ...session }: ClientOptions, as: Credentials) =>
      VpnClient.start(at, {
        server,
        ...as,
        ...(retry === undefined ? {} : { retry }),
        // Who asks for nothing gets the defaults of the program.
        ...(Object.keys(session).length === 0 ? {} : { account: accountKeys(session) }),
      });
    return new OurClient(start, options, credentials);
  }
  const client = new ReferenceClient(await SoftEtherClient.start(at), server, credentials);
  await client.connect(options);
  return client;
}
