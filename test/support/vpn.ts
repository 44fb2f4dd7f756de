import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { ClientEvent, ClientStatus } from "../../src/client/status.ts";
import type { ServerSnapshot } from "../../src/server/snapshot.ts";
import type { Namespace } from "./namespace.ts";
import type { Finished } from "./process.ts";
import { until } from "./process.ts";
import type { Running } from "./process.ts";

// The built binary, run as its users run it: by its command line, its files and its signals.

export const VPN_BIN = process.env["VPN_BIN"] ?? resolve(import.meta.dir, "../../dist/vpn");

/** What must never show up on standard error: a fault of ours that nobody caught, or a trace for programmers. */
const UNCAUGHT = /\bUnhandled\b|\buncaught\b|^\s+at .+:\d+:\d+\)?$|\bpanic\b|Segmentation fault/im;

/** One line of `--log-format json`. */
export interface LogLine {
  readonly time: string;
  readonly level: string;
  readonly event: string;
  readonly text: string;
  readonly [field: string]: unknown;
}

/** Throws where what a process wrote on standard error shows an uncaught fault. */
export function assertNoTraces(what: string, stderr: readonly string[]): void {
  const text = stderr.join("\n");
  if (UNCAUGHT.test(text)) throw new Error(`${what} shows an uncaught fault:\n${text}`);
}

function parseLines<T>(lines: readonly string[]): T[] {
  return lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as T);
}

/** Runs one short command of the binary in a namespace. */
export async function vpn(
  at: Namespace,
  args: readonly string[],
  options: { stdin?: string; deadlineMs?: number; env?: Readonly<Record<string, string>> } = {},
): Promise<Finished> {
  const finished = await at.run([VPN_BIN, ...args], options);
  assertNoTraces(`vpn ${args.join(" ")}`, [finished.stderr]);
  return finished;
}

/** Writes a secret where only its owner can read it, as the program demands; gives the path. */
export function secretFile(at: Namespace, name: string, secret: string): string {
  const path = join(at.world.directory, `${at.name}-${name}.secret`);
  writeFileSync(path, `${secret}\n`, { mode: 0o600 });
  return path;
}

/** Flags with their values, as words of a command; those without a value are left out. */
function flagsOf(values: Readonly<Record<string, string | number | undefined>>): string[] {
  return Object.entries(values).flatMap(([flag, value]) =>
    value === undefined ? [] : [flag, String(value)],
  );
}

function instance(at: Namespace, what: string): string {
  if (!existsSync(VPN_BIN)) throw new Error(`${VPN_BIN} is not there: run the build first`);
  return at.world.folder(`${at.name}-${what}`);
}

export interface ServerStart {
  readonly program?: "server" | "bridge";
  /** 5555 unless given. */
  readonly port?: number;
  readonly name?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** json unless given: what waits for lines reads that. */
  readonly logFormat?: "text" | "json";
  /** What runs the program, such as setpriv(1) with its flags. */
  readonly prefix?: readonly string[];
}

/** `vpn server`, or `vpn bridge`, with its own configuration file and state directory. */
export class VpnServer {
  readonly at: Namespace;
  readonly stateDir: string;
  readonly configFile: string;
  readonly #program: "server" | "bridge";
  /** A bridge listens on none. */
  readonly #port: number | undefined;
  readonly #prefix: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #logFormat: "text" | "json";
  #running: Running;

  private constructor(at: Namespace, folder: string, options: ServerStart) {
    const { program = "server" } = options;
    this.at = at;
    this.#program = program;
    this.#port = program === "server" ? (options.port ?? 5555) : undefined;
    this.#prefix = options.prefix ?? [];
    this.stateDir = join(folder, "state");
    this.configFile = join(folder, "config.toml");
    this.#env = options.env ?? {};
    this.#logFormat = options.logFormat ?? "json";
    this.#running = this.#spawn();
  }

  /** Starts it and waits for its listener on the port, which `config` must name; a bridge must say that it is ready. */
  static async start(at: Namespace, config: string, options: ServerStart = {}): Promise<VpnServer> {
    const folder = instance(at, options.name ?? `vpn-${options.program ?? "server"}`);
    writeFileSync(join(folder, "config.toml"), config);
    const server = new VpnServer(at, folder, options);
    await server.#listening();
    return server;
  }

  #spawn(): Running {
    const flags = flagsOf({
      "--config": this.configFile,
      "--state-dir": this.stateDir,
      "--log-format": this.#logFormat,
    });
    const command = [...this.#prefix, VPN_BIN, this.#program, ...flags];
    return this.at.spawn(command, { env: this.#env });
  }

  async #listening(): Promise<void> {
    const running = this.#running;
    await until(
      `vpn ${this.#program} ready`,
      async () => {
        if (!running.alive) throw new Error(`vpn ${this.#program} ended\n${running.output()}`);
        if (this.#port === undefined) return this.log.some(({ event }) => event === "ready");
        const shown = await this.at.run(["ss", "-Hltn", `sport = :${this.#port}`]);
        return shown.stdout !== "";
      },
      { explain: () => running.output() },
    );
  }

  get pid(): number {
    return this.#running.pid;
  }

  get alive(): boolean {
    return this.#running.alive;
  }

  /** Log lines of the present process. */
  get log(): LogLine[] {
    return parseLines<LogLine>(this.#running.lines.stderr);
  }

  get stderr(): readonly string[] {
    return this.#running.lines.stderr;
  }

  /** Until a log line with this event (and these fields) is there. */
  waitLog(event: string, fields: Readonly<Record<string, unknown>> = {}): Promise<LogLine> {
    return until(
      `log line ${event} ${JSON.stringify(fields)}`,
      () =>
        this.log.find(
          (line) =>
            line.event === event &&
            Object.entries(fields).every(([name, value]) => line[name] === value),
        ),
      { explain: () => this.#running.output() },
    );
  }

  /** A command for the running server: `session list --json` and the like. */
  command(...args: string[]): Promise<Finished> {
    return vpn(this.at, [...args, "--state-dir", this.stateDir]);
  }

  async snapshot(): Promise<ServerSnapshot> {
    const finished = await this.command("status", "--json");
    if (finished.exitCode !== 0) throw new Error(finished.stderr);
    return JSON.parse(finished.stdout) as ServerSnapshot;
  }

  /** Writes another configuration and has it read. */
  async reload(config: string): Promise<void> {
    writeFileSync(this.configFile, config);
    const finished = await this.command("reload", "--json");
    if (finished.exitCode !== 0) throw new Error(`${finished.stdout}${finished.stderr}`);
  }

  /** Ends it in order: exit code 0, nothing uncaught. */
  async stop(signal: "SIGTERM" | "SIGINT" = "SIGTERM"): Promise<void> {
    const code = await this.#running.stop(signal);
    assertNoTraces("vpn server", this.#running.lines.stderr);
    if (code !== 0) throw new Error(`vpn server ended with ${code}\n${this.#running.output()}`);
  }

  async kill(): Promise<void> {
    await this.#running.stop("SIGKILL");
    assertNoTraces("vpn server", this.#running.lines.stderr);
  }

  restart(): Promise<void> {
    this.#running = this.#spawn();
    return this.#listening();
  }
}

export interface ConnectOptions {
  /** HOST:PORT */
  readonly server: string;
  readonly hub: string;
  readonly user: string;
  readonly password: string;
  readonly nic?: string;
  /** "none" unless given. */
  readonly address?: string;
  readonly mode?: "client" | "bridge";
  /** Tries after the first failure. */
  readonly retry?: number | "forever";
  readonly retryInterval?: string;
  /** Further keys of the account: then it stands in a client.toml, and only the rest in flags. */
  readonly account?: Readonly<Record<string, string | number | boolean>>;
  /** Further flags, as typed. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const ACCOUNT = "test";

/** Writes a client.toml with one account; gives its path. */
function accountFile(
  folder: string,
  keys: Readonly<Record<string, string | number | boolean>>,
): string {
  const path = join(folder, "client.toml");
  const lines = Object.entries(keys).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`);
  writeFileSync(path, `[account.${ACCOUNT}]\n${lines.join("")}`);
  return path;
}

/** `vpn client connect` in the foreground, told to speak JSON. */
export class VpnClient {
  readonly at: Namespace;
  readonly device: string;
  readonly stateDir: string;
  readonly #running: Running;

  private constructor(at: Namespace, device: string, stateDir: string, running: Running) {
    this.at = at;
    this.device = device;
    this.stateDir = stateDir;
    this.#running = running;
  }

  /** Starts it; does not wait for the connection. */
  static start(at: Namespace, options: ConnectOptions): VpnClient {
    const device = options.nic ?? "tap0";
    const stateDir = instance(at, `vpn-client-${device}`);
    const passwordFile = secretFile(at, `${device}-password`, options.password);
    const account = options.account ?? {};
    const flags = flagsOf({
      "--state-dir": stateDir,
      ...(options.account === undefined
        ? {
            "--server": options.server,
            "--hub": options.hub,
            "--user": options.user,
            "--password-file": passwordFile,
          }
        : {
            "--config": accountFile(stateDir, {
              to: `${options.server}/${options.hub}`,
              user: options.user,
              ...("cert" in account ? {} : { password: `file:${passwordFile}` }),
              ...account,
            }),
          }),
      "--nic": device,
      "--address": options.address ?? "none",
      "--mode": options.mode,
      "--retry": options.retry,
      "--retry-interval": options.retryInterval ?? "1s",
    });
    const command = [VPN_BIN, "client", "connect", "--json", "--insecure", ...flags];
    if (options.flags !== undefined) command.push(...options.flags);
    if (options.account !== undefined) command.push(ACCOUNT);
    const running = at.spawn(command, options.env === undefined ? {} : { env: options.env });
    return new VpnClient(at, device, stateDir, running);
  }

  get pid(): number {
    return this.#running.pid;
  }

  get alive(): boolean {
    return this.#running.alive;
  }

  get events(): ClientEvent[] {
    return parseLines<ClientEvent>(this.#running.lines.stdout);
  }

  output(): string {
    return this.#running.output();
  }

  /** Until the given number of sessions have stood, the first unless told. */
  async waitConnected(deadlineMs = 20_000, times = 1): Promise<void> {
    await until(
      `vpn client in ${this.at.name} connected`,
      () => {
        const count = this.events.filter(({ event }) => event === "connected").length;
        if (count < times && !this.alive) throw new Error(`vpn client ended\n${this.output()}`);
        return count >= times;
      },
      { deadlineMs, explain: () => this.output() },
    );
  }

  /** Error number of the protocol that the server last refused it with. */
  get refusal(): number | undefined {
    const found = this.output()
      .match(/"code":"refused_\d+"/g)
      ?.at(-1);
    return found === undefined ? undefined : Number(/\d+/.exec(found)![0]);
  }

  /** Of a client told not to retry: its exit code and the `code` of the error it reported. */
  async waitGivenUp(deadlineMs = 20_000): Promise<{ exitCode: number; code: string }> {
    const exitCode = await this.#running.ended(deadlineMs);
    assertNoTraces("vpn client", this.#running.lines.stderr);
    const code = /"code":"([^"]+)"/.exec(this.#running.lines.stderr.join("\n"))?.[1];
    return { exitCode, code: code ?? `no code in: ${this.output()}` };
  }

  async status(): Promise<ClientStatus[]> {
    const finished = await vpn(this.at, [
      "client",
      "status",
      "--json",
      "--state-dir",
      this.stateDir,
    ]);
    if (finished.exitCode !== 0) throw new Error(finished.stderr);
    const answer = JSON.parse(finished.stdout) as ClientStatus | ClientStatus[];
    return Array.isArray(answer) ? answer : [answer];
  }

  /** Ends it as Ctrl-C does and sees that it took its NIC along. Gives the exit code. */
  async stop(signal: "SIGINT" | "SIGTERM" = "SIGINT"): Promise<number> {
    const code = await this.#running.stop(signal);
    assertNoTraces("vpn client", this.#running.lines.stderr);
    // The kernel ends a wait for the device on a work queue of its own, which a busy machine serves a little later.
    await until(`the end of ${this.device}`, async () => !(await this.at.hasDevice(this.device)), {
      deadlineMs: 2000,
      explain: () => `exit code ${code}\n${this.output()}`,
    });
    return code;
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    await this.#running.stop("SIGKILL");
    assertNoTraces("vpn client", this.#running.lines.stderr);
  }
}
