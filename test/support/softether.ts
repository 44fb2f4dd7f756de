import {
  copyFileSync,
  readdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { findProgram } from "./namespace.ts";
import type { Namespace } from "./namespace.ts";
import { run, Running, until } from "./process.ts";

// The reference implementation as Debian packs it. All its programs share /var/lib, /var/log and /run/softether;
// each instance here gets private folders mounted over them, in the mount namespace that `ip netns exec` makes,
// so that neither another instance nor an installation of this machine is touched.

export const SOFTETHER_PROGRAMS = ["vpnserver", "vpnclient", "vpnbridge", "vpncmd"] as const;
type Program = "vpnserver" | "vpnclient" | "vpnbridge";

const ADMIN_PORT = 5555;
const CLIENT_PORT = 9931;

const MOUNT_AND_RUN = `
set -e
mkdir -p /run/softether /var/lib/softether /var/log/softether
mount --bind "$0/run" /run/softether
mount --bind "$0/lib" /var/lib/softether
mount --bind "$0/log" /var/log/softether
cd "$0/bin"
exec "./$1" execsvc`;

function binaryOf(program: Program): string {
  const found = findProgram(`/usr/libexec/softether/${program}/${program}`) ?? findProgram(program);
  if (found === undefined) throw new Error(`${program} is not installed`);
  return realpathSync(found);
}

/** vpncmd answered with an error number of its own. */
export class VpncmdError extends Error {
  readonly errorCode: number;
  constructor(errorCode: number, output: string) {
    super(`vpncmd: error ${errorCode}\n${output}`);
    this.errorCode = errorCode;
  }
}

/** One running daemon with its private state; `restart` keeps that state. */
class Daemon {
  readonly at: Namespace;
  readonly folder: string;
  readonly #program: Program;
  #process: Running | undefined;

  constructor(at: Namespace, program: Program) {
    this.at = at;
    this.#program = program;
    this.folder = at.world.folder(`${at.name}-${program}`);
    for (const name of ["lib", "log", "run", "bin"])
      at.world.folder(`${at.name}-${program}/${name}`);
    const binary = binaryOf(program);
    copyFileSync(binary, join(this.folder, "bin", program));
    const resources = realpathSync(join(dirname(binary), "hamcore.se2"));
    symlinkSync(resources, join(this.folder, "bin", "hamcore.se2"));
  }

  get alive(): boolean {
    return this.#process?.alive ?? false;
  }

  async start(port: number): Promise<void> {
    this.#process = this.at.spawn(["sh", "-c", MOUNT_AND_RUN, this.folder, this.#program]);
    await this.at.waitListening(port);
  }

  /** Ends it in order: the second process does the work, the first waits for it. */
  async stop(): Promise<void> {
    if (!this.#process?.alive) return;
    for (const pid of await this.#children()) process.kill(pid, "SIGTERM");
    await this.#process.ended(30_000);
  }

  /** Ends it without a word, as a crash does. The first process would start the second again, so it goes first. */
  async kill(): Promise<void> {
    if (!this.#process?.alive) return;
    const children = await this.#children();
    process.kill(this.#process.pid, "SIGKILL");
    for (const pid of children) process.kill(pid, "SIGKILL");
    await this.#process.ended();
  }

  async #children(): Promise<number[]> {
    const found = await run(["pgrep", "-P", String(this.#process!.pid)]);
    return found.stdout.split("\n").filter(Boolean).map(Number);
  }

  /** Text of all logs of one kind: server_log, security_log, client_log. */
  log(kind: string): string {
    const root = join(this.folder, "log", kind);
    const names = readdirSync(root, { recursive: true }) as string[];
    return names
      .filter((name) => name.endsWith(".log"))
      .sort()
      .map((name) => readFileSync(join(root, name), "utf8"))
      .join("");
  }
}

/** Runs commands in one vpncmd; any error number among the answers throws. Gives what it printed. */
export async function vpncmd(
  at: Namespace,
  target: readonly string[],
  commands: readonly string[],
): Promise<string> {
  const script = join(at.world.directory, `vpncmd-${at.name}-${Bun.nanoseconds()}`);
  writeFileSync(script, commands.map((command) => `${command}\n`).join(""));
  const finished = await at.run(["vpncmd", ...target, `/IN:${script}`]);
  const error = /Error code: (\d+)/.exec(finished.stdout)?.[1];
  if (error !== undefined) throw new VpncmdError(Number(error), finished.stdout);
  if (finished.exitCode !== 0) throw new VpncmdError(finished.exitCode, finished.stdout);
  return finished.stdout;
}

/** Runs one command in CSV form. Gives its records; of an "Item,Value" answer one record of all items. */
export async function vpncmdTable(
  at: Namespace,
  target: readonly string[],
  command: readonly string[],
): Promise<Record<string, string>[]> {
  const finished = await at.run(["vpncmd", ...target, "/CSV", "/CMD", ...command]);
  const error = /Error code: (\d+)/.exec(finished.stdout)?.[1];
  if (error !== undefined) throw new VpncmdError(Number(error), finished.stdout);
  // Client mode prints its connection line and an empty line before the table.
  const rows = parseCsv(finished.stdout).filter((row) => row.length > 1);
  const [header, ...body] = rows;
  if (header === undefined) return [];
  if (header.length === 2 && header[0] === "Item") {
    return [Object.fromEntries(body.map((row) => [row[0]!, row[1]!]))];
  }
  return body.map((row) => Object.fromEntries(header.map((name, i) => [name, row[i] ?? ""])));
}

/** RFC 4180: quoted fields, doubled quotes, line ends inside quotes. */
export function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  for (const match of text.matchAll(/(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r?\n|$)/g)) {
    row.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? "");
    if (match[3] === ",") continue;
    rows.push(row);
    row = [];
    if (match[3] === "") break;
  }
  return rows;
}

/** vpnserver or vpnbridge: both are administered in the same way, a bridge has one hub named BRIDGE. */
export class SoftEtherServer {
  readonly at: Namespace;
  readonly #daemon: Daemon;
  readonly #target = [`localhost:${ADMIN_PORT}`, "/SERVER"];

  private constructor(at: Namespace, program: "vpnserver" | "vpnbridge") {
    this.at = at;
    this.#daemon = new Daemon(at, program);
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

export interface SoftEtherAccount {
  /** HOST:PORT */
  readonly server: string;
  readonly hub: string;
  readonly user: string;
  readonly password: string;
  /** TCP connections, 1 unless given; with QoS the program uses at least 2. */
  readonly connections?: number;
  readonly halfDuplex?: boolean;
  readonly compress?: boolean;
  readonly qos?: boolean;
  readonly udp?: boolean;
  readonly bridgeMode?: boolean;
  /** Send the password itself, not its hash. */
  readonly plainPassword?: boolean;
}

/** vpnclient with one NIC and one account. */
export class SoftEtherClient {
  readonly at: Namespace;
  /** Name of the TAP in the namespace. */
  readonly device: string;
  readonly #daemon: Daemon;
  readonly #nic: string;
  /** Length of the log when the account was last connected: what stands before it is history. */
  #logFrom = 0;

  private constructor(at: Namespace, nic: string) {
    this.at = at;
    this.#nic = nic;
    this.device = `vpn_${nic}`;
    this.#daemon = new Daemon(at, "vpnclient");
  }

  static async start(at: Namespace, nic = "test"): Promise<SoftEtherClient> {
    const client = new SoftEtherClient(at, nic);
    await client.#daemon.start(CLIENT_PORT);
    await client.command(`NicCreate ${nic}`);
    await at.waitDevice(client.device);
    return client;
  }

  command(...commands: string[]): Promise<string> {
    return vpncmd(this.at, ["localhost", "/CLIENT"], commands);
  }

  table(...command: string[]): Promise<Record<string, string>[]> {
    return vpncmdTable(this.at, ["localhost", "/CLIENT"], command);
  }

  /** Makes the account `name` and connects it; does not wait for the result. Retries after 5 s, for ever. */
  async connect(account: SoftEtherAccount, name = "a"): Promise<void> {
    const yes = (flag: boolean) => (flag ? "yes" : "no");
    this.#logFrom = this.log().length;
    const kind = account.plainPassword ? "radius" : "standard";
    await this.command(
      `AccountCreate ${name} /SERVER:${account.server} /HUB:${account.hub} ` +
        `/USERNAME:${account.user} /NICNAME:${this.#nic}`,
      `AccountPasswordSet ${name} /PASSWORD:${account.password} /TYPE:${kind}`,
      `AccountDetailSet ${name} /MAXTCP:${account.connections ?? 1} /INTERVAL:1 /TTL:0 ` +
        `/HALF:${yes(account.halfDuplex ?? false)} /BRIDGE:${yes(account.bridgeMode ?? false)} ` +
        `/MONITOR:no /NOTRACK:yes /NOQOS:${yes(!(account.qos ?? false))} ` +
        `/DISABLEUDP:${yes(!(account.udp ?? false))}`,
      `AccountRetrySet ${name} /NUM:999 /INTERVAL:5`,
      ...(account.compress ? [`AccountCompressEnable ${name}`] : []),
      `AccountConnect ${name}`,
    );
  }

  /** Disconnects the account and deletes it, so that `connect` can make another. */
  async disconnect(name = "a"): Promise<void> {
    await this.command(`AccountDisconnect ${name}`, `AccountDelete ${name}`);
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
