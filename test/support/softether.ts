import type { Namespace } from "./namespace.ts";
import { until } from "./process.ts";
import { accountCommands, type SessionOptions } from "./session-options.ts";
import { SoftEtherDaemon, vpncmd, VpncmdError, vpncmdTable } from "./softether-daemon.ts";

// Server, bridge and client of the reference, told what to do by its vpncmd.

export { SOFTETHER_PROGRAMS } from "./softether-daemon.ts";

const ADMIN_PORT = 5555;
const CLIENT_PORT = 9931;
/** What vpncmd says where the program that it talks to is gone. */
const CONNECTION_LOST = 3;

/** vpnserver or vpnbridge: both are administered in the same way, a bridge has one hub named BRIDGE. */
export class SoftEtherServer {
  readonly at: Namespace;
  readonly #daemon: SoftEtherDaemon;
  readonly #target = [`localhost:${ADMIN_PORT}`, "/SERVER"];

  private constructor(at: Namespace, program: "vpnserver" | "vpnbridge") {
    this.at = at;
    this.#daemon = new SoftEtherDaemon(at, program);
  }

  static async start(
    at: Namespace,
    program: "vpnserver" | "vpnbridge" = "vpnserver",
  ): Promise<SoftEtherServer> {
    const server = new SoftEtherServer(at, program);
    await server.#daemon.start(ADMIN_PORT);
    return server;
  }

  command(...commands: string[]): Promise<string> {
    return vpncmd(this.at, this.#target, commands);
  }

  table(hub: string, ...command: string[]): Promise<Record<string, string>[]> {
    const target = hub === "" ? this.#target : [...this.#target, `/ADMINHUB:${hub}`];
    return vpncmdTable(this.at, target, command);
  }

  /** Makes a hub with users and their passwords. */
  async createHub(hub: string, users: Readonly<Record<string, string>> = {}): Promise<void> {
    const lines = [`HubCreate ${hub} /PASSWORD:`, `Hub ${hub}`];
    for (const [user, password] of Object.entries(users)) {
      lines.push(`UserCreate ${user} /GROUP:none /REALNAME:none /NOTE:none`);
      lines.push(`UserPasswordSet ${user} /PASSWORD:${password}`);
    }
    await this.command(...lines);
  }

  /** Lets `user` in by this certificate alone, a PEM file. */
  async createCertificateUser(hub: string, user: string, cert: string): Promise<void> {
    await this.command(
      `Hub ${hub}`,
      `UserCreate ${user} /GROUP:none /REALNAME:none /NOTE:none`,
      `UserCertSet ${user} /LOADCERT:${cert}`,
    );
  }

  /** Gives the hub a TAP in this namespace; its name is `tap_` and `name`. */
  async createTap(hub: string, name: string): Promise<string> {
    await this.command(`BridgeCreate ${hub} /DEVICE:${name} /TAP:yes`);
    await this.at.waitDevice(`tap_${name}`);
    return `tap_${name}`;
  }

  /** Makes a cascade of `hub` to another server and switches it on. */
  async createCascade(
    hub: string,
    name: string,
    to: { server: string; hub: string; user: string; password: string; connections?: number },
  ): Promise<void> {
    await this.command(
      `Hub ${hub}`,
      `CascadeCreate ${name} /SERVER:${to.server} /HUB:${to.hub} /USERNAME:${to.user}`,
      `CascadePasswordSet ${name} /PASSWORD:${to.password} /TYPE:standard`,
      `CascadeDetailSet ${name} /MAXTCP:${to.connections ?? 1} /INTERVAL:1 /TTL:0 /HALF:no /NOQOS:no`,
      `CascadeOnline ${name}`,
    );
  }

  async waitCascade(hub: string, name: string, deadlineMs = 20_000): Promise<void> {
    const list = () => this.table(hub, "CascadeList");
    let last: Record<string, string>[] = [];
    await until(
      `cascade ${name} of ${hub} online`,
      async () => {
        last = await list();
        return last.some(
          (row) => row["Setting Name"] === name && row["Status"] === "Online (Established)",
        );
      },
      { deadlineMs, everyMs: 200, explain: () => JSON.stringify(last) },
    );
  }

  log(kind: "server_log" | "security_log"): string {
    return this.#daemon.log(kind);
  }

  /** Where it writes logs of one kind. */
  logFolder(kind: string): string {
    return `${this.#daemon.folder}/log/${kind}`;
  }

  stop(): Promise<void> {
    return this.#daemon.stop();
  }

  kill(): Promise<void> {
    return this.#daemon.kill();
  }

  restart(): Promise<void> {
    return this.#daemon.start(ADMIN_PORT);
  }
}

export interface SoftEtherAccount extends SessionOptions {
  /** HOST:PORT */
  readonly server: string;
  readonly hub: string;
  readonly user: string;
  readonly password: string;
}

/** vpnclient with one NIC and one account. */
export class SoftEtherClient {
  readonly at: Namespace;
  /** Name of the TAP in the namespace. */
  readonly device: string;
  readonly #daemon: SoftEtherDaemon;
  readonly #nic: string;
  /** Length of the log when the account was last connected: what stands before it is history. */
  #logFrom = 0;

  private constructor(at: Namespace, nic: string) {
    this.at = at;
    this.#nic = nic;
    this.device = `vpn_${nic}`;
    this.#daemon = new SoftEtherDaemon(at, "vpnclient");
  }

  static async start(at: Namespace, nic = "test"): Promise<SoftEtherClient> {
    const client = new SoftEtherClient(at, nic);
    await client.#begin();
    return client;
  }

  async #begin(): Promise<void> {
    await this.#daemon.start(CLIENT_PORT);
    await this.command(`NicCreate ${this.#nic}`);
    await this.at.waitDevice(this.device);
  }

  command(...commands: string[]): Promise<string> {
    return vpncmd(this.at, ["localhost", "/CLIENT"], commands);
  }

  table(...command: string[]): Promise<Record<string, string>[]> {
    return vpncmdTable(this.at, ["localhost", "/CLIENT"], command);
  }

  /** Makes the account `name` and connects it; does not wait for the result. Retries after 5 s, for ever. */
  async connect(account: SoftEtherAccount, name = "a"): Promise<void> {
    this.#logFrom = this.log().length;
    const kind = account.plain ? "radius" : "standard";
    await this.command(
      `AccountCreate ${name} /SERVER:${account.server} /HUB:${account.hub} ` +
        `/USERNAME:${account.user} /NICNAME:${this.#nic}`,
      `AccountPasswordSet ${name} /PASSWORD:${account.password} /TYPE:${kind}`,
      ...accountCommands(name, account),
      `AccountRetrySet ${name} /NUM:999 /INTERVAL:5`,
      `AccountConnect ${name}`,
    );
  }

  /** Disconnects the account and deletes it, so that `connect` can make another. */
  async disconnect(name = "a"): Promise<void> {
    try {
      await this.command(`AccountDisconnect ${name}`, `AccountDelete ${name}`);
    } catch (thrown) {
      if (!(thrown instanceof VpncmdError) || thrown.errorCode !== CONNECTION_LOST) throw thrown;
      // vpnclient 5.01 crashes about once in 500 times when it ends a session.
      await this.#daemon.kill();
      this.#daemon.forget();
      await this.#begin();
    }
  }

  /** Ends the program, starts it again and connects the account. */
  async restart(name = "a"): Promise<void> {
    await this.#daemon.stop();
    await this.#daemon.start(CLIENT_PORT);
    await this.at.waitDevice(this.device);
    await this.command(`AccountConnect ${name}`);
  }

  async status(name = "a"): Promise<Record<string, string>> {
    return (await this.table("AccountStatusGet", name))[0] ?? {};
  }

  async isConnected(name = "a"): Promise<boolean> {
    return (
      (await this.status(name))["Session Status"] === "Connection Completed (Session Established)"
    );
  }

  async waitConnected(deadlineMs = 20_000, name = "a"): Promise<void> {
    await until(`vpnclient in ${this.at.name} connected`, () => this.isConnected(name), {
      deadlineMs,
      everyMs: 150,
      explain: () => this.log(),
    });
  }

  /** Until the program has noted a failure of the account; gives its error number. */
  waitRefused(deadlineMs = 20_000): Promise<number> {
    return until(
      `vpnclient in ${this.at.name} refused`,
      () => {
        const code = [
          ...this.log()
            .slice(this.#logFrom)
            .matchAll(/\(code (\d+)\)/g),
        ].at(-1)?.[1];
        return code === undefined ? undefined : Number(code);
      },
      { deadlineMs, everyMs: 100, explain: () => this.log() },
    );
  }

  log(): string {
    return this.#daemon.log("client_log");
  }

  kill(): Promise<void> {
    return this.#daemon.kill();
  }
}
