import { describeSystem, World } from "./namespace.ts";
import type { Namespace } from "./namespace.ts";
import { until } from "./process.ts";
import { SOFTETHER_PROGRAMS, SoftEtherClient, SoftEtherServer } from "./softether.ts";
import { secretFile, VpnClient, VpnServer } from "./vpn.ts";

// Either end of a tunnel behind one interface, so that a test can be told who is at which end.

export type Implementation = "ours" | "reference";

export interface Credentials {
  readonly hub: string;
  readonly user: string;
  readonly password: string;
}

export const HUB = "TEST";
/** `policy.timeout` of every user: the least that the protocol knows, so that tests need not wait long. */
export const SESSION_TIMEOUT_S = 5;
export const GOOD: Credentials = { hub: HUB, user: "left", password: "left pass" };
export const ALSO_GOOD: Credentials = { hub: HUB, user: "right", password: "right-pass" };
const USERS = [GOOD, ALSO_GOOD];

export interface TunnelServer {
  readonly at: Namespace;
  setOnline(online: boolean): Promise<void>;
  /** Names of the users with a session on HUB. */
  users(): Promise<string[]>;
  /** MAC addresses in the table of HUB: twelve digits in lower case, with the user behind them. */
  macs(): Promise<{ mac: string; session: string }[]>;
  /** Ends it in order, as a service manager does. */
  stop(): Promise<void>;
  kill(): Promise<void>;
  restart(): Promise<void>;
}

export interface TunnelClient {
  readonly kind: Implementation;
  readonly at: Namespace;
  readonly device: string;
  waitConnected(deadlineMs?: number): Promise<void>;
  /** The error number of the protocol that the server refused it with. */
  waitRefused(): Promise<number>;
  /** Ends it in order. */
  stop(): Promise<void>;
  /** Ends it as a crash does. */
  kill(): Promise<void>;
  /** Ends the program, starts it again and connects, as its user would. */
  beginAnew(): Promise<void>;
}

export function plainMac(text: string): string {
  return text.replace(/[:-]/g, "").toLowerCase();
}

// ---- servers ----------------------------------------------------------------

/** What a test may want otherwise of our server. */
export interface ServerOptions {
  readonly online?: boolean;
  readonly revealHubs?: boolean;
  /** Further tables of config.toml. */
  readonly more?: string;
}

/** Configuration of our server with the users above. */
export function serverConfig(at: Namespace, options: ServerOptions = {}): string {
  const users = USERS.map(
    ({ user, password }) =>
      `[hub.${HUB}.user.${user}]\n` +
      `password = "file:${secretFile(at, user, password)}"\n` +
      `policy = { timeout = "${SESSION_TIMEOUT_S}s" }\n`,
  );
  return [
    "[server]",
    "listen = [5555]",
    `reveal_hubs = ${options.revealHubs ?? false}`,
    `[hub.${HUB}]`,
    `online = ${options.online ?? true}`,
    ...users,
    options.more ?? "",
  ].join("\n");
}

class OurServer implements TunnelServer {
  readonly at: Namespace;
  readonly vpn: VpnServer;
  readonly #options: ServerOptions;

  constructor(vpn: VpnServer, options: ServerOptions) {
    this.at = vpn.at;
    this.vpn = vpn;
    this.#options = options;
  }

  setOnline(online: boolean): Promise<void> {
    return this.vpn.reload(serverConfig(this.at, { ...this.#options, online }));
  }

  async #hub() {
    return (await this.vpn.snapshot()).hubs.find(({ name }) => name === HUB)!;
  }

  async users(): Promise<string[]> {
    return (await this.#hub()).sessions.map(({ user }) => user).sort();
  }

  async macs(): Promise<{ mac: string; session: string }[]> {
    return (await this.#hub()).macTable.map(({ mac, session }) => ({
      mac: plainMac(mac),
      session,
    }));
  }

  stop(): Promise<void> {
    return this.vpn.stop();
  }

  kill(): Promise<void> {
    return this.vpn.kill();
  }

  restart(): Promise<void> {
    return this.vpn.restart();
  }
}

class ReferenceServer implements TunnelServer {
  readonly at: Namespace;
  readonly daemon: SoftEtherServer;

  constructor(daemon: SoftEtherServer) {
    this.at = daemon.at;
    this.daemon = daemon;
  }

  async setOnline(online: boolean): Promise<void> {
    await this.daemon.command(`Hub ${HUB}`, online ? "Online" : "Offline");
  }

  async users(): Promise<string[]> {
    const rows = await this.daemon.table(HUB, "SessionList");
    return rows.map((row) => row["User Name"] ?? "").sort();
  }

  async macs(): Promise<{ mac: string; session: string }[]> {
    const rows = await this.daemon.table(HUB, "MacTable");
    return rows.map((row) => ({
      mac: plainMac(row["MAC Address"] ?? ""),
      session: row["Session Name"] ?? "",
    }));
  }

  stop(): Promise<void> {
    return this.daemon.stop();
  }

  kill(): Promise<void> {
    return this.daemon.kill();
  }

  restart(): Promise<void> {
    return this.daemon.restart();
  }
}

export async function startServer(
  kind: Implementation,
  at: Namespace,
  ours: ServerOptions = {},
): Promise<TunnelServer> {
  if (kind === "ours")
    return new OurServer(await VpnServer.start(at, serverConfig(at, ours)), ours);
  const daemon = await SoftEtherServer.start(at);
  await daemon.createHub(HUB, Object.fromEntries(USERS.map((u) => [u.user, `"${u.password}"`])));
  await daemon.command(
    `Hub ${HUB}`,
    ...USERS.map(({ user }) => `UserPolicySet ${user} /NAME:TimeOut /VALUE:${SESSION_TIMEOUT_S}`),
    // Otherwise settings reach the disk after minutes, and a killed server would have forgotten them.
    "Flush",
  );
  return new ReferenceServer(daemon);
}

// ---- clients ----------------------------------------------------------------

class OurClient implements TunnelClient {
  readonly kind = "ours";
  readonly at: Namespace;
  readonly device: string;
  readonly #start: () => VpnClient;
  #vpn: VpnClient;

  constructor(start: () => VpnClient) {
    this.#start = start;
    this.#vpn = start();
    this.at = this.#vpn.at;
    this.device = this.#vpn.device;
  }

  waitConnected(deadlineMs?: number): Promise<void> {
    return this.#vpn.waitConnected(deadlineMs);
  }

  waitRefused(): Promise<number> {
    return until("a refusal", () => this.#vpn.refusal, { explain: () => this.#vpn.output() });
  }

  async stop(): Promise<void> {
    await this.#vpn.stop();
  }

  kill(): Promise<void> {
    return this.#vpn.kill();
  }

  async beginAnew(): Promise<void> {
    await this.#vpn.stop();
    this.#vpn = this.#start();
  }
}

class ReferenceClient implements TunnelClient {
  readonly kind = "reference";
  readonly at: Namespace;
  readonly device: string;
  readonly daemon: SoftEtherClient;

  constructor(daemon: SoftEtherClient) {
    this.at = daemon.at;
    this.device = daemon.device;
    this.daemon = daemon;
  }

  waitConnected(deadlineMs?: number): Promise<void> {
    return this.daemon.waitConnected(deadlineMs);
  }

  waitRefused(): Promise<number> {
    return this.daemon.waitRefused();
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
}

/**
 * Starts a client and tells it to connect; waits for nothing but the program itself. Both go on trying, ours
 * unless told otherwise: the reference stops only when it is stopped.
 */
export async function startClient(
  kind: Implementation,
  at: Namespace,
  server: string,
  credentials: Credentials,
  options: { retry?: "forever" | 0 } = {},
): Promise<TunnelClient> {
  const account = { server: `${server}:5555`, ...credentials };
  if (kind === "ours") return new OurClient(() => VpnClient.start(at, { ...account, ...options }));
  const daemon = await SoftEtherClient.start(at);
  await daemon.connect({ ...account, password: `"${account.password}"` });
  return new ReferenceClient(daemon);
}

// ---- three namespaces in a row ------------------------------------------------

/** `left --- server --- right`, addresses 10.91.1.2, 10.91.1.1 / 10.91.2.1, 10.91.2.2. */
export interface Site extends AsyncDisposable {
  readonly world: World;
  readonly server: Namespace;
  readonly left: Namespace;
  readonly right: Namespace;
}

export const SERVER_FROM = { left: "10.91.1.1", right: "10.91.2.1" } as const;
/** Underlay device of either client. */
export const UNDERLAY = "eth0";

export async function openSite(): Promise<Site> {
  const world = new World();
  const dispose = () => world.close();
  try {
    return { ...(await layCables(world)), [Symbol.asyncDispose]: dispose };
  } catch (thrown) {
    await dispose();
    throw thrown;
  }
}

async function layCables(world: World): Promise<Omit<Site, keyof AsyncDisposable>> {
  const server = await world.namespace("server");
  const left = await world.namespace("left");
  const right = await world.namespace("right");
  await world.link(
    { at: left, device: UNDERLAY, address: "10.91.1.2/24" },
    { at: server, device: "left", address: `${SERVER_FROM.left}/24` },
  );
  await world.link(
    { at: right, device: UNDERLAY, address: "10.91.2.2/24" },
    { at: server, device: "right", address: `${SERVER_FROM.right}/24` },
  );
  return { world, server, left, right };
}

/** Addresses inside the tunnel. */
export const INSIDE = {
  left: { ipv4: "10.92.0.1", ipv6: "fd92::1" },
  right: { ipv4: "10.92.0.2", ipv6: "fd92::2" },
} as const;

export interface Scenario {
  readonly name: string;
  readonly left: Implementation;
  readonly server: Implementation;
  readonly right: Implementation;
}

/** Who can stand where. The first shows that harness and reference do what is asked of the others. */
export const SCENARIOS: readonly Scenario[] = [
  { name: "reference alone", left: "reference", server: "reference", right: "reference" },
  { name: "ours alone", left: "ours", server: "ours", right: "ours" },
  { name: "vpnclient and ours on our server", left: "reference", server: "ours", right: "ours" },
  {
    name: "ours and vpnclient on vpnserver",
    left: "ours",
    server: "reference",
    right: "reference",
  },
  { name: "two vpnclients on our server", left: "reference", server: "ours", right: "reference" },
];

export interface Tunnel extends Site {
  readonly hub: TunnelServer;
  readonly clients: { readonly left: TunnelClient; readonly right: TunnelClient };
}

/** Opens a site with a server and both clients, connected and with addresses inside. */
export async function openTunnel(scenario: Scenario): Promise<Tunnel> {
  const site = await openSite();
  try {
    const hub = await startServer(scenario.server, site.server);
    const [left, right] = await Promise.all([
      startClient(scenario.left, site.left, SERVER_FROM.left, GOOD),
      startClient(scenario.right, site.right, SERVER_FROM.right, ALSO_GOOD),
    ]);
    await Promise.all([left.waitConnected(), right.waitConnected()]);
    const tunnel = { ...site, hub, clients: { left, right } };
    await dress(tunnel);
    return tunnel;
  } catch (thrown) {
    await site.world.close();
    throw thrown;
  }
}

/**
 * Gives the clients their addresses inside the tunnel. The reference's adapter goes down with its session and has
 * lost them when it comes back; ours keeps them.
 */
export async function dress(tunnel: Tunnel, only?: Implementation): Promise<void> {
  for (const side of ["left", "right"] as const) {
    const client = tunnel.clients[side];
    if (only === undefined || client.kind === only) await dressClient(client, side);
  }
}

/** Gives one client the addresses of its side. */
export async function dressClient(client: TunnelClient, side: "left" | "right"): Promise<void> {
  const { ipv4, ipv6 } = INSIDE[side];
  await client.at.address(client.device, `${ipv4}/24`, `${ipv6}/64`);
}

/** One group of system tests for each scenario. */
export function describeScenarios(subject: string, body: (scenario: Scenario) => void): void {
  for (const scenario of SCENARIOS) {
    const kinds = [scenario.left, scenario.server, scenario.right];
    const needs = kinds.includes("reference") ? SOFTETHER_PROGRAMS : [];
    describeSystem(`${subject}, ${scenario.name}`, needs, () => body(scenario));
  }
}
