import type { Namespace } from "./namespace.ts";
import { type SessionView, viewOfOurs, viewOfTable } from "./session-options.ts";
import { SoftEtherServer } from "./softether.ts";
import { secretFile, VpnServer } from "./vpn.ts";

// The server of a tunnel, of either kind, with the same hub and users.

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
/** Whom a certificate lets in, where the server was given one. */
export const CARD_HOLDER: Credentials = { hub: HUB, user: "card", password: "" };
/** Who may monitor, where the server was told of her. */
export const WATCHER: Credentials = { hub: HUB, user: "watcher", password: "watch pass" };
const USERS = [GOOD, ALSO_GOOD];

export interface TunnelServer {
  readonly at: Namespace;
  setOnline(online: boolean): Promise<void>;
  /** Names of the users with a session on HUB. */
  users(): Promise<string[]>;
  /** What it tells of one session on HUB. */
  session(name: string): Promise<SessionView>;
  /** MAC addresses in the table of HUB: twelve digits in lower case, with the user behind them. */
  macs(): Promise<{ mac: string; session: string }[]>;
  /** Ends it in order, as a service manager does. */
  stop(): Promise<void>;
  kill(): Promise<void>;
  restart(): Promise<void>;
}

export function plainMac(text: string): string {
  return text.replace(/[:-]/g, "").toLowerCase();
}

/** What a test may want otherwise. */
export interface ServerOptions {
  /** Path of the PEM file with the certificate of CARD_HOLDER. */
  readonly card?: string;
  /** There is a WATCHER. */
  readonly watched?: boolean;
}

/** What a test may want otherwise of our server. */
export interface OurServerOptions extends ServerOptions {
  readonly online?: boolean;
  readonly revealHubs?: boolean;
  readonly allowPlaintext?: boolean;
  /** Further tables of config.toml. */
  readonly more?: string;
}

/** Configuration of our server with the users above. */
export function serverConfig(at: Namespace, options: OurServerOptions = {}): string {
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
    `allow_plaintext = ${options.allowPlaintext ?? false}`,
    `[hub.${HUB}]`,
    `online = ${options.online ?? true}`,
    ...users,
    options.card === undefined
      ? ""
      : `[hub.${HUB}.user.${CARD_HOLDER.user}]\ncert = "${options.card}"\n` +
        `policy = { timeout = "${SESSION_TIMEOUT_S}s" }\n`,
    options.watched === true
      ? `[hub.${HUB}.user.${WATCHER.user}]\n` +
        `password = "file:${secretFile(at, WATCHER.user, WATCHER.password)}"\n` +
        `policy = { timeout = "${SESSION_TIMEOUT_S}s", monitor_port = true }\n`
      : "",
    options.more ?? "",
  ].join("\n");
}

class OurServer implements TunnelServer {
  readonly at: Namespace;
  readonly vpn: VpnServer;
  readonly #options: OurServerOptions;

  constructor(vpn: VpnServer, options: OurServerOptions) {
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

  async session(name: string): Promise<SessionView> {
    const found = (await this.#hub()).sessions.find((session) => session.name === name);
    if (found === undefined) throw new Error(`no session ${name}`);
    return viewOfOurs(found);
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

  async session(name: string): Promise<SessionView> {
    return viewOfTable((await this.daemon.table(HUB, "SessionGet", name))[0] ?? {});
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
  options: OurServerOptions = {},
): Promise<TunnelServer> {
  if (kind === "ours") {
    return new OurServer(await VpnServer.start(at, serverConfig(at, options)), options);
  }
  const daemon = await SoftEtherServer.start(at);
  await daemon.createHub(HUB, Object.fromEntries(USERS.map((u) => [u.user, `"${u.password}"`])));
  const users = USERS.map(({ user }) => user);
  if (options.card !== undefined) {
    await daemon.createCertificateUser(HUB, CARD_HOLDER.user, options.card);
    users.push(CARD_HOLDER.user);
  }
  if (options.watched === true) {
    users.push(WATCHER.user);
    await daemon.command(
      `Hub ${HUB}`,
      `UserCreate ${WATCHER.user} /GROUP:none /REALNAME:none /NOTE:none`,
      `UserPasswordSet ${WATCHER.user} /PASSWORD:"${WATCHER.password}"`,
      `UserPolicySet ${WATCHER.user} /NAME:MonitorPort /VALUE:yes`,
    );
  }
  await daemon.command(
    `Hub ${HUB}`,
    ...users.map((user) => `UserPolicySet ${user} /NAME:TimeOut /VALUE:${SESSION_TIMEOUT_S}`),
    // Otherwise settings reach the disk after minutes, and a killed server would have forgotten them.
    "Flush",
  );
  return new ReferenceServer(daemon);
}
